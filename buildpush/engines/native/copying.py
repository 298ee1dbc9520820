"""COPY, ADD and WORKDIR: the instructions that make layers."""

# Flags of other programs in this module's texts: --chmod --chown --parents

from __future__ import annotations

import tarfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO, cast

from buildpush.dockerfile.instructions import check_checksum, check_mode, check_owner
from buildpush.dockerfile.lexer import read_heredoc_start
from buildpush.dockerfile.model import Heredoc, Instruction
from buildpush.dockerfile.urls import is_git, is_web
from buildpush.engines.native import modes
from buildpush.engines.native.addition import Addition, FileAttributes, Tree
from buildpush.engines.native.context import Context
from buildpush.engines.native.downloads import Downloads
from buildpush.engines.native.files import Files, rooted
from buildpush.engines.native.instructions import StageState
from buildpush.engines.native.selection import excluding
from buildpush.foundation.errors import BuildPushError, ContextError
from buildpush.foundation.records import dataclass
from buildpush.foundation.regex import regex
from buildpush.foundation.text import quotation
from buildpush.images.decompression import HEAD, decompressed, unreadable
from buildpush.images.tar import Entry, OnDisk
from buildpush.images.tar_members import Archive

_NUMBER = regex(r"[0-9]+\Z")
_HEADER = 512

FindTree = Callable[[str, int], Tree]


def work_directory(state: StageState, instruction: Instruction, created: int | None) -> None:
    """Run WORKDIR: make the directory, which belongs to USER, if it does not exist yet."""
    written = state.expand(instruction.rest, instruction.line)
    path = written if written.startswith("/") else state.path(written)  # an absolute path stays as written
    draft = state.draft
    draft.config["WorkingDir"] = path
    if path == "/":
        draft.note(f"WORKDIR {path}")
        return
    resolved = draft.files.resolve(path)
    owner = _owner(state, str(draft.config.get("User") or ""), instruction.line)
    addition = Addition(draft.files, FileAttributes(owner))
    with _error_location(state, instruction.line):
        addition.directory(resolved, modified=created or 0)
    # BuildKit's history has the instruction even where the directory existed and the layer is empty.
    draft.add(f"WORKDIR {path}", addition.entries())


@dataclass(frozen=True, slots=True)
class Sources:
    """Where files come from.

    Attributes:
        context: the source where there is no ``--from``.
        find_tree: returns the files of ``--from=NAME``; its arguments are the name and the line.
        downloads: fetches files from the web.
    """

    context: Context
    find_tree: FindTree
    downloads: Downloads


def copy(state: StageState, instruction: Instruction, sources: Sources) -> None:
    """Run COPY or ADD.

    Raises:
        ContextError: a source does not exist, or is not allowed; with the line.
        BuildError: it cannot be written to the destination; with the line.
        DockerfileError: a flag's value is malformed.
    """
    attributes, flags = _attributes(state, instruction, sources.context.created)
    words = _words(state, instruction)
    linked = _is_set(instruction, "link") and attributes.mode is None  # as in BuildKit, not with --chmod
    addition = Addition(Files() if linked else state.draft.files, attributes)
    operation = _Copy(state, instruction, sources, addition, words)
    with _error_location(state, instruction.line):
        for source in words[:-1]:
            operation.put(source)
    entries = addition.entries()
    if linked:
        state.draft.files.put_all(addition.files, entries)
    state.draft.add(f"{instruction.name}{flags} {' '.join(map(_history_word, words))} # buildkit", entries)


def _words(state: StageState, instruction: Instruction) -> list[str]:
    """Return sources and destination, variables replaced."""
    line = instruction.line
    words = [word if _heredoc(instruction, word) else state.expand(word, line) for word in instruction.words]
    if any("\0" in word for word in words):
        raise state.error(line, f"a path of {instruction.name} contains a NUL character")
    return words


def _is_set(instruction: Instruction, flag: str) -> bool:
    return instruction.flags.get(flag) == "true"


def _history_word(word: str) -> str:
    """Return a word of COPY as the history has it: of a heredoc, only the name."""
    heredoc = read_heredoc_start(word)
    return f"<<{heredoc.name}" if heredoc else word


def _checksum(state: StageState, instruction: Instruction, names: list[str]) -> str | None:
    """Return the ``--checksum`` of the only source, which is on the web."""
    text = instruction.flags.get("checksum")
    if text is None:
        return None
    checksum = state.expand(text, instruction.line)
    with state.on_line(instruction.line):
        check_checksum(checksum, names)
    return checksum


def _attributes(state: StageState, instruction: Instruction, created: int | None) -> tuple[FileAttributes, str]:
    """Return the attributes of the flags, and their text in the history."""
    owner = None
    mode: modes.Mode | None = None
    flags = " --parents" if instruction.flags.get("parents") == "true" else ""
    if "chown" in instruction.flags:
        name = state.expand(instruction.flags["chown"], instruction.line)
        owner = _owner(state, name, instruction.line)
        flags += f" --chown={name}"
    if "chmod" in instruction.flags:
        text = state.expand(instruction.flags["chmod"], instruction.line)
        with state.on_line(instruction.line):
            check_mode(text)
        mode = modes.read_mode(text) if text else None
        flags += f" --chmod={text}" if text else ""
    return FileAttributes(owner, mode, created), flags


