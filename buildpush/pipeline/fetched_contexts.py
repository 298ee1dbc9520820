"""Contexts that are not local directories: a git repository, or a tar on this machine, the web or standard input.

Each becomes a directory that is removed after the build, so that every engine can build from it.

Source: docker buildx build, command line reference, "Build context": ``URL#REF:DIRECTORY``, ``-`` for standard input.
"""

# Flags of other programs in this module's texts: any

from __future__ import annotations

import errno
import os
import shutil
import sys
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import field
from pathlib import Path
from typing import IO, BinaryIO, Final, cast
from urllib.parse import unquote, urlsplit, urlunsplit

from buildpush.dockerfile.urls import has_valid_host, is_git, is_web, printable_url
from buildpush.expressions.git import without_repository_variables
from buildpush.foundation.errors import ContextError, EngineMissingError, SettingsError
from buildpush.foundation.events import Log
from buildpush.foundation.forms import may_be_token
from buildpush.foundation.interrupts import stoppable
from buildpush.foundation.locks import temporary
from buildpush.foundation.records import dataclass
from buildpush.foundation.secrets import remember
from buildpush.http.download import download
from buildpush.images.decompression import decompressed, unreadable
from buildpush.images.tar_members import Member
from buildpush.pipeline.context import RunContext
from buildpush.places import FILES, FileContent, Here, Place, for_logins

