"""The build-info document, typed, with its conversion to JSON and back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

from buildpush import __version__
from buildpush.artifactory.reading import Reading, load_json
from buildpush.display.tables import Table, shows_itself
from buildpush.foundation.errors import SettingsError, SourceError
from buildpush.foundation.records import dataclass
from buildpush.foundation.text import one_line

ENVIRONMENT_PREFIX = "buildInfo.env."
# The names of the file that every image has, and its directory is known by.
MANIFESTS: Final = frozenset({"manifest.json", "list.manifest.json"})
_FILES_SHOWN: Final = 100

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)

Others = Mapping[str, Any]
Record = TypeVar("Record")


def milliseconds(moment: datetime) -> int:
    """Return *moment* in whole milliseconds since 1970, as in Artifactory's ``build.timestamp``."""
    return (moment - _EPOCH) // _MILLISECOND


def started_text(moment: datetime) -> str:
    """Return *moment* as text for Artifactory and ``jf``: in UTC, with milliseconds and ``+0000``, never ``Z``."""
    text = moment.astimezone(UTC).isoformat(timespec="milliseconds")
    return text.removesuffix("+00:00") + "+0000"


def started_from(text: str) -> datetime | None:
    """Return the time in *text*, cut to milliseconds; ``None`` if it is not an ISO time with an offset."""
    try:
        moment = datetime.fromisoformat(text)
        return _cut(moment) if moment.tzinfo else None
    except (ValueError, OverflowError):
        return None


def _started(reading: Reading, key: str) -> datetime:
    started = started_from(reading.text(key, needed=True))
    if started is None:
        raise reading.wrong(key, "a time such as 2026-10-01T12:00:00.123+0000")
    return started