def _owner(state: StageState, name: str, line: int) -> tuple[int, int] | None:
    """Return user and group number of ``USER[:GROUP]``; a name is looked up in the image's own files."""
    if not name:
        return None
    user, _, group = name.partition(":")
    uid, gid = _identity(state, user, "/etc/passwd", line) if user else (0, 0)
    if group:
        gid = _identity(state, group, "/etc/group", line)[0]
    return uid, gid


def _identity(state: StageState, name: str, file: str, line: int) -> tuple[int, int]:
    with state.on_line(line):
        check_owner(name)
    if _NUMBER.match(name):
        return int(name), int(name)
    identity = state.draft.files.identity(name, file)
    if identity:
        return identity
    hint = f"write the number, or add the name to {file} in an earlier COPY"
    raise state.error(line, f"{quotation(name, 60)!r} is not in {file} of the image", hint)


class _Copy:
    """One instruction: where its sources come from, how they are copied, and where to."""

    def __init__(
        self, state: StageState, instruction: Instruction, sources: Sources, addition: Addition, words: list[str]
    ) -> None:
        self.state = state
        self.instruction = instruction
        self.sources = sources
        self.addition = addition
        *names, destination = words
        self.path = state.path(destination)
        self.into = destination.endswith(("/", "/.")) or destination in {".", ""}
        self.checksum = _checksum(state, instruction, names)
        origin, line = instruction.flags.get("from"), instruction.line
        self.tree = sources.context if origin is None else sources.find_tree(origin, line)
        # As in BuildKit, variables are not replaced here, and patterns that begin with a slash match nothing.
        patterns = instruction.flags.get("exclude", "").splitlines()
        with _error_location(state, line):
            self.selection = excluding(text for text in patterns if not text.startswith("/"))

    def put(self, source: str) -> None:
        """Copy one source to the destination."""
        heredoc = _heredoc(self.instruction, source)
        if heredoc:
            self._write(heredoc)
        elif _is_set(self.instruction, "parents"):
            self.addition.copy_with_parents(self.tree, source, self.path, self.selection.without)
        elif self.instruction.name == "ADD":
            self._add(source)
        else:
            self._copy(self.tree, source)

    def _copy(self, tree: Tree, source: str) -> None:
        for name, path in tree.find(source):
            self._copy_one(tree, name, path)

    def _copy_one(self, tree: Tree, name: str, path: str) -> None:
        self.addition.copy(tree, name, path, self.path, into=self.into, selection=self.selection)

    def _write(self, heredoc: Heredoc) -> None:
        line, when = self.instruction.line, self.sources.context.created or 0
        text = self.state.expand_heredoc(heredoc.text, line) if heredoc.expand else heredoc.text
        name = rooted(heredoc.name)
        if "/" in name:
            raise self.state.error(line, f"the name of the heredoc {heredoc.name} must not contain a slash")
        self.addition.file(name, text.encode(errors="replace"), self.path, into=self.into, modified=when)

    def _add(self, source: str) -> None:
        if is_git(source):  # a variable hid it until now
            raise self.state.error(self.instruction.line, "ADD of a git repository", "use engine: docker")
        if is_web(source):
            self._put_download(self.sources.downloads.file(source, self.checksum))
        elif self.instruction.flags.get("unpack") == "false":
            self._copy(self.sources.context, source)
        else:
            self._unpack_or_copy(source)

    def _put_download(self, entry: Entry) -> None:
        """Add a file from the web, which is unpacked only on request."""
        archive = _archive(entry) if _is_set(self.instruction, "unpack") else None
        if archive:
            self._unpack(archive)
        else:
            self.addition.put_file(entry, entry.path, self.path, into=self.into)

    def _unpack(self, archive: Archive) -> None:
        dropped = sorted(self.addition.unpack(archive, self.path))
        if dropped:
            names = ", ".join(dropped)[:200]
            self.sources.context.note(f"{archive.about} has extended attributes that an image cannot contain: {names}")

    def _unpack_or_copy(self, source: str) -> None:
        """Copy *source*; a tar, compressed or not, is unpacked."""
        context = self.sources.context
        for name, path in context.find(source):
            entry = context.entry(path)
            archive = _archive(entry) if entry.kind == "file" else None
            if archive:
                self._unpack(archive)
            else:
                self._copy_one(context, name, path)


def _heredoc(instruction: Instruction, word: str) -> Heredoc | None:
    """Return the heredoc that *word* of *instruction* begins, or ``None``."""
    start = read_heredoc_start(word)
    heredocs = [heredoc for heredoc in instruction.heredocs if start and heredoc.name == start.name]
    return heredocs[-1] if heredocs else None  # if several have the same name, the last one counts


def _archive(entry: Entry) -> Archive | None:
    """Return the file as a tar, or ``None`` where it is not one."""
    path = cast("OnDisk", entry.content).path
    archive = Archive(path, partial(_open, path))
    try:
        with archive.open() as raw:
            head = decompressed(raw).read(_HEADER)
    except unreadable():
        return None
    return archive if len(head) > HEAD and _is_tar_header(head) else None


def _open(path: str) -> AbstractContextManager[BinaryIO]:
    try:
        return Path(path).open("rb")
    except OSError as error:
        message = f"{path} cannot be read: {error.strerror}"
        raise ContextError(message, setting="context") from error


def _is_tar_header(head: bytes) -> bool:
    try:
        tarfile.TarInfo.frombuf(head, "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return False
    return True


@contextmanager
def _error_location(state: StageState, line: int) -> Iterator[None]:
    """Add the line to errors that do not have one."""
    try:
        yield
    except BuildPushError as error:
        error.where = error.where or state.dockerfile.where(line)
        raise