STDIN: Final = "-"
_LEAST: Final = 1024  # bytes that a file is counted as, however small
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_QUIET: Final = {"GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}


@dataclass(frozen=True, slots=True)
class LocalContext:
    """A context that has become a directory.

    Attributes:
        directory: absolute.
        history: the directory of git's own files, where the context came from a repository.
    """

    directory: Path
    history: Path | None = None


def is_elsewhere(text: str, cwd: Path) -> bool:
    """Return whether the context *text* is not a directory, but can be made into one."""
    return text == STDIN or is_git(text) or is_web(text) or (cwd / text).is_file()


def printable_context(text: str) -> str:
    """Return the context *text* for people, without passwords."""
    return "standard input" if text == STDIN else printable_url(text)


@contextmanager
def fetch_context(
    text: str, context: RunContext, most: int, limit: AbstractContextManager[None]
) -> Iterator[LocalContext]:
    """Make a directory of the context *text*, and remove it at the end; git uses its own logins.

    Args:
        text: the value of the setting.
        context: of the run.
        most: bytes that the files of a tar may have together; for each KiB of it there may be a file.
        limit: ends what takes too long.
    """
    context.log(Log(f"fetch the context {printable_context(text)}"))
    with ExitStack() as stack:
        with limit:
            root = stack.enter_context(temporary(context.state.scratch)).resolve()
            (root / "context").mkdir()
            try:
                local = _cloned(text, root, context.env) if is_git(text) else _unpacked(text, root, context, most)
            except OSError as error:
                if error.errno not in _FULL:
                    raise
                message = f"the context does not fit into {root.parent}: {error.strerror}"
                hint = "free some space there, or set TMPDIR to a larger disk"
                raise ContextError(message, hint=hint) from error
        yield local


def _unpacked(text: str, root: Path, context: RunContext, most: int) -> LocalContext:
    """Unpack a tar from standard input, this machine or the web."""
    directory = root / "context"
    if text == STDIN:
        _unpack(_stdin(), printable_context(text), directory, most)
        return LocalContext(directory)
    path = context.cwd / text
    if is_web(text):
        _check_legible(text)
        path = root / "download"
        http = context.http()
        with stoppable(http.cancel):
            download(http, text, path, most=most)
    with path.open("rb") as file:
        _unpack(file, printable_context(text), directory, most)
    return LocalContext(directory)


def _stdin() -> BinaryIO:
    """Return standard input; it is an error if it is a terminal or missing, as in a notebook."""
    stream = getattr(sys.stdin, "buffer", None)
    if stream is None or stream.isatty():
        message = "the context is standard input, and nothing is piped into it"
        raise SettingsError(
            message, hint="pipe a tar into it: tar -c DIRECTORY | buildpush …, or name a directory", setting="context"
        )
    return cast("BinaryIO", stream)


def _cloned(text: str, root: Path, env: Mapping[str, str]) -> LocalContext:
    """Fetch one commit of a repository, without its history."""
    place = Here(without_repository_variables(env), passes=for_logins)
    url, reference, inner = _parts(text)
    _check(url, reference, inner)
    directory, history = root / "context", root / "history"
    remote = _remote(url)
    git = ["git", *remote.words, f"--git-dir={history}", f"--work-tree={directory}"]
    for words in (
        ["init", "--quiet"],
        ["remote", "add", "origin", remote.url],
        ["fetch", "--quiet", "--depth=1", "--no-tags", "origin", reference or "HEAD"],
        ["checkout", "--quiet", "--detach", "FETCH_HEAD"],
        ["submodule", "--quiet", "update", "--init", "--recursive", "--depth=1"],
    ):
        _run(place, [*git, *words], directory, remote)
    for entry in directory.rglob(".git"):  # of submodules: BuildKit gives none of them to a build
        shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    inside = (directory / inner.strip("/")).resolve()
    if not inside.is_relative_to(directory) or not inside.is_dir():
        message = f"{inner} is not a directory of {printable_url(url)}"
        raise ContextError(message, hint="write a directory of the repository after the colon", setting="context")
    return LocalContext(inside, history)


@dataclass(frozen=True, slots=True)
class _Remote:
    """A repository, and the private files that hold our login: any user of the machine can read git's arguments.

    Attributes:
        url: without the user.
        words: options that follow ``git``.
        files: private ones, which *words* name.
    """

    url: str
    words: tuple[str, ...] = ()
    files: Mapping[str, FileContent] = field(default_factory=dict, repr=False)


def _remote(url: str) -> _Remote:
    """Return the repository at *url* with the login in it, which may be a token that needs no password.

    The user's own helpers are asked first, with that user name. The user in an SSH address is not a secret.
    """
    parts = urlsplit(url)
    if parts.scheme.lower() not in {"http", "https"} or "@" not in parts.netloc:
        return _Remote(url)
    user_info, _, host = parts.netloc.rpartition("@")
    user = unquote(user_info)
    if not user.isprintable():
        message = f"the user in the address {printable_url(url)} has characters that no name may have"
        raise SettingsError(message, hint="write it without control characters", setting="context")
    if may_be_token(user):
        remember(user)
        remember(user_info)
    root = f"{parts.scheme}://{host}"
    name = user.replace("\\", "\\\\").replace('"', '\\"')
    files = {
        "gitconfig": f'[credential "{root}"]\n\tusername = "{name}"\n',
        "logins": f"{parts.scheme}://{user_info}:@{host}\n",
    }
    words = ("-c", f"include.path={FILES}/gitconfig", "-c", f"credential.helper=store --file='{FILES}/logins'")
    return _Remote(urlunsplit(parts._replace(netloc=host)), words, files)


def check_address(text: str) -> None:
    """Check the context *text* as a run does before it fetches anything.

    Raises:
        SettingsError: nothing can be fetched from there.
    """
    if is_git(text):
        _check(*_parts(text))
    elif is_web(text):
        _check_legible(text)


def _parts(text: str) -> tuple[str, str, str]:
    """Return the address of a repository, its reference and its directory."""
    url, _, fragment = text.partition("#")
    reference, _, inner = fragment.partition(":")
    return url, reference, inner


def _check_legible(url: str) -> None:
    if not has_valid_host(url):
        message = f"{printable_url(url)} is not a valid address"
        raise SettingsError(message, hint="check its host and port", setting="context")


def _check(url: str, reference: str, inner: str) -> None:
    _check_legible(url)
    if urlsplit(url).password is not None:
        message = "the address of the context holds a password"
        hint = "leave it out: git asks its credential helper, or use SSH"
        raise SettingsError(message, hint=hint, setting="context")
    if urlsplit(url).query:
        message = f"the address {printable_url(url)} has a query, which git would show to every user of this machine"
        hint = "leave it out: a branch goes after #, and a token before the host, with an @ between them"
        raise SettingsError(message, hint=hint, setting="context")
    if url.startswith("-") or reference.startswith("-") or "\0" in url + reference + inner:
        message = f"{printable_url(url)}#{reference} is not the address of a repository"
        raise SettingsError(message, hint="write it as URL#BRANCH:DIRECTORY", setting="context")


def _run(place: Place, words: list[str], cwd: Path, remote: _Remote) -> None:
    url = remote.url
    try:
        result = place.run(words, cwd=cwd, files=remote.files, env=_QUIET)
    except EngineMissingError as error:
        message = f"the context {printable_url(url)} needs git, which is not installed"
        raise ContextError(message, hint="install git, or clone it yourself and name the directory") from error
    if result.status:
        lines = result.stderr.strip().splitlines() or ["it printed nothing"]
        # The last lines are advice; the reason comes before them.
        reason = next((line for line in lines if line.startswith(("ssh: ", "error: ", "fatal: "))), lines[-1])
        reason = (reason.partition(": ")[2] or reason).replace(url, printable_url(url))
        message = f"git cannot fetch the context {printable_url(url)}: {reason}"
        hint = "check the address, the branch after #, and that git can log in there without a prompt"
        raise ContextError(message, hint=hint, setting="context")


def _unpack(file: BinaryIO | IO[bytes], what: str, directory: Path, most: int) -> None:
    """Unpack a tar, compressed or not, into *directory*; nothing lands outside it."""
    try:
        with tarfile.open(fileobj=decompressed(cast("BinaryIO", file)), mode="r|", tarinfo=Member) as tar:
            for member in _within(tar, most, what):
                _put(tar, member, directory)
    except unreadable() as error:
        if isinstance(error, OSError) and error.errno in _FULL:
            raise
        message = f"the context {what} cannot be unpacked: {error}"
        raise ContextError(
            message, hint="it must be a tar of a directory, compressed or not", setting="context"
        ) from error


def _within(tar: tarfile.TarFile, most: int, what: str) -> Iterator[tarfile.TarInfo]:
    """Yield the members of a tar as long as their bytes, and at least a KiB for each, are within *most*."""
    left = most
    for member in tar:
        left -= max(member.size, _LEAST)
        if left < 0:
            message = f"the context {what} has more than {most:,} bytes of files, or too many files"
            raise ContextError(message, hint="if this is what you want, raise 'fetch_limit'", setting="fetch_limit")
        tar.members.clear()  # type: ignore[attr-defined]  # else every header stays in memory
        yield member


def _put(tar: tarfile.TarFile, member: tarfile.TarInfo, directory: Path) -> None:
    path, target = (directory / os.path.normpath(f"/{name}").lstrip("/") for name in (member.name, member.linkname))
    if not _may_be_put(member, path, target, directory):
        message = f"the context's tar contains {member.name}, which is not allowed in a context"
        raise ContextError(
            message, hint="leave it out of the tar: it is a device, or is reached through a link", setting="context"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_symlink() or not member.isdir():  # never through a link, which may lead anywhere
        path.unlink(missing_ok=True)
    if member.issym():
        path.symlink_to(member.linkname)
    elif member.islnk():
        path.hardlink_to(target)
    else:
        _put_file(tar, member, path)


def _may_be_put(member: tarfile.TarInfo, path: Path, target: Path, directory: Path) -> bool:
    known = member.isreg() or member.isdir() or member.issym() or member.islnk()
    places = [path, target] if member.islnk() else [path]
    inside = (Path(os.path.realpath(place.parent)).is_relative_to(directory) or place == directory for place in places)
    return known and all(inside)


def _put_file(tar: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
    """Write a file or directory, with its mode and time; owners have no meaning in a context."""
    if member.isdir():
        path.mkdir(exist_ok=True)
    else:
        with path.open("wb") as file, cast("IO[bytes]", tar.extractfile(member)) as content:
            shutil.copyfileobj(content, file)
    path.chmod(member.mode & 0o7777 | (0o700 if member.isdir() else 0o400))  # it must stay readable for us
    os.utime(path, (member.mtime, member.mtime))