def _cut(moment: datetime) -> datetime:
    moment = moment.astimezone(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


@dataclass(frozen=True, slots=True)
class Agent:
    """A program that took part in a build, and its version."""

    name: str
    version: str = ""


@dataclass(frozen=True, slots=True)
class VcsEntry:
    """Where the sources came from."""

    url: str = ""
    revision: str = ""
    branch: str = ""
    message: str = ""
    others: Others = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AffectedIssue:
    """An issue that a commit of the build is about.

    Attributes:
        aggregated: whether it is of an earlier run.
    """

    key: str = ""
    url: str = ""
    summary: str = ""
    aggregated: bool = False
    others: Others = field(default_factory=dict)

    def __str__(self) -> str:
        summary = f": {self.summary}" if self.summary else ""
        address = f" {self.url}" if self.url else ""
        return f"{self.key}{summary}{address}{' (of an earlier run)' if self.aggregated else ''}"


@dataclass(frozen=True, slots=True)
class Tracker:
    """The system that has the issues, and its version."""

    name: str = ""
    version: str = ""
    others: Others = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Issues:
    """The issues that the commits since the last run are about.

    Attributes:
        aggregate: whether the server adds those of earlier runs, until one has *aggregation_status*.
    """

    tracker: Tracker = Tracker()
    aggregate: bool = False
    aggregation_status: str = ""
    affected: tuple[AffectedIssue, ...] = ()
    others: Others = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Artifact:
    """One file of the build in Artifactory.

    Attributes:
        path: inside the repository, with the file's name.
        repository: key of the physical repository (``originalDeploymentRepo``).
        sha1: in hex, or ``""`` if unknown, like the other checksums.
        others: keys that buildpush does not know, kept unchanged, as in the other records.
    """

    name: str
    path: str = ""
    repository: str = ""
    sha256: str = ""
    sha1: str = ""
    md5: str = ""
    type: str = ""
    others: Others = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Dependency:
    """One file that the build used."""

    id: str
    sha256: str = ""
    sha1: str = ""
    md5: str = ""
    others: Others = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Module:
    """One image, or one platform of it, with the files that make it up."""

    id: str
    type: str = "docker"
    properties: Mapping[str, str] = field(default_factory=dict)
    artifacts: tuple[Artifact, ...] = ()
    dependencies: tuple[Dependency, ...] = ()
    parent: str = ""
    others: Others = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildRecord:
    """What the receipt of a push does not say about its build.

    Attributes:
        started: time with a time zone; cut to milliseconds, it is part of the run's identity.
        url: page of the run at the CI system.
        project: key of the JFrog project, or ``""``.
        module: id of the module instead of ``name:tag``, or ``""``.
        compat: ``jf`` for the document that ``jf`` writes, or ``""``.
        environment: names and values to record, as :func:`~buildpush.artifactory.allowed_environment` returns them.
        principal: who triggered the run at the CI system.
        artifactory_principal: user at Artifactory; the server replaces it by the authenticated user.
        duration_ms: milliseconds since *started*, or 0 if not measured.

    Raises:
        SettingsError: the name or number is empty, begins with a dot, which Artifactory refuses, or contains an
            invisible character; or *started* has no time zone.
    """

    name: str
    number: str
    started: datetime
    url: str = ""
    project: str = ""
    module: str = ""
    compat: str = ""
    vcs: tuple[VcsEntry, ...] = ()
    issues: Issues = Issues()
    environment: Mapping[str, str] = field(default_factory=dict)
    principal: str = ""
    artifactory_principal: str = ""
    duration_ms: int = 0
    agent: Agent = Agent("buildpush", __version__)
    build_agent: Agent = Agent("GENERIC", __version__)

    def __post_init__(self) -> None:
        check_identity("name", self.name)
        check_identity("number", self.number)
        if self.started.tzinfo is None:
            message = "the start time of a build needs a time zone"
            raise SettingsError(message)


def check_identity(what: str, text: str) -> None:
    """Refuse a build name or number that Artifactory would refuse.

    Raises:
        SettingsError: see :class:`BuildRecord`.
    """
    problem = None
    if not text.strip():
        problem = "is empty"
    elif text.startswith("."):
        problem = "begins with a dot, which Artifactory refuses"
    elif not text.isprintable():
        problem = "contains a line break or another invisible character"
    if problem:
        message = f"the build {what} {text!r} {problem}"
        raise SettingsError(message, setting=f"build_{what}")


@shows_itself
@dataclass(frozen=True, slots=True, kw_only=True)
class BuildInfo:
    """One run of a build, as Artifactory stores it.

    Attributes:
        started: in UTC, whole milliseconds.
        properties: the environment (keys begin with ``buildInfo.env.``) and other properties.
        project: key of the JFrog project; it is also sent in the address.
    """

    name: str
    number: str
    started: datetime
    modules: tuple[Module, ...] = ()
    agent: Agent = Agent("buildpush", __version__)
    build_agent: Agent = Agent("GENERIC", __version__)
    duration_ms: int = 0
    properties: Mapping[str, str] = field(default_factory=dict)
    artifactory_principal: str = ""
    principal: str = ""
    url: str = ""
    issues: Issues = Issues()
    vcs: tuple[VcsEntry, ...] = ()
    project: str = ""
    others: Others = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "started", _cut(self.started))

    @property
    def timestamp(self) -> int:
        """``started`` as milliseconds since 1970."""
        return milliseconds(self.started)

    @property
    def artifacts(self) -> tuple[Artifact, ...]:
        """Every file of every module, each once."""
        every = {(a.repository, a.path or a.name, a.sha256): a for module in self.modules for a in module.artifacts}
        return tuple(every.values())

    @property
    def environment(self) -> dict[str, str]:
        """The variables among the properties, by their names."""
        start = ENVIRONMENT_PREFIX
        return {key.removeprefix(start): text for key, text in self.properties.items() if key.startswith(start)}

    def rows(self) -> Iterator[tuple[str, str]]:
        """Yield a label and a text for each fact, module and promotion."""
        yield "build", f"{self.name} {self.number}"
        yield "started", started_text(self.started)
        agent = f"{self.agent.name} {self.agent.version}".strip()
        facts = {"page": self.url, "triggered by": self.principal, "published by": self.artifactory_principal}
        yield from ((label, text) for label, text in {**facts, "agent": agent}.items() if text)
        for source in self.vcs:
            branch = f" ({source.branch})" if source.branch else ""
            message = f": {source.message.strip().splitlines()[0]}" if source.message.strip() else ""
            yield "source", f"{source.url} {source.revision}{branch}{message}".strip()
        yield from (("issue", str(issue)) for issue in self.issues.affected)
        for module in self.modules:
            yield "module", _module_words(module)
            yield from (("image", name) for name in module.properties.get("docker.image.tag", "").split(",") if name)
            yield from (("digest", f"sha256:{one.sha256}") for one in module.artifacts if one.name in MANIFESTS)
        if self.environment:
            yield "environment", ", ".join(self.environment)
        yield from (("promotion", text) for text in _promotions(self.others.get("statuses")))

    def tables(self) -> Iterator[Table]:
        """Yield what a notebook shows: the facts, then the files of each module."""
        yield Table(tuple(self.rows()))
        files = [
            (
                one.id,
                file.name[:20] if file.name.startswith("sha256__") else file.path,
                file.repository,
                file.sha256[:12],
            )
            for one in self.modules
            for file in one.artifacts
        ]
        if files:
            yield Table(files[:_FILES_SHOWN], ("module", "file", "repository", "sha256"), f"{len(files)} files")

    def __str__(self) -> str:
        return "\n".join(f"{label:<14}{one_line(text)}".rstrip() for label, text in self.rows())

    def document(self) -> dict[str, Any]:
        """Return the JSON document for Artifactory: keys in the order of ``jf``, without empty values."""
        return _document(self)

    @classmethod
    def parse(cls, document: object) -> BuildInfo:
        """Return the build-info in *document*, JSON from a file or a server.

        Keys that buildpush does not know are kept, so that a document written by another tool stays complete.

        Raises:
            SourceError: a key is missing or has another type; the message names it, such as ``modules[0].id``.
        """
        return _read(cls, Reading(document))

    @classmethod
    def load(cls, path: Path) -> BuildInfo:
        """Return the build-info in the file *path*, bare or inside the server's ``buildInfo`` wrapper.

        Raises:
            SourceError: the file cannot be read, or is not a build-info.
        """
        document = load_json(path)
        if isinstance(document, Mapping) and isinstance(document.get("buildInfo"), Mapping):
            document = document["buildInfo"]
        try:
            return cls.parse(document)
        except SourceError as error:
            message = f"this is not a build-info: {error}"
            raise SourceError(message, where=str(path)) from error


