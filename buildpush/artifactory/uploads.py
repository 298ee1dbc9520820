"""Uploads files that are no image; where Artifactory has the bytes already, none are sent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Final
from urllib.parse import quote

from buildpush.artifactory.addresses import segments
from buildpush.artifactory.answers import NO_FILE_FACTS, FileFacts, file_facts, json_object
from buildpush.artifactory.client import Artifactory
from buildpush.artifactory.directories import is_same
from buildpush.artifactory.document import Artifact, Module
from buildpush.artifactory.local_files import UploadItem
from buildpush.artifactory.transfers import (
    REFUSED,
    THREADS,
    TransferFate,
    TransferredFile,
    blocks_of,
    checksums_of,
    reading,
    refusal,
)
from buildpush.foundation.errors import BuildInfoError, DigestError, PushError, SettingsError
from buildpush.foundation.events import Progress, Sink
from buildpush.foundation.meter import Meter
from buildpush.foundation.parallel import in_parallel
from buildpush.http.failures import Interruption
from buildpush.http.messages import Answer
from buildpush.http.retry import RULES

# From this size on, a file is offered by its checksums first, as jf does; below, the request would cost more.
OFFERED_FROM: Final = 10 * 1024


def upload_files(
    items: Sequence[UploadItem],
    server: Artifactory,
    properties: Mapping[str, Sequence[str]] | None = None,
    *,
    threads: int = THREADS,
    sink: Sink,
    done: list[TransferredFile] | None = None,
) -> tuple[TransferredFile, ...]:
    """Upload *items*, and return what Artifactory confirmed, in the same order.

    Args:
        items: as :func:`find_uploads` returns them.
        server: the Artifactory that gets them.
        properties: of every file, with all values of each.
        threads: how many files are sent at the same time.
        sink: gets the events.
        done: gets each file as it is confirmed, so that after an error it is known which were.

    Raises:
        AuthenticationError: the login is refused, or may not deploy there.
        RegistryError: Artifactory refuses a file; no more are begun.
        DigestError: it has other bytes than ours.
        UnreachableError: it does not answer.
    """
    meter, confirmed = Meter(), [] if done is None else done

    def upload(item: UploadItem) -> TransferredFile:
        file = _FileUpload(item, server, _matrix(properties or {}), meter, sink).run()
        confirmed.append(file)
        return file

    for item in items:
        sink(Progress(item.name, 0, None, "waiting"))
    try:
        return tuple(in_parallel(upload, items, threads))
    finally:
        sink(meter.traffic)


def _matrix(properties: Mapping[str, Sequence[str]]) -> str:
    """Return *properties* as they stand behind the path of a file."""
    pairs = ((name, value) for name, values in properties.items() for value in values)
    return "".join(f";{quote(name, safe='')}={quote(value, safe='')}" for name, value in pairs)


class _FileUpload:
    """One file on its way."""

    def __init__(self, item: UploadItem, server: Artifactory, matrix: str, meter: Meter, sink: Sink) -> None:
        self._item, self._server, self._meter, self._sink = item, server, meter, sink
        self._address = f"{segments(item.repository, *item.path.split('/'))}{matrix}"

    def run(self) -> TransferredFile:
        """Send the file until it is confirmed, as often as the retry table allows."""
        for attempt in range(1, self._server.http.attempts + 1):
            facts, size = self._checksums()
            try:
                answer, fate = self._deploy(facts, size)
            except Interruption as failure:
                if attempt == self._server.http.attempts:
                    raise
                self._meter.count("again", failure.sent)
                self._server.http.wait(f"upload of {self._item.name}", str(failure), attempt)
                continue
            if answer.status in RULES and attempt < self._server.http.attempts:
                self._server.http.wait(f"upload of {self._item.name}", f"status {answer.status}", attempt, answer)
                continue
            return self._confirmed(answer, facts, size, fate)
        raise AssertionError  # the last attempt returns or raises

    def _checksums(self) -> tuple[FileFacts, int]:
        with self._meter.timing("hash"), self._reading():
            found = checksums_of(self._item.source)
        self._meter.count("read", found.size)
        return found.facts, found.size

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            message = f"{self._item.name} cannot be read: {error.strerror}"
            raise SettingsError(message, hint="check its permissions, or exclude it") from error

    def _deploy(self, facts: FileFacts, size: int) -> tuple[Answer, TransferFate]:
        """Offer the file by its checksums; if Artifactory does not have such bytes, send them."""
        headers = {"X-Checksum-Sha256": facts.sha256, "X-Checksum-Sha1": facts.sha1, "X-Checksum-Md5": facts.md5}
        put = partial(self._server.send, "PUT", self._address)
        if size >= OFFERED_FROM:
            answer = put(headers={**headers, "X-Checksum-Deploy": "true"}, body=b"")
            if answer.ok or answer.status in REFUSED:
                return answer, "exists"
        with self._meter.timing("send"):
            body = b"".join(self._counted(size)) if size < OFFERED_FROM else self._counted(size)
            answer = put(headers={**headers, "Content-Length": str(size)}, body=body)
        self._meter.count("sent", size)
        return answer, "sent"

    def _counted(self, size: int) -> Iterator[bytes]:
        """Yield *size* bytes of the file; if it has changed meanwhile, its checksums fail."""
        done = 0
        with self._reading():
            for block in blocks_of(self._item.source):
                yield block[: size - done]
                done += len(block)
                self._sink(Progress(self._item.name, min(done, size), size))
        if done < size:
            message = f"{self._item.name} became shorter while it was sent"
            raise PushError(message, hint="upload it when nothing writes to it any more")

    def _confirmed(self, answer: Answer, facts: FileFacts, size: int, fate: TransferFate) -> TransferredFile:
        if not answer.ok:
            raise refusal(answer, f"upload of {self._item.name} to {self._item.place}", self._server)
        theirs = _facts_in(answer)
        if theirs is None:
            with reading():
                theirs = self._server.file(self._item.repository, self._item.path)
        if theirs is None or not is_same(facts, theirs):
            message = f"{self._server.host} has other bytes at {self._item.place} than {self._item.name} had"
            raise DigestError(message, hint="the file may have changed meanwhile; upload it again")
        self._meter.count("skipped", size if fate == "exists" else 0)
        self._sink(Progress(self._item.name, size, size, fate))
        return TransferredFile(self._item.name, self._item.repository, self._item.path, size, facts, fate)


def _facts_in(answer: Answer) -> FileFacts | None:
    """Return the checksums in the answer to an upload; ``None`` if it has none, as that of a proxy."""
    try:
        facts = json_object(answer).one("checksums", file_facts, NO_FILE_FACTS)
    except (BuildInfoError, SettingsError):
        return None
    return facts if any((facts.sha256, facts.sha1, facts.md5)) else None


def generic_module(name: str, files: Iterable[TransferredFile]) -> Module:
    """Return the module of uploaded files, as ``jf`` writes it: of type ``generic``, named after the build.

    Whichever was confirmed first, they are in the order of their paths: the same upload has the same document.
    """
    in_order = sorted(files, key=lambda file: (file.repository, file.path))
    return Module(name, "generic", artifacts=tuple(map(_artifact, in_order)))


def _artifact(file: TransferredFile) -> Artifact:
    name, facts = file.path.rpartition("/")[2], file.facts
    kind = name.rpartition(".")[2] if "." in name else ""
    return Artifact(name, file.path, file.repository, facts.sha256, facts.sha1, facts.md5, kind)
