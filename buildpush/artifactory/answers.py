"""Artifactory's answers, typed: read key by key, since something else may have answered in its place."""

from __future__ import annotations

from typing import Final
from urllib.parse import unquote

from buildpush.artifactory.document import BuildInfo
from buildpush.artifactory.reading import Reading
from buildpush.foundation import strict_json
from buildpush.foundation.errors import BuildInfoError, SourceError
from buildpush.foundation.records import dataclass
from buildpush.http.messages import Answer
from buildpush.http.words import error_in, is_page


@dataclass(frozen=True, slots=True)
class RepositoryFacts:
    """A repository, as Artifactory describes it.

    Attributes:
        kind: ``local``, ``remote``, ``virtual`` or ``federated``.
        deploys_to: for a virtual one, the key of the repository that stores what is pushed; else ``""``.
        members: for a virtual one, the keys of the repositories in it, as far as the account may see them.
    """

    key: str
    kind: str
    package_type: str
    deploys_to: str = ""
    members: tuple[str, ...] = ()

    @property
    def physical(self) -> tuple[str, ...]:
        """Keys of the repositories that hold its files, the most likely first."""
        if self.kind == "virtual":
            return tuple(dict.fromkeys(filter(None, (self.deploys_to, *self.members))))
        return (f"{self.key}-cache",) if self.kind == "remote" else (self.key,)


@dataclass(frozen=True, slots=True)
class FileFacts:
    """Checksums of one stored file, as lower-case hex."""

    sha1: str
    md5: str
    sha256: str


NO_FILE_FACTS: Final = FileFacts("", "", "")


@dataclass(frozen=True, slots=True)
class StoredFile:
    """One file that a search or a list has found, with its checksums; old servers list only sha1.

    Attributes:
        repository: key of the physical repository in the answer to a search; the one that was asked in a list.
    """

    repository: str
    path: str
    facts: FileFacts

    @property
    def directory(self) -> str:
        """Path of its directory inside the repository."""
        return self.path.rpartition("/")[0]


@dataclass(frozen=True, slots=True)
class PublishedRun:
    """One published run of a build; *started* is the text that the server sent."""

    number: str
    started: str

    def cells(self) -> dict[str, str]:
        """Return what a list of runs shows."""
        return {"number": self.number, "started": self.started}


@dataclass(frozen=True, slots=True)
class Message:
    """What the server says of a promotion; *level* is in capitals: ``INFO``, ``WARNING`` or ``ERROR``."""

    level: str
    text: str


def promotion_message(reading: Reading) -> Message:
    """Return one message in the answer to a promotion; old and new servers write the level in other letters."""
    return Message(reading.text("level").upper(), reading.text("message"))


@dataclass(frozen=True, slots=True)
class NamedBuild:
    """A build, and when its last run started, as text of the server."""

    name: str
    started: str

    def cells(self) -> dict[str, str]:
        """Return what a list of builds shows."""
        return {"build": self.name, "last run": self.started}


def named_build(reading: Reading) -> NamedBuild:
    """Return one entry of an answer that lists all builds; their names are escaped, as in addresses."""
    return NamedBuild(unquote(reading.text("uri", needed=True).removeprefix("/")), reading.text("lastStarted"))


def wrapped_build(reading: Reading) -> BuildInfo | None:
    """Return the build-info inside the wrapper of an answer, or ``None``."""
    return BuildInfo.parse(reading.others().get("buildInfo"))


def published_run(reading: Reading) -> PublishedRun:
    """Return the published run that an entry of an answer describes."""
    return PublishedRun(reading.text("uri").removeprefix("/"), reading.text("started"))


def repository_facts(key: str, reading: Reading) -> RepositoryFacts:
    """Return the facts about repository *key* in an answer."""
    kind = reading.text("rclass") or reading.text("type").lower()
    package_type, deploys_to = reading.text("packageType").lower(), reading.text("defaultDeploymentRepo")
    return RepositoryFacts(key, kind, package_type, deploys_to, reading.list_of_texts("repositories"))


def file_facts(reading: Reading) -> FileFacts:
    """Return the checksums in an answer about one file."""
    return FileFacts(reading.text("sha1"), reading.text("md5"), reading.text("sha256"))


def listed_file(repository: str, directory: str, reading: Reading) -> StoredFile:
    """Return one entry of an answer that lists the files below *directory*."""
    facts = FileFacts(reading.text("sha1"), reading.text("md5"), reading.text("sha2"))
    path = reading.text("uri").lstrip("/")
    return StoredFile(repository, _inside(reading, "uri", f"{directory}/{path}" if directory else path), facts)


def found_file(reading: Reading) -> StoredFile:
    """Return one row of the answer to a search; a file at the top of a repository has the path ``.``."""
    facts = FileFacts(reading.text("actual_sha1"), reading.text("actual_md5"), reading.text("sha256"))
    directory, name = reading.text("path", needed=True), reading.text("name", needed=True)
    path = name if directory == "." else f"{directory}/{name}"
    return StoredFile(reading.text("repo", needed=True), _inside(reading, "path", path), facts)


def _inside(reading: Reading, key: str, path: str) -> str:
    """Return *path*, which requests will name, if it leads nowhere else."""
    if not {".", ".."}.isdisjoint(path.split("/")):
        raise reading.wrong(key, "a path inside the repository")
    return path


def json_object(answer: Answer) -> Reading:
    """Return the JSON object in *answer*.

    Raises:
        BuildInfoError: it is not a JSON object, but for example a proxy's page.
    """
    try:
        return Reading(strict_json.parse(answer.body), "the answer")
    except (ValueError, SourceError) as error:
        message = f"{answer.url.partition('?')[0]} answers with something that is not a JSON object"
        hint = "check the address of Artifactory, and whether a proxy answers in its place"
        raise BuildInfoError(message, hint=hint) from error


def version_in(answer: Answer) -> str:
    """Return the version that Artifactory sends with every answer, as in ``Artifactory/7.104.5 70001``; else empty."""
    words = (answer.headers.get("X-JFrog-Version") or "").split()
    name, _, version = words[0].partition("/") if words else ("", "", "")
    return version if name == "Artifactory" else ""


def message_of(body: bytes) -> str:
    """Return the server's message in the body of an error: one line of at most 2048 characters."""
    words = error_in(body)[1] or "no explanation"
    return f"answered with {words}" if is_page(body) else words
