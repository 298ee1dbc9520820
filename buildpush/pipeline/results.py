"""The result of a step, and how it is shown in a terminal, a notebook and JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from buildpush.display.tables import HUES, Cell, Table, shows_itself
from buildpush.display.words import bytes_words
from buildpush.foundation.events import Decision, Traffic
from buildpush.foundation.records import dataclass
from buildpush.foundation.secrets import redacted
from buildpush.foundation.text import one_line
from buildpush.images.model import PushedBlob, PushedImage, PushedIndex
from buildpush.images.references import Digest
from buildpush.pipeline.receipts import manifest_json
from buildpush.transfer import TRANSPORTS

if TYPE_CHECKING:
    from buildpush.artifactory import Published
    from buildpush.artifactory.transfers import TransferredFile
    from buildpush.pipeline.outcomes import Failure

# The outputs of a step, and their meaning. ``digest`` and ``IMAGE_TAR_PATH`` are what drone-kaniko writes.
OUTPUTS: Final[Mapping[str, str]] = {
    "digest": "digest of the manifest or index",
    "image": "first reference that names it",
    "images": "all references, separated by commas",
    "tag": "tag of the first reference",
    "tags": "all tags, separated by commas",
    "IMAGE_TAR_PATH": "path of the tar that the image was written to",
    "build_name": "name of the build whose build-info is published",
    "build_number": "number of that build",
    "build_info_url": "address of the build-info",
}
# Those that only a push gives.
OF_PUSHES: Final = frozenset({"image", "images", "tag", "tags"})

_AGAIN: Final = ("again", "group again")

# Raised when a key is renamed or removed; new keys may come without a new number.
JSON_VERSION = 1


@shows_itself
@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """The receipt of one step.

    Attributes:
        step: the step's name.
        skipped: why the step was not run; empty if it was.
        ignored: what the step failed with, if a failure strategy let the run go on; else empty.
        failed: what the step failed with, if the run did not go on; else empty.
        failures: its failed attempts, with what followed each.
        began: when the step began; ``None`` if nothing was tried.
        ended: when it ended, after its last attempt.
        earlier: the result in the record of an earlier run, if that is resumed and the step is not run again.
        pushed: what the registry confirmed, or ``None`` if nothing was to be pushed.
        published: where the build-info is, or ``None`` if none was to be published.
        output: where the image was written to instead of a push; empty if nowhere.
        loaded: all its names in the Docker daemon, such as ``docker-daemon:NAME:TAG``, if it was put there.
        written: digest of the manifest that was written there; ``None`` if the output keeps no manifest.
        files: that were uploaded or downloaded, and are no image.
        referrers: how many referrers went with the image; ``None`` if they were not requested.
        begun: when the step began, in seconds of a clock that all steps of a run share.
        seconds: how long each phase took, in order: ``resolve``, ``preflight``, ``build``, ``push``, ``publish``.
        retries: how often something was tried again.
        traffic: the bytes of the push, and what its threads spent their time on; ``None`` without a push.
        decisions: what buildpush chose by itself, and why.
        notes: what the user should know.
    """

    step: str
    skipped: str = ""
    ignored: str = ""
    failed: str = ""
    failures: tuple[Failure, ...] = ()
    began: datetime | None = None
    ended: datetime | None = None
    earlier: Mapping[str, Any] | None = None
    pushed: PushedImage | PushedIndex | None = None
    published: Published | None = None
    output: str = ""
    loaded: tuple[str, ...] = ()
    written: Digest | None = None
    files: tuple[TransferredFile, ...] = ()
    referrers: int | None = None
    begun: float = field(default=0.0, compare=False)
    seconds: Mapping[str, float] = field(default_factory=dict)
    retries: int = 0
    traffic: Traffic | None = None
    decisions: tuple[Decision, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """Digest of the manifest or index that the registry now has, or that was written; empty if there is none."""
        if self.earlier and not self.pushed:
            return str(self.earlier.get("digest") or "")
        return str(self.pushed.digest if self.pushed else self.written or "")

    @property
    def references(self) -> tuple[str, ...]:
        """Every reference that now names the digest."""
        if self.earlier:
            return tuple(map(str, self.earlier.get("references") or ()))
        return tuple(str(reference) for reference in self.pushed.references) if self.pushed else ()

    @property
    def outputs(self) -> dict[str, str]:
        """The values for later steps, by the names in :data:`OUTPUTS`."""
        if self.earlier:
            known = self.earlier.get("outputs") or {}
            return {name: str(known[name]) for name in OUTPUTS if name in known}
        values = {"digest": self.digest, "IMAGE_TAR_PATH": _tar_path(self.output)}
        if self.pushed and self.references:
            tags = [str(reference.tag) for reference in self.pushed.references if reference.tag]
            values |= {"image": self.references[0], "images": ",".join(self.references)}
            values |= {"tag": tags[0] if tags else "", "tags": ",".join(tags)}
        if self.published:
            build = self.published
            values |= {"build_name": build.name, "build_number": build.number, "build_info_url": build.url}
        return {name: value for name, value in values.items() if value}

    @property
    def build_info_url(self) -> str:
        """Address of the build-info that was published; empty if none was."""
        return self.outputs.get("build_info_url", "")

    @property
    def destinations(self) -> list[str]:
        """Every location that the image was written to besides a registry."""
        return list(dict.fromkeys([*self.loaded, *([self.output] if self.output else [])]))

    @property
    def images(self) -> tuple[PushedImage, ...]:
        """The images that were pushed: one, or one per platform."""
        if self.pushed is None:
            return ()
        return self.pushed.images if isinstance(self.pushed, PushedIndex) else (self.pushed,)

    def as_json(self) -> dict[str, Any]:
        """Return the facts as plain JSON types; keys are stable within ``version``."""
        if self.earlier:
            return dict(redacted({**self.earlier, "resumed": True}))
        build = self.published
        document = {
            "version": JSON_VERSION,
            "step": self.step,
            "skipped": self.skipped or None,
            "ignored": self.ignored or None,
            "failed": self.failed or None,
            "resumed": False,
            "attempts": [failure.as_json() for failure in self.failures],
            "began": time_text(self.began),
            "ended": time_text(self.ended),
            "digest": self.digest or None,
            "references": list(self.references),
            "manifest": manifest_json(self.pushed) if self.pushed else None,
            "images": [_image_json(image) for image in self.images],
            "build": build
            and {"name": build.name, "number": build.number, "url": build.url, "started": time_text(build.started)},
            "output": self.output or None,
            "loaded": list(self.loaded),
            "files": [file.as_json() for file in self.files],
            "outputs": self.outputs,
            "referrers": self.referrers,
            "seconds": {phase: round(seconds, 3) for phase, seconds in self.seconds.items()},
            "retries": self.retries,
            "traffic": _traffic_json(self.traffic),
            "decisions": [{"what": d.what, "choice": d.choice, "reason": d.reason} for d in self.decisions],
            "notes": list(self.notes),
        }
        return dict(redacted(document))

    def rows(self) -> list[tuple[str, str]]:
        """Return the facts as pairs of a label and a text, the most important first."""
        rows = [("step", self.step)]
        if self.skipped:
            return [(name, one_line(value)) for name, value in (*rows, ("skipped", self.skipped))]
        rows += [(name, text) for name, text in (("failed", self.failed), ("ignored", self.ignored)) if text]
        rows += [("attempt", f"{one.reason}, after: {one.error}") for one in self.failures if one.verdict in _AGAIN]
        if self.earlier:
            rows.append(("resumed", "it succeeded in the earlier run, and is not run again"))
        rows += [("image", reference) for reference in self.references]
        if self.digest:
            rows.append(("digest", self.digest))
        rows += [("layers", _layers_words(image)) for image in self.images]
        rows += [("written", place) for place in self.destinations]
        rows += _file_rows(self.files)
        if self.referrers is not None:
            rows.append(("beside", f"{self.referrers or 'no'} referrer{'' if self.referrers == 1 else 's'}"))
        if self.build_info_url:
            rows.append(("build", self.build_info_url))
        if self.seconds:
            rows.append(("time", ", ".join(f"{phase} {seconds:.1f} s" for phase, seconds in self.seconds.items())))
        if self.traffic:
            rows.append(("moved", _moved_words(self.traffic)))
            rows.append(("spent", _spent_words(self.traffic)))
        if self.retries:
            rows.append(("retries", str(self.retries)))
        return [(name, one_line(value)) for name, value in rows]

    def __str__(self) -> str:
        return "\n".join(f"{name:<8}{value}" for name, value in self.rows())

    def tables(self) -> Iterator[Table]:
        """Yield what a notebook shows: the facts, then the layers of each image, and the files."""
        yield Table([row for row in self.rows() if row[0] != "file"])
        yield from map(_layers, self.images)
        if self.files:
            yield _files_table(self.files)


@shows_itself
@dataclass(frozen=True, slots=True)
class PipelineResult:
    """The receipts of all steps of a file, in its order, including skipped ones; a loop has one for each run.

    It is a sequence of :class:`RunResult`; a notebook shows it as a table with a timeline.
    """

    steps: tuple[RunResult, ...]

    def __len__(self) -> int:
        return len(self.steps)

    def __iter__(self) -> Iterator[RunResult]:
        return iter(self.steps)

    def __getitem__(self, at: int) -> RunResult:
        return self.steps[at]

    def as_json(self) -> dict[str, Any]:
        """Return the facts as plain JSON types; keys are stable within ``version``."""
        return {"version": JSON_VERSION, "steps": [step.as_json() for step in self.steps]}

    def __str__(self) -> str:
        return "\n\n".join(map(str, self.steps))

    def tables(self) -> Iterator[Table]:
        """Yield what a notebook shows: a row for each step, with a timeline."""
        whole, spans = _spans(self.steps)
        rows = [
            (step.step, _result_words(step), step.digest[:19], Cell(f"{took * whole:.1f} s", took, begun))
            for step, (begun, took) in zip(self.steps, spans, strict=True)
        ]
        yield Table(rows, ("step", "result", "digest", f"time, of {whole:.1f} s"))


_FILES_SHOWN: Final = 10
_FILES_IN_NOTEBOOK: Final = 100


def _file_rows(files: Sequence[TransferredFile]) -> Iterator[tuple[str, str]]:
    """Yield a row that counts *files*, and one for each of the first."""
    if not files:
        return
    fates = [file.fate for file in files]
    counts = ", ".join(f"{fates.count(fate)} {_OUTCOMES.get(fate, fate)}" for fate in dict.fromkeys(fates))
    yield "files", f"{len(files)} ({counts}), {bytes_words(sum(file.size for file in files))}"
    for file in files[:_FILES_SHOWN]:
        yield "file", f"{file.name} {'<-' if file.fate in _INWARD else '->'} {file.place}"
    if len(files) > _FILES_SHOWN:
        yield "file", f"and {len(files) - _FILES_SHOWN} more"


_INWARD: Final = frozenset({"received", "unchanged"})


def _tar_path(output: str) -> str:
    """Return the path of the archive that an image was written to; empty for another kind of output."""
    kind, _, path = output.partition(":")
    row = TRANSPORTS.get(kind)
    return path if row and row.member else ""


def time_text(time: datetime | None) -> str | None:
    """Return *time* as JSON has it, to the millisecond."""
    return time.isoformat(timespec="milliseconds") if time else None


def _result_words(step: RunResult) -> str:
    if step.skipped:
        return f"skipped: {step.skipped}"
    if step.ignored:
        return f"failed, and ignored: {step.ignored}"
    if step.failed:
        return f"failed: {step.failed}"
    destination = (
        ", ".join(step.references or step.destinations)
        or _files_words(step)
        or (step.published.url if step.published else "built")
    )
    if step.earlier:
        return f"resumed: {destination}"
    return f"{destination}, in {len(step.failures) + 1} attempts" if step.failures else destination


def _files_words(step: RunResult) -> str:
    return f"{len(step.files)} file{'' if len(step.files) == 1 else 's'}" if step.files else ""


def _spans(steps: Iterable[RunResult]) -> tuple[float, list[tuple[float, float]]]:
    """Return the time of all steps in seconds, and for each step its start and its duration as shares of that."""
    spans = [(step.begun, sum(step.seconds.values())) for step in steps]
    real = [span for span in spans if any(span)]
    first = min((begun for begun, _ in real), default=0.0)
    whole = max((begun + took for begun, took in real), default=0.0) - first
    scale = whole or 1.0
    return whole, [((begun - first) / scale, took / scale) if begun or took else (0.0, 0.0) for begun, took in spans]


def _image_json(image: PushedImage) -> dict[str, Any]:
    return {
        "digest": str(image.digest),
        "mediaType": image.media_type,
        "platform": str(image.platform),
        "config": _blob_json(image.config),
        "layers": [_blob_json(layer) for layer in image.layers],
    }


def _blob_json(blob: PushedBlob) -> dict[str, Any]:
    return {"digest": str(blob.digest), "size": blob.size, "mediaType": blob.media_type, "fate": blob.fate}


def _traffic_json(traffic: Traffic | None) -> dict[str, Any] | None:
    if traffic is None:
        return None
    counts = {name: getattr(traffic, name) for name in ("read", "sent", "again", "mounted", "skipped")}
    return {**counts, "seconds": {work: round(seconds, 3) for work, seconds in traffic.seconds.items()}}


def _moved_words(traffic: Traffic) -> str:
    counts = {
        "read": traffic.read,
        "sent": traffic.sent,
        "of it again": traffic.again,
        "mounted": traffic.mounted,
        "already there": traffic.skipped,
    }
    return ", ".join(f"{bytes_words(count)} {what}" for what, count in counts.items() if count) or "nothing"


def _spent_words(traffic: Traffic) -> str:
    """Return what the threads of a push spent their time on; together, they may spend more than the push took."""
    return ", ".join(f"{work} {seconds:.1f} s" for work, seconds in traffic.seconds.items()) + " (all threads)"


_OUTCOMES = {"sent": "sent", "mounted": "mounted", "exists": "already there"}


def _layers_words(image: PushedImage) -> str:
    fates = [blob.fate for blob in image.layers]
    counts = ", ".join(f"{fates.count(fate)} {words}" for fate, words in _OUTCOMES.items() if fate in fates)
    return f"{len(fates)} ({counts or 'none'}), {bytes_words(image.sent)} sent, {image.platform.label}"


def _layers(image: PushedImage) -> Table:
    """Return the layers of *image*, each with a bar of its size."""
    most = max((layer.size for layer in image.layers), default=0) or 1
    rows = [
        (
            str(layer.digest)[:19],
            bytes_words(layer.size),
            Cell(_OUTCOMES[layer.fate], layer.size / most, hue=HUES[layer.fate]),
        )
        for layer in image.layers
    ]
    return Table(rows, (f"layer of {image.platform.label}", "size", "what happened"), numbers=("size",))


def _files_table(files: Sequence[TransferredFile]) -> Table:
    rows = [
        (file.name, bytes_words(file.size), _OUTCOMES.get(file.fate, file.fate), file.place)
        for file in files[:_FILES_IN_NOTEBOOK]
    ]
    more = f"the first {len(rows)} of {len(files)} files" if len(files) > len(rows) else ""
    return Table(rows, ("file", "size", "what happened", "in Artifactory"), caption=more, numbers=("size",))
