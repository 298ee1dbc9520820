"""Artifactory's REST interface: one method per endpoint, nothing decided here.

Source: JFrog documentation, "Artifactory REST APIs"; the accepted status codes are those of jfrog-client-go.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from functools import partial
from typing import Final, TypeVar
from urllib.parse import quote

from buildpush.artifactory.authorization import api_key, authorization, who
from buildpush.artifactory.document import BuildInfo, started_text
from buildpush.artifactory.reading import Reading
from buildpush.credentials.docker import Credential
from buildpush.foundation import strict_json
from buildpush.foundation.errors import AuthenticationError, BuildInfoError, BuildPushError, SettingsError, SourceError
from buildpush.foundation.events import Decision, Sink, ignore
from buildpush.foundation.records import dataclass
from buildpush.http.client import Answer, Http, scheme_for
from buildpush.http.urls import Address, AddressError, user_info
from buildpush.http.words import is_page, said_in
from buildpush.images.references import Repository, check_host

T = TypeVar("T")

_LOGIN_HINT = "check the token, or user and password, whether they have expired, and that they are for this host"
_NO_LOGIN_HINT = "set JF_URL and JF_ACCESS_TOKEN, or JF_URL, JF_USER and JF_PASSWORD"
_BUILD_INFO_TYPE = "application/vnd.org.jfrog.artifactory+json"
_IMAGE_PACKAGES = frozenset({"docker", "oci"})

# Statuses of the answers, as jfrog-client-go accepts them.
_OK = frozenset({200})
_OK_OR_MISSING = frozenset({200, 404})
_WRITTEN = frozenset({200, 201, 204})
_MISSING = 404
_UNAUTHORIZED = 401
_FORBIDDEN = 403
# A list of files is not offered by every edition, nor to everybody.
_LIST_ANSWERS = frozenset({200, 400, 403, 404, 405, 501})
# An unknown repository key is "Bad Request".
_REPOSITORY_ANSWERS = frozenset({200, 400, 403, 404})


class RefusedError(BuildInfoError):
    """Artifactory answered, and the answer says no.

    Attributes:
        status: HTTP status of the answer.
    """

    def __init__(self, message: str, *, status: int, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.status = status


_BEFORE_7 = frozenset("123456")  # major versions with other pages


@dataclass(frozen=True, slots=True)
class RepositoryFacts:
    """What Artifactory says about a repository.

    Attributes:
        kind: ``local``, ``remote``, ``virtual`` or ``federated``.
        deploys_to: of a virtual one, the key of the repository that takes what is pushed; else ``""``.
    """

    key: str
    kind: str
    package_type: str
    deploys_to: str = ""


@dataclass(frozen=True, slots=True)
class FileFacts:
    """Checksums of one stored file, as lower-case hex."""

    sha1: str
    md5: str
    sha256: str


_NOTHING: Final = FileFacts("", "", "")


@dataclass(frozen=True, slots=True)
class ListedFile:
    """One file of a list: its path in the repository, and its checksums, of which old servers tell only sha1."""

    path: str
    facts: FileFacts


@dataclass(frozen=True, slots=True)
class Run:
    """One published run of a build; *started* as the server writes it."""

    number: str
    started: str


@dataclass(frozen=True, slots=True)
class Home:
    """Where Artifactory keeps the images of a repository.

    Attributes:
        repository_key: of the physical repository.
        prefix: what stands before the image's own path in a reference; see :func:`buildpush.artifactory.describe`.
    """

    repository_key: str
    prefix: str


def base_url(text: str, http: Http) -> str:
    """Return *text* as the address of an Artifactory, ending in ``/artifactory/``.

    Taken as well: the platform's address, a page of its interface, an address below ``/artifactory/``, and a host
    alone, which is https but for this machine and insecure hosts.

    Raises:
        SettingsError: it is no http address, carries a password, or would send ours without TLS.
    """
    text = text.strip() if "://" in text else f"{scheme_for(text.strip().partition('/')[0], http)}://{text.strip()}"
    if user_info(text):
        message = "the address of Artifactory holds a user or password"
        hint = "give them as settings of their own, by reference; then the address can be shown"
        raise SettingsError(message, hint=hint, setting="artifactory_url")
    address = _read(text)
    host = check_host(address.netloc)
    if address.scheme == "http" and scheme_for(host, http) != "http":
        message = f"credentials do not travel to {host} without TLS"
        hint = "write https://; or, for a host of your own, use a connector with http:// in its dockerRegistryUrl"
        raise SettingsError(message, hint=hint, setting="artifactory_url")
    return f"{address.scheme}://{host}{_path_before_artifactory(address.path)}/artifactory/"


def _read(text: str) -> Address:
    try:
        return Address.parse(text)
    except AddressError as error:
        message = "this is no address of an Artifactory"
        hint = "write https://HOST/artifactory/"
        raise SettingsError(message, hint=hint, setting="artifactory_url") from error


def _path_before_artifactory(path: str) -> str:
    """Return the part of *path* that a proxy put before Artifactory's own."""
    names = [name for name in path.split("/") if name]
    for mark in ("artifactory", "ui"):
        if mark in names:
            names = names[: names.index(mark)]
    return "".join(f"/{name}" for name in names)