def _document(record: object) -> dict[str, Any]:
    """Return a record as JSON types: without empty values, as ``jf`` writes it, and with unknown keys at the end."""
    values = ((key.name, key.form.write(getattr(record, key.attribute or key.name))) for key in _KEYS[type(record)])
    return {name: value for name, value in values if value} | dict(getattr(record, "others", {}))


def _read(kind: type[Record], reading: Reading) -> Record:
    """Return the record that *reading* holds."""
    values = {key.attribute or key.name: key.form.read(reading, key.name) for key in _KEYS[kind]}
    return kind(**values, **({"others": reading.others()} if hasattr(kind, "others") else {}))


class _Form(NamedTuple):
    """How a value is read from JSON, and how it is written."""

    read: Callable[[Reading, str], Any]
    write: Callable[[Any], Any] = lambda value: value


def _each(kind: type) -> _Form:
    return _Form(
        lambda reading, key: reading.each(key, partial(_read, kind)),
        lambda records: [_document(record) for record in records],
    )


def _one(kind: type[Record], missing: Record) -> _Form:
    return _Form(lambda reading, key: reading.one(key, partial(_read, kind), missing), _document)


_TEXT = _Form(Reading.text)
_NEEDED = _Form(partial(Reading.text, needed=True))
_NUMBER = _Form(Reading.number)
_FLAG = _Form(Reading.flag)
_TEXTS = _Form(Reading.texts, lambda texts: dict(sorted(texts.items())))
_MOMENT = _Form(_started, started_text)
_AGENT = _one(Agent, Agent(""))


class _Key(NamedTuple):
    """A key in JSON; *attribute* is the attribute for it, if that has another name; *says* is its meaning."""

    name: str
    says: str
    form: _Form = _TEXT
    attribute: str = ""


