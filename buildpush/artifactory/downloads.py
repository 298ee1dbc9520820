"""Downloads files that are no image: which ones and where to, checked, whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import IO, Final

from buildpush.artifactory.addresses import segments
from buildpush.artifactory.answers import NO_FILE_FACTS, FileFacts
from buildpush.artifactory.aql import inside
from buildpush.artifactory.authorization import who
from buildpush.artifactory.client import Artifactory
from buildpush.artifactory.directories import is_same
from buildpush.artifactory.patterns import FilePattern, FoundFile, excludes, target_of
from buildpush.artifactory.transfers import (
    BLOCK,
    THREADS,
    FileChecksums,
    FileOptions,
    TransferredFile,
    checksums_of,
    reading,
    refusal,
    refuse_collisions,
)
from buildpush.foundation.errors import (
    AuthenticationError,
    DigestError,
    PushError,
    RegistryError,
    SettingsError,
    UnreachableError,
)
from buildpush.foundation.events import Note, Progress, Sink
from buildpush.foundation.files import is_one_name, replacement
from buildpush.foundation.parallel import in_parallel
from buildpush.foundation.records import dataclass
from buildpush.http.messages import Answer, Stream

_PARTIAL: Final = 206
_MODE: Final = 0o644


@dataclass(frozen=True, slots=True)
class DownloadItem:
    """A file of Artifactory, and where it goes.

    Attributes:
        facts: its checksums; empty where only the download itself says them.
        name: its path on this machine, for messages.
        base: the directory that it must be in.
    """

    repository: str
    path: str
    facts: FileFacts
    name: str
    base: Path

    @property
    def place(self) -> str:
        """Repository and path."""
        return f"{self.repository}/{self.path}"

    @property
    def destination(self) -> Path:
        """The file on this machine."""
        return self.base / self.name


# ---- which files


def find_downloads(
    pattern: str, target: str, directory: Path, server: Artifactory, options: FileOptions
) -> tuple[DownloadItem, ...]:
    """Return the files of Artifactory that *pattern* matches, and where each goes, in the order of their paths.

    Args:
        pattern: repository and path, as in :class:`FilePattern`; one that ends in a slash is for all files below it.
        target: directory, if it ends in a slash or is one; else the file's name; empty for *directory*.
        directory: where a relative *target* starts from.
        server: is asked which files there are.
        options: which of them.

    Raises:
        SettingsError: the pattern names no repository, or two files would get one name.
        PushError: there is no such file, or Artifactory does not say which there are.
    """
    parsed = FilePattern.parse(f"{pattern}*" if pattern.endswith("/") else pattern, target)
    repository, slash, _ = parsed.start.partition("/")
    if not (repository and slash):
        message = f"{pattern!r} does not name a repository of Artifactory"
        raise SettingsError(message, hint="write REPOSITORY/PATTERN, such as generic-local/app/*.zip")
    with reading():
        listed = _listed(parsed, repository, server, options)
    found = [(match, facts) for path, facts in sorted(listed.items()) if (match := parsed.match(path))]
    base, rest = _base_of(target, directory)
    items = tuple(
        DownloadItem(repository, one.path.partition("/")[2], facts, _local_name(one, rest, flat=options.flat), base)
        for one, facts in found
        if not excludes(options.exclusions, one.path)
    )
    if not items:
        message = f"{server.host} has no file that matches {pattern!r}"
        raise PushError(message, hint="check the repository and the pattern; some files may be excluded")
    hint = "keep their directories (without flat), or end the target with /"
    refuse_collisions(((item.place, item.name) for item in items), hint, partial(is_one_name, base))
    return items


def _listed(pattern: FilePattern, repository: str, server: Artifactory, options: FileOptions) -> dict[str, FileFacts]:
    """Return the checksums of the files that may match, by repository and path."""
    if not pattern.is_open:
        path = pattern.start.partition("/")[2]
        facts = server.file(repository, path)
        return {pattern.start: facts} if facts and facts != NO_FILE_FACTS else {}
    directory = pattern.directory.partition("/")[2]
    files = server.search(inside(repository, directory) if directory else [{"repo": repository}])
    files = files or server.files_below(repository, directory)  # of a remote repository, only a list has all
    if files is None:
        message = f"{server.host} neither searches nor lists the files of {repository} for {who(server.credential)}"
        raise AuthenticationError(message, hint="ask for the permission Read, or name one file, without wildcards")
    start = f"{directory}/" if directory else ""
    below = (one for one in files if one.path.startswith(start))
    near = (one for one in below if options.recursive or "/" not in one.path.removeprefix(start))
    return {f"{repository}/{one.path}": one.facts for one in near}


def _base_of(target: str, directory: Path) -> tuple[Path, str]:
    """Return the directory that no download leaves, and the rest of *target*, in which only placeholders may vary."""
    whole = f"{target}/" if target and "{" not in target and (directory / target).is_dir() else target
    head, slash, last = whole.partition("{")[0].rpartition("/")
    rest = last + whole[len(f"{head}{slash}{last}") :]
    return directory / (head or ("/" if slash else "")), rest


def _local_name(found: FoundFile, rest: str, *, flat: bool) -> str:
    inside = FoundFile(found.path.partition("/")[2], found.placeholders)
    name = target_of(inside, rest or "/", flat=flat)
    if not name or "\0" in name or "\\" in name or not name.isprintable():
        message = f"{found.path!r} is not a name for a file of this machine"
        raise SettingsError(message, hint="exclude it, or give the target a placeholder")
    return name


# ---- on their way


def download_files(
    items: Sequence[DownloadItem],
    server: Artifactory,
    *,
    threads: int = THREADS,
    sink: Sink,
    done: list[TransferredFile] | None = None,
) -> tuple[TransferredFile, ...]:
    """Download *items*, and return them in the same order; a file that is here already is left as it is.

    Args:
        items: as :func:`find_downloads` returns them.
        server: the Artifactory that has them.
        threads: how many files are received at the same time.
        sink: gets the events.
        done: gets each file as it is complete.

    Raises:
        AuthenticationError: the login is refused, or may not read there.
        RegistryError: Artifactory refuses a file; no more are begun.
        DigestError: what was received does not have the checksum of the file.
        UnreachableError: the connection breaks again and again.
        SettingsError: a file would be outside of its directory, or cannot be written.
    """
    complete = [] if done is None else done

    def download(item: DownloadItem) -> TransferredFile:
        file = _download(item, server, sink)
        complete.append(file)
        return file

    for item in items:
        sink(Progress(item.name, 0, None, "waiting"))
    return tuple(in_parallel(download, items, threads))


def _download(item: DownloadItem, server: Artifactory, sink: Sink) -> TransferredFile:
    path = item.destination
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.parent.resolve().is_relative_to(item.base.resolve()):
            message = f"{item.name} is outside of {item.base}: a link leads there"
            raise SettingsError(message, hint="choose another target directory")
        if path.is_file() and is_same(checksums_of(path).facts, item.facts):
            size = path.stat().st_size
            sink(Progress(item.name, size, size, "unchanged"))
            return TransferredFile(item.name, item.repository, item.path, size, item.facts, "unchanged")
        with replacement(path, mode=_MODE) as file:
            return _FileDownload(item, server, file, sink).run()
    except OSError as error:
        message = f"{path} cannot be written: {error.strerror}"
        raise SettingsError(message, hint="choose another target directory") from error


class _FileDownload:
    """One file on its way; after a break it continues where it stopped."""

    def __init__(self, item: DownloadItem, server: Artifactory, file: IO[bytes], sink: Sink) -> None:
        self._item, self._server, self._file, self._sink = item, server, file, sink
        self._address = segments(item.repository, *item.path.split("/"))
        self._begin()

    def _begin(self) -> None:
        """Start from the first byte."""
        self._file.seek(0)
        self._file.truncate()
        self._received = FileChecksums()

    def run(self) -> TransferredFile:
        attempts = self._server.http.attempts
        for attempt in range(1, attempts + 1):
            try:
                expected = self._receive()
            except UnreachableError as failure:
                if attempt == attempts:
                    raise
                self._server.http.wait(f"download of {self._item.place}", str(failure), attempt)
                continue
            facts = self._received.facts
            known = [one for one in (self._item.facts, expected) if one != NO_FILE_FACTS]
            if all(is_same(facts, one) for one in known):
                return self._complete(facts, is_checked=bool(known))
            if attempt == attempts:
                break
            self._begin()
            self._server.http.wait(f"download of {self._item.place}", "its bytes have another checksum", attempt)
        message = f"{self._server.host} sent other bytes for {self._item.place} than its checksums say"
        raise DigestError(message, hint="try again; a proxy in between may have changed them")

    def _complete(self, facts: FileFacts, *, is_checked: bool) -> TransferredFile:
        item = self._item
        if not is_checked:
            text = f"{item.place} could not be checked: {self._server.host} does not give its checksum"
            self._sink(Note(text))
        self._sink(Progress(item.name, self._received.size, self._received.size, "received"))
        return TransferredFile(item.name, item.repository, item.path, self._received.size, facts, "received")

    def _receive(self) -> FileFacts:
        """Receive what is missing, and return the checksums that the server gives with it."""
        headers = {"Range": f"bytes={self._received.size}-"} if self._received.size else {}
        with self._server.open(self._address, headers) as answer:
            if not isinstance(answer, Stream):
                raise self._refusal(answer)
            if self._received.size and not self._continues(answer):
                self._begin()
            total = (
                self._received.size + int(length)
                if (length := answer.headers.get("Content-Length", "")).isdecimal()
                else None
            )
            for block in _blocks(answer):
                self._file.write(block)
                self._received.update(block)
                self._sink(Progress(self._item.name, self._received.size, total, "receiving"))
            names = ("X-Checksum-Sha1", "X-Checksum-Md5", "X-Checksum-Sha256")
            return FileFacts(*(answer.headers.get(name) or "" for name in names))

    def _continues(self, answer: Stream) -> bool:
        """Return whether *answer* begins at the byte that we asked for."""
        start = (answer.headers.get("Content-Range") or "").removeprefix("bytes ").partition("-")[0]
        return answer.status == _PARTIAL and start == str(self._received.size)

    def _refusal(self, answer: Answer) -> Exception:
        if answer.status == 416:  # noqa: PLR2004 - the file is shorter now
            self._begin()
            message = f"{self._item.place} became shorter"
            return UnreachableError(message)
        error = refusal(answer, f"download of {self._item.place}", self._server)
        if isinstance(error, RegistryError):
            error.hint = error.hint or "check that the file exists"
        return error


def _blocks(answer: Stream) -> Iterator[bytes]:
    while block := answer.read(BLOCK):
        yield block