def _segments(*names: str) -> str:
    """Return *names* as path segments: a slash, colon, blank or percent sign inside a name stays inside it.

    Raises:
        BuildInfoError: a name would lead elsewhere; documents may come from anybody.
    """
    if {"", ".", ".."} & set(names):
        message = f"{'/'.join(names)!r} is no path in a repository"
        raise BuildInfoError(message)
    return "/".join(quote(name, safe="") for name in names)


class Artifactory:
    """One Artifactory server and who we are for it.

    Args:
        url: as :func:`base_url` takes it.
        http: shared with the registry; it repeats what may be repeated.
    """

    def __init__(self, url: str, http: Http, credential: Credential | None = None, *, sink: Sink = ignore) -> None:
        self.url = base_url(url, http)
        self.credential = credential
        self._http = http
        self._sink = sink
        self._seen_version = ""
        self._known: dict[str, RepositoryFacts | None] = {}
        self._told: set[str] = set()

    @property
    def host(self) -> str:
        """Host and port."""
        return Address.parse(self.url).netloc

    @property
    def platform_url(self) -> str:
        """Address of the JFrog platform, which has the pages for people; ends in a slash."""
        return self.url.removesuffix("artifactory/")

    # ---- endpoints

    def version(self) -> str:
        """Return the server's version, such as ``7.104.5``; asked for only where no answer told it yet."""
        if not self._seen_version:
            answer = self._ask("GET", "api/system/version", accept=_OK)
            self._seen_version = self._understood(answer, lambda document: document.text("version", needed=True))
        return self._seen_version

    def repository(self, key: str) -> RepositoryFacts | None:
        """Return what is known about repository *key*; ``None`` where there is none, or we may not look at it.

        It is asked for once.
        """
        if key not in self._known:
            answer = self._ask("GET", f"api/repositories/{_segments(key)}", accept=_REPOSITORY_ANSWERS)
            there = answer.status in _OK
            self._known[key] = self._understood(answer, partial(_repository_facts, key)) if there else None
        return self._known[key]

    def file(self, key: str, path: str) -> FileFacts | None:
        """Return the checksums of the file at *path* in repository *key*, or ``None`` where there is none."""
        answer = self._ask("GET", self._storage(key, path), accept=_OK_OR_MISSING)
        if answer.status == _MISSING:
            return None
        return self._understood(answer, lambda document: document.one("checksums", _file_facts, _NOTHING))

    def files_below(self, key: str, folder: str) -> tuple[ListedFile, ...] | None:
        """Return every file below *folder* of repository *key*; ``None`` where the server gives us no such list."""
        answer = self._ask("GET", f"{self._storage(key, folder)}?list&deep=1&listFolders=0", accept=_LIST_ANSWERS)
        if answer.status == _MISSING:
            return ()
        if answer.status not in _OK:
            return None
        return self._understood(answer, lambda document: document.each("files", partial(_listed_file, folder)))

    def properties(self, key: str, path: str) -> Mapping[str, tuple[str, ...]]:
        """Return the properties of one file; where it has none, or is not there, an empty mapping."""
        answer = self._ask("GET", f"{self._storage(key, path)}?properties", accept=_OK_OR_MISSING)
        if answer.status == _MISSING:
            return {}
        return self._understood(answer, lambda document: document.lists_of_texts("properties"))

    def remove_properties(self, key: str, path: str, names: Collection[str]) -> None:
        """Take properties away from one file; it does not matter if it is not there."""
        listed = quote(",".join(names), safe=",")
        self._ask("DELETE", f"{self._storage(key, path)}?properties={listed}&recursive=0", accept=_WRITTEN | {_MISSING})

    def set_properties(self, key: str, path: str, properties: Mapping[str, str]) -> bool:
        """Set *properties* on one file; ``False`` where there is no such file (or *key* is a virtual repository)."""
        query = f"?properties={property_query(properties)}&recursive=0"
        answer = self._ask("PUT", f"{self._storage(key, path)}{query}", accept=_WRITTEN | {_MISSING})
        return answer.status != _MISSING

    def put_build(self, info: BuildInfo) -> None:
        """Store *info*; a run of the same name, number and start is replaced."""
        body = json.dumps(info.document()).encode()
        headers = {"Content-Type": _BUILD_INFO_TYPE}
        self._ask("PUT", f"api/build{_query(project=info.project)}", accept=_WRITTEN, body=body, headers=headers)

    def get_build(
        self, name: str, number: str, started: datetime | None = None, *, project: str = ""
    ) -> BuildInfo | None:
        """Return one run of a build: the one that *started* then, else the newest; ``None`` where there is none.

        Raises:
            BuildInfoError: the answer is no build-info.
        """
        query = _query(started=started_text(started) if started else None, project=project)
        answer = self._ask("GET", f"api/build/{_segments(name, number)}{query}", accept=_OK_OR_MISSING)
        if answer.status == _MISSING:
            return None
        return self._understood(answer, _wrapped_build)

    def runs(self, name: str, *, project: str = "") -> tuple[Run, ...]:
        """Return the published runs of build *name*, newest first; equal numbers may appear several times."""
        answer = self._ask("GET", f"api/build/{_segments(name)}{_query(project=project)}", accept=_OK_OR_MISSING)
        if answer.status == _MISSING:
            return ()
        return self._understood(answer, lambda document: document.each("buildsNumbers", _run))

    # ---- what follows from them

    def build_page(self, info: BuildInfo) -> str:
        """Return the address of the page that shows the run of *info* to people.

        A server that does not tell its version is taken for one of today: no address is worth a failure.
        """
        if self._told_or_asked_version().partition(".")[0] in _BEFORE_7:
            return f"{self.url}webapp/#/builds/{_segments(info.name, info.number)}"
        repository = f"{info.project or 'artifactory'}-build-info"
        query = _query(buildRepo=repository, projectKey=info.project)
        return f"{self.platform_url}ui/builds/{_segments(info.name, info.number, str(info.timestamp))}/published{query}"

    def _told_or_asked_version(self) -> str:
        try:
            return self.version()
        except BuildPushError:
            return ""

    def locate(self, repository: Repository, told: str | None = None) -> Home:
        """Return where the images of *repository* are kept.

        Args:
            repository: as it stands in the references.
            told: key that the registry named (``X-Artifactory-Docker-Registry``).
                It may be that of a virtual repository, so the server is asked what it is.

        Raises:
            BuildInfoError: no repository of this Artifactory fits.
        """
        for key, prefix in _candidates(repository, told):
            facts = self.repository(key)
            if facts is None or facts.package_type not in _IMAGE_PACKAGES:
                continue
            return self._physical(facts, prefix)
        if told:  # the account may push there and may not look at its settings
            return likely_home(repository, told)
        message = f"{self.host} has no repository for {repository}, or does not show it to {who(self.credential)}"
        raise BuildInfoError(message, hint="does the image go to the registry of this Artifactory?", setting="repo")

    def _physical(self, facts: RepositoryFacts, prefix: str) -> Home:
        if facts.kind != "virtual":
            return Home(facts.key, prefix)
        if not facts.deploys_to:
            message = f"the virtual repository {facts.key} does not say where it keeps what is pushed"
            raise BuildInfoError(message, hint="push to the local repository behind it", setting="repo")
        if facts.key not in self._told:
            self._told.add(facts.key)
            reason = f"{facts.key} is a virtual repository that keeps what is pushed there"
            self._sink(Decision("repository of the build-info", facts.deploys_to, reason))
        return Home(facts.deploys_to, prefix)

    # ---- one request

    def _storage(self, key: str, path: str) -> str:
        return f"api/storage/{_segments(key, *path.split('/'))}"

    def _ask(
        self,
        method: str,
        path: str,
        *,
        accept: frozenset[int],
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        key = api_key(self.credential)
        answer = self._http.request(
            method,
            f"{self.url}{path}",
            headers={**(headers or {}), **({"X-JFrog-Art-Api": key} if key else {})},
            body=body,
            authorization=partial(authorization, self.credential),
            redirect=key is None,  # a header of ours would follow to any host
        )
        self._seen_version = self._seen_version or _told_version(answer)
        if answer.status not in accept:
            raise self._refusal(method, path, answer)
        return answer

    def _refusal(self, method: str, path: str, answer: Answer) -> AuthenticationError | RefusedError:
        words = message_of(answer.body)
        if answer.status == _UNAUTHORIZED:
            hint = _LOGIN_HINT if self.credential else _NO_LOGIN_HINT
            return AuthenticationError(f"{self._unknown()}: {words}", hint=hint, setting="artifactory_url")
        message = f"{self.host} answers {answer.status} to {method} {path.partition('?')[0]}: {words}"
        return RefusedError(message, status=answer.status, hint=self._remedy(answer.status, path))

    def _unknown(self) -> str:
        """Say that Artifactory does not know who we are, and who was shown to it."""
        if self.credential is None:
            return f"{self.host} wants credentials for Artifactory, and none were given"
        is_token = self.credential.kind == "access"
        what = "the token" if is_token else f"the user name or password of {self.credential.username!r}"
        return f"{self.host} refuses {what} for Artifactory (from {self.credential.source})"

    def _remedy(self, status: int, path: str) -> str | None:
        if status == _FORBIDDEN and path.startswith("api/storage"):
            return f"needed are the permissions Read and Annotate on the repository, for {who(self.credential)}"
        if status == _FORBIDDEN:
            return f"needed are the permissions Read and Deploy on builds, for {who(self.credential)}"
        if status == _MISSING:
            return f"is {self.url} the address of Artifactory?"
        return None

    def _understood(self, answer: Answer, read: Callable[[Reading], T]) -> T:
        try:
            return read(_object(answer))
        except SourceError as error:
            message = f"{self.host} answers with something else than was asked for: {error}"
            raise BuildInfoError(message) from error


def _wrapped_build(reading: Reading) -> BuildInfo | None:
    return BuildInfo.parse(reading.others().get("buildInfo"))


def _run(reading: Reading) -> Run:
    return Run(reading.text("uri").removeprefix("/"), reading.text("started"))


def _repository_facts(key: str, reading: Reading) -> RepositoryFacts:
    kind = reading.text("rclass") or reading.text("type").lower()
    return RepositoryFacts(key, kind, reading.text("packageType").lower(), reading.text("defaultDeploymentRepo"))


def _file_facts(reading: Reading) -> FileFacts:
    return FileFacts(reading.text("sha1"), reading.text("md5"), reading.text("sha256"))


def _listed_file(folder: str, reading: Reading) -> ListedFile:
    facts = FileFacts(reading.text("sha1"), reading.text("md5"), reading.text("sha2"))
    return ListedFile(f"{folder}/{reading.text('uri').lstrip('/')}", facts)


def _object(answer: Answer) -> Reading:
    """Return the JSON object in *answer*.

    Raises:
        BuildInfoError: a page or something else came instead, as from a proxy.
    """
    try:
        return Reading(strict_json.parse(answer.body), "the answer")
    except (ValueError, SourceError) as error:
        message = f"{answer.url.partition('?')[0]} answers with something that is no JSON object"
        raise BuildInfoError(message, hint="does a proxy stand in between?") from error


def _told_version(answer: Answer) -> str:
    """Return the version that stands in the headers of every answer: ``Artifactory/7.104.5 70001``."""
    words = (answer.headers.get("X-JFrog-Version") or "").split()
    name, _, version = words[0].partition("/") if words else ("", "", "")
    return version if name == "Artifactory" else ""


def property_query(properties: Mapping[str, str]) -> str:
    """Return *properties* as the query of ``api/storage`` wants them."""
    return "%3B".join(f"{quote(name, safe='')}={_property_value(value)}" for name, value in properties.items())


def _property_value(value: str) -> str:
    """A comma would begin a second value, a semicolon or bar a second property."""
    return quote("".join(f"\\{mark}" if mark in "\\,|=;" else mark for mark in value), safe="")


def _query(**pairs: str | None) -> str:
    given = "&".join(f"{name}={quote(value, safe='')}" for name, value in pairs.items() if value)
    return f"?{given}" if given else ""


def _candidates(repository: Repository, told: str | None) -> list[tuple[str, str]]:
    """Return what may be the repository key, likeliest first, each with the prefix that it leaves in the path.

    The three shapes of a JFrog registry: ``host/KEY/image``, ``KEY.host/image`` or ``name-KEY.jfrog.io/image``, and
    a port per key, which only the registry itself can tell.
    """
    first, slash, _ = repository.path.partition("/")
    label = repository.host.partition(":")[0].partition(".")[0]
    keys = [(first, f"{first}/")] if slash else []
    keys += [(told, "")] if told and told != first else []
    keys += [(label, ""), (label.partition("-")[2], "")] if not told and not label.isdigit() else []
    return [(key, prefix) for key, prefix in keys if key]


def likely_home(repository: Repository, told: str | None) -> Home:
    """Return where *repository* is kept if the registry *told* its key, or else the path begins with it."""
    key = told or repository.path.partition("/")[0]
    return Home(key, f"{key}/" if repository.path.startswith(f"{key}/") else "")


def message_of(body: bytes) -> str:
    """Return a server's own words for an error: one line of at most 2048 characters."""
    words = said_in(body)[1] or "no explanation"
    return f"answered with {words}" if is_page(body) else words