_CHECKSUMS = (
    _Key("sha1", "SHA-1 of the file, by which Artifactory finds it."),
    _Key("md5", "MD5 of the file."),
    _Key("sha256", "SHA-256 of the file: the digest of a manifest, a config or a layer."),
)
# The JSON form of each record, with its keys in the order of jf.
_KEYS: Mapping[type, tuple[_Key, ...]] = {
    Agent: (_Key("name", "Name of the program."), _Key("version", "Its version.")),
    VcsEntry: (
        _Key("url", "Address of the repository, without credentials."),
        _Key("revision", "The commit."),
        _Key("branch", "The branch, if one is checked out."),
        _Key("message", "The message of the commit."),
    ),
    AffectedIssue: (
        _Key("key", "Key of the issue, such as `SHOP-12`."),
        _Key("url", "Page of the issue."),
        _Key("summary", "What the commit says of it."),
        _Key("aggregated", "`true` for an issue of an earlier run, which the server has added.", _FLAG),
    ),
    Tracker: (_Key("name", "Name of the tracker."), _Key("version", "Its version.")),
    Issues: (
        _Key("tracker", "The system that has the issues.", _one(Tracker, Tracker())),
        _Key("aggregateBuildIssues", "`true` if the server adds the issues of earlier runs.", _FLAG, "aggregate"),
        _Key("aggregationBuildStatus", "Status of the run with which that begins.", attribute="aggregation_status"),
        _Key("affectedIssues", "The issues, with what the commits say of them.", _each(AffectedIssue), "affected"),
    ),
    Artifact: (
        _Key("name", "Name of the file: `manifest.json`, `list.manifest.json` or `sha256__` and hex.", _NEEDED),
        _Key("type", "`json` for manifests."),
        _Key("path", "Path in the repository, with the name; none, if the file was not found."),
        _Key("originalDeploymentRepo", "Key of the physical repository that has the file.", attribute="repository"),
        *_CHECKSUMS,
    ),
    Dependency: (
        _Key("id", "`sha256__` and hex, for a layer of the base image.", _NEEDED),
        *_CHECKSUMS,
    ),
    Module: (
        _Key("type", "`docker` for images, in repositories of type OCI as well; `generic` for uploads."),
        _Key("properties", "Facts about the image, such as `docker.image.tag` and `docker.image.id`.", _TEXTS),
        _Key("id", "Name and tag of the image; a platform of an index has its platform in front.", _NEEDED),
        _Key("artifacts", "The files that were made.", _each(Artifact)),
        _Key("dependencies", "The files that were used.", _each(Dependency)),
        _Key("parent", "Path and tag of the index that a platform belongs to."),
    ),
    BuildInfo: (
        _Key("name", "Name of the build.", _NEEDED),
        _Key("number", "Its number; any text.", _NEEDED),
        _Key("agent", "The program that ran the build.", _AGENT),
        _Key("buildAgent", "The program that built.", _AGENT, "build_agent"),
        _Key("modules", "What was made: a module for each image, platform and upload.", _each(Module)),
        _Key("started", "When the run began; with name and number, this is its identity.", _MOMENT),
        _Key("durationMillis", "Milliseconds until the document was made.", _NUMBER, "duration_ms"),
        _Key("properties", "The environment, each name after `buildInfo.env.`.", _TEXTS),
        _Key("artifactoryPrincipal", "Who published it, as the server says.", attribute="artifactory_principal"),
        _Key("principal", "Who began the run at the CI system."),
        _Key("url", "Page of the run at the CI system."),
        _Key("issues", "The issues that the commits since the last run are about.", _one(Issues, Issues())),
        _Key("vcs", "The sources.", _each(VcsEntry)),
        _Key("project", "Key of the JFrog project."),
    ),
}
_NESTED: Mapping[str, type] = {
    "agent": Agent,
    "buildAgent": Agent,
    "modules": Module,
    "artifacts": Artifact,
    "dependencies": Dependency,
    "issues": Issues,
    "tracker": Tracker,
    "affectedIssues": AffectedIssue,
    "vcs": VcsEntry,
}


def fields(record: type = BuildInfo, before: str = "") -> Iterator[tuple[str, str]]:
    """Yield the path of each key of the document, such as ``modules.artifacts.sha1``, and its meaning in Markdown."""
    for key in _KEYS[record]:
        yield f"{before}{key.name}", key.says
        if key.name in _NESTED:
            yield from fields(_NESTED[key.name], f"{before}{key.name}.")


def _module_words(module: Module) -> str:
    counts = ((len(module.artifacts), "file", "files"), (len(module.dependencies), "dependency", "dependencies"))
    words = [f"{count} {one if count == 1 else many}" for count, one, many in counts if count]
    return f"{module.id} ({module.type or 'no type'}): {', '.join(words) or 'no files'}"


def _promotions(statuses: object) -> Iterator[str]:
    """Yield a text for each entry of the history, which the server adds to the document."""
    for entry in statuses if isinstance(statuses, list) else ():
        if not isinstance(entry, Mapping):
            continue
        yield ", ".join(f"{key} {entry[key]}" for key in _SHOWN if entry.get(key))


_SHOWN: Final = ("timestamp", "status", "repository", "user", "comment")
