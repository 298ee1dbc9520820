"""Files that are no image: uploaded to Artifactory, and downloaded from it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import field
from datetime import timedelta
from typing import Final

from buildpush.artifactory.answers import NO_FILE_FACTS
from buildpush.artifactory.client import Artifactory
from buildpush.artifactory.downloads import DownloadItem, download_files, find_downloads
from buildpush.artifactory.local_files import UploadItem, find_uploads
from buildpush.artifactory.transfers import THREADS, FileOptions, TransferredFile
from buildpush.artifactory.uploads import upload_files
from buildpush.foundation.errors import BuildPushError, SettingsError
from buildpush.foundation.limits import time_limit
from buildpush.foundation.records import dataclass
from buildpush.foundation.regex import regex
from buildpush.pipeline.context import RunContext, interruptible
from buildpush.pipeline.options import CopyOptions, check_text
from buildpush.pipeline.results import RunResult
from buildpush.pipeline.saved import ServerFlags, open_server
from buildpush.settings.kinds import MOST_THREADS
from buildpush.settings.resolved import FilesToUpload

_ESCAPED: Final = r"(?:\\.|[^\\{}])"
_PROPERTY = regex(_ESCAPED.format(";") + "+")
_VALUE = regex(_ESCAPED.format(",") + "+")
_BACKSLASH = regex(r"\\(.)")


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferOptions:
    """The options of an upload or a download.

    Attributes:
        flat: whether files lose their directories below a target that ends in a slash.
        recursive: whether directories below that of the pattern are searched.
        exclusions: patterns of files that are left out.
        props: properties of every uploaded file, such as ``a=1,2;b=x``.
        threads: how many files are on their way at the same time.
        dry_run: whether it is only said what would be done.
        timeout: after which the command is aborted, as text (``10m``) or a timedelta; ``None`` for no limit.
        server: the Artifactory, and the login there.
    """

    flat: bool = False
    recursive: bool = True
    exclusions: Sequence[str] = ()
    props: Sequence[str] | str = ()
    threads: int = THREADS
    dry_run: bool = False
    timeout: timedelta | str | None = None
    server: ServerFlags = field(default_factory=ServerFlags)

    def files(self) -> FileOptions:
        """Return the options about files.

        Raises:
            SettingsError: one of them has the wrong type, or there are too many threads.
        """
        patterns = (self.exclusions,) if isinstance(self.exclusions, str) else tuple(self.exclusions)
        check_text(**{f"exclusions[{at}]": text for at, text in enumerate(patterns)})
        if isinstance(self.threads, bool) or not (isinstance(self.threads, int) and 0 < self.threads <= MOST_THREADS):
            message = f"threads is {self.threads!r}, which is not a number from 1 to {MOST_THREADS}"
            raise SettingsError(message, hint=f"leave it out for {THREADS}", setting="threads")
        each = tuple(part for text in patterns for part in text.split(";") if part)
        return FileOptions(self.flat, self.recursive, each, self.threads)


def properties_in(props: Sequence[str] | str) -> Mapping[str, tuple[str, ...]]:
    """Return the properties in texts such as ``a=1,2;b=x``; a backslash takes the next character as it is.

    Raises:
        SettingsError: a part has no name, or no value.
    """
    found: dict[str, tuple[str, ...]] = {}
    for text in (props,) if isinstance(props, str) else props:
        for part in _PROPERTY.findall(text):
            name, equals, values = part.partition("=")
            if not (equals and name.strip() and values):
                message = f"{part!r} is not a property with its value"
                raise SettingsError(message, hint="write NAME=VALUE, such as stage=test;team=web,api", setting="props")
            given = tuple(_BACKSLASH.sub(r"\1", value) for value in _VALUE.findall(values))
            found[name.strip()] = (*found.get(name.strip(), ()), *given)
    return found


def upload(pattern: str, target: str, options: TransferOptions, context: RunContext) -> RunResult:
    """Upload the files that *pattern* matches to *target*."""
    which, properties = options.files(), properties_in(options.props)
    items = find_uploads(pattern, target, context.cwd, which, sink=context.log)
    with _transfer("upload", f"{pattern} to {target}", options, context) as (server, done):
        if options.dry_run:
            done.extend(map(_planned, items))
        else:
            upload_files(items, server, properties, threads=which.threads, sink=context.log, done=done)
    return context.results[-1]


def upload_step(files: FilesToUpload, server: Artifactory, context: RunContext, done: list[TransferredFile]) -> None:
    """Upload the files of a step; *done* gets each as it is confirmed."""
    which = FileOptions(flat=files.flat, threads=files.threads)
    items = find_uploads(files.source, files.target, context.cwd, which, sink=context.log)
    properties = properties_in(files.properties)
    upload_files(items, server, properties, threads=files.threads, sink=context.log, done=done)


def download(pattern: str, target: str, options: TransferOptions, context: RunContext) -> RunResult:
    """Download the files of Artifactory that *pattern* matches into *target*."""
    which = options.files()
    if options.props:
        message = "props are for uploads"
        raise SettingsError(message, hint="leave it out", setting="props")
    with _transfer("download", f"{pattern} to {target or '.'}", options, context) as (server, done):
        items = find_downloads(pattern, target, context.cwd, server, which)
        if options.dry_run:
            done.extend(map(_planned, items))
        else:
            download_files(items, server, threads=which.threads, sink=context.log, done=done)
    return context.results[-1]


def _planned(item: UploadItem | DownloadItem) -> TransferredFile:
    size = item.source.stat().st_size if isinstance(item, UploadItem) else 0
    facts = NO_FILE_FACTS if isinstance(item, UploadItem) else item.facts
    return TransferredFile(item.name, item.repository, item.path, size, facts, "planned")


@contextmanager
def _transfer(
    verb: str, about: str, options: TransferOptions, context: RunContext
) -> Iterator[tuple[Artifactory, list[TransferredFile]]]:
    """Yield the server, and a list for the files that are confirmed; their result is kept also after an error."""
    limit, log = CopyOptions(timeout=options.timeout).limit(), context.log
    done: list[TransferredFile] = []
    context.state.sweep(log)
    with context:
        try:
            server, http = open_server(context, options.server)
            with time_limit(limit, what="the command"), interruptible(http), log.phase(verb, about):
                yield server, done
        except BuildPushError as error:
            error.results = _add_result(f"{verb} {about}", done, context) if done else ()
            raise
        except KeyboardInterrupt:
            _add_result(f"{verb} {about}", done, context)
            raise
        _add_result(f"{verb} {about}", done, context)


def _add_result(step: str, done: Sequence[TransferredFile], context: RunContext) -> tuple[RunResult, ...]:
    files = tuple(sorted(done, key=lambda file: file.name))
    context.results.append(RunResult(step=step, files=files, **context.log.facts()))
    return tuple(context.results)
