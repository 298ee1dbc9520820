"""A Dockerfile as far as we can read it, for code that needs only its names: an engine may understand more."""

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
        found = parse(content, path.name)
    except DockerfileError:
        return parse_outline(content, path.name)
    return found if found.stages else parse_outline(content, path.name)


def parse_outline(content: bytes, path: str) -> Dockerfile:
    """Return the names in *content*, which we do not understand as a whole; no stages where they cannot be found."""
    nothing = Dockerfile(path, (), ())
    if len(content) > LARGEST or b"\0" in content:
        return nothing
    lines = content.decode("utf-8-sig", errors="replace").split("\n")
    try:
        directives = read_directives(lines, path)
    except DockerfileError:
        return nothing
    escape, syntax = directives.get("escape", "\\"), directives.get("syntax")
    reader = _LenientReader(lines, escape, path)
    try:
        arguments, stages = split_stages(reader, list(reader.instructions()))
    except DockerfileError:
        arguments, stages = (), ()
    return Dockerfile(path, arguments, stages, escape, syntax, directives.get("check"))


class _LenientReader(InstructionReader):
    """Leaves out what it does not understand, and checks nothing."""

    def __init__(self, lines: list[str], escape: str, path: str) -> None:
        super().__init__(lines, escape, path)
        # The last line at which a heredoc of a name could end: otherwise each one without an end would cost a scan of
        # the file.
        self.last: dict[tuple[bool, str], int] = {}
        for at, line in enumerate(lines):
            text = line.rstrip("\r")
            self.last[False, text] = self.last[True, text.lstrip("\t")] = at

    def instruction(self, text: str, line: int) -> Instruction:
        name, _, rest = partition_blank(text.strip(SPACE))
        words, rest = split_flags(rest, self.escape)
        rest = rest.strip(SPACE)
        try:
            found, _ = self.take_apart(text, line)
        except DockerfileError:
            found = Instruction(name.upper(), line, rest, words=(rest,))
        self.pass_over_heredocs(found, text)
        return replace(found, flags=self.flags(found.name, words, line))

    def flags(self, name: str, words: list[str], line: int) -> dict[str, str]:  # noqa: ARG002 - as without leniency
        """Return flags by name, known or not."""
        found: dict[str, list[str]] = {}
        for word in words:
            flag, _, value = word[2:].partition("=")
            found.setdefault(flag, []).append(value)
        return {flag: "\n".join(values) for flag, values in found.items() if any(values)}

    def pass_over_heredocs(self, instruction: Instruction, text: str) -> None:
        """Skip the heredocs that an instruction announces, whichever it is: FROM has no meaning in them."""
        if instruction.name in FLAGS.keys() - HEREDOCS - {"ONBUILD"} or instruction.exec_form:
            return
        for announced in heredoc_starts(text):
            if self.last.get((announced.strip, announced.name), -1) < self.at:  # then it is something else
                return
            self.heredoc(announced.name, strip=announced.strip, line=instruction.line)
