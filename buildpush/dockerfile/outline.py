"""Reads a Dockerfile as far as we can, for code that needs only its names: an engine may understand more."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from buildpush.dockerfile.lexer import heredoc_starts, partition_blank, split_flags
from buildpush.dockerfile.model import Dockerfile, Instruction
from buildpush.dockerfile.parse import (
    FLAGS,
    HEREDOCS,
    LARGEST,
    InstructionReader,
    content_of,
    parse,
    read_directives,
    split_stages,
)
from buildpush.dockerfile.variables import SPACE
from buildpush.foundation.errors import DockerfileError


def outline(path: Path) -> Dockerfile:
    """Return the Dockerfile at *path* as far as we can read it, for code that needs only its names.

    An engine may know instructions, flags and whole languages (``# syntax=``) that we do not; most of these still
    begin with ARG or FROM. What we do not understand is left out, and nothing is checked; a file that begins otherwise
    has no stages.

    Raises:
        DockerfileError: it is missing or unreadable.
    """
    content = content_of(path)
    try:
        file = parse(content, path.name)
    except DockerfileError:
        return parse_outline(content, path.name)
    return file if file.stages else parse_outline(content, path.name)


def parse_outline(content: bytes, path: str) -> Dockerfile:
    """Return the names in *content*, which we do not understand as a whole; no stages where they cannot be found."""
    empty = Dockerfile(path, (), ())
    if len(content) > LARGEST or b"\0" in content:
        return empty
    lines = content.decode("utf-8-sig", errors="replace").split("\n")
    try:
        directives = read_directives(lines, path)
    except DockerfileError:
        return empty
    escape, syntax = directives.get("escape", "\\"), directives.get("syntax")
    reader = _LenientReader(lines, escape, path)
    try:
        arguments, stages = split_stages(reader, list(reader.instructions()))
    except DockerfileError:
        arguments, stages = (), ()
    return Dockerfile(path, arguments, stages, escape, syntax, directives.get("check"))


class _LenientReader(InstructionReader):
    """Reads instructions, leaves out what it does not understand, and checks nothing."""

    def __init__(self, lines: list[str], escape: str, path: str) -> None:
        super().__init__(lines, escape, path)
        # For each name, the last line at which a heredoc could end. Otherwise, each heredoc without an end would need
        # a scan of the whole file.
        self.last: dict[tuple[bool, str], int] = {}
        for at, line in enumerate(lines):
            text = line.rstrip("\r")
            self.last[False, text] = self.last[True, text.lstrip("\t")] = at

    def instruction(self, text: str, line: int) -> Instruction:
        name, _, rest = partition_blank(text.strip(SPACE))
        words, rest = split_flags(rest, self.escape)
        rest = rest.strip(SPACE)
        try:
            instruction, _ = self.split(text, line)
        except DockerfileError:
            instruction = Instruction(name.upper(), line, rest, words=(rest,))
        self.skip_heredocs(instruction, text)
        return replace(instruction, flags=self.flags(instruction.name, words, line))

    def flags(self, name: str, words: list[str], line: int) -> dict[str, str]:  # noqa: ARG002 - as in the base class
        """Return flags by name, known or not."""
        values_of: dict[str, list[str]] = {}
        for word in words:
            flag, _, value = word[2:].partition("=")
            values_of.setdefault(flag, []).append(value)
        return {flag: "\n".join(values) for flag, values in values_of.items() if any(values)}

    def skip_heredocs(self, instruction: Instruction, text: str) -> None:
        """Skip the heredocs that begin in an instruction, whichever it is: FROM has no meaning in them."""
        if instruction.name in FLAGS.keys() - HEREDOCS - {"ONBUILD"} or instruction.exec_form:
            return
        for start in heredoc_starts(text):
            if self.last.get((start.strip, start.name), -1) < self.at:  # without an end, it is not a heredoc
                return
            self.heredoc(start.name, strip=start.strip, line=instruction.line)
