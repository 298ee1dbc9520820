"""Artifactory's REST interface: one method per endpoint.

Source: JFrog documentation, "Artifactory REST APIs"; the accepted status codes are those of jfrog-client-go.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any, TypeVar
from urllib.parse import quote

from buildpush.artifactory.addresses import base_url, property_query, query_of, segments
from buildpush.artifactory.answers import (
    NO_FILE_FACTS,
    FileFacts,
    Message,
    NamedBuild,
    PublishedRun,
    RepositoryFacts,
    StoredFile,
    file_facts,
    found_file,
    json_object,
    listed_file,
    message_of,
    named_build,
    promotion_message,
    published_run,
    repository_facts,
    version_in,
    wrapped_build,
)
from buildpush.artifactory.aql import Criteria, file_queries
from buildpush.artifactory.authorization import authorization, key_header, login_hint, who
from buildpush.artifactory.document import BuildInfo, started_text
from buildpush.artifactory.layout import Home, homes_to_try, likely_home
from buildpush.artifactory.reading import Reading
from buildpush.credentials.docker import Credential
from buildpush.foundation.errors import AuthenticationError, BuildInfoError, BuildPushError, SourceError
from buildpush.foundation.events import Decision, Sink, ignore
from buildpush.http.client import Http
from buildpush.http.failures import Interruption
from buildpush.http.messages import Answer, Body, Stream
from buildpush.http.urls import Address
from buildpush.http.words import is_page
from buildpush.images.references import Repository

T = TypeVar("T")

_BUILD_INFO_TYPE = "application/vnd.org.jfrog.artifactory+json"
_PROMOTION_TYPE = "application/vnd.org.jfrog.artifactory.build.PromotionRequest+json"
_EVIDENCE = "evidence/api/v1/"
_IMAGE_PACKAGES = frozenset({"docker", "oci"})

# Statuses of answers that are accepted, as in jfrog-client-go.
_OK = frozenset({200})
_OK_OR_EMPTY = frozenset({200, 204})
_OK_OR_MISSING = frozenset({200, 404})
_WRITE_STATUSES = frozenset({200, 201, 204})
_MISSING = 404
_UNAUTHORIZED = 401
_FORBIDDEN = 403
_NOT_IMPLEMENTED = 501
# A list of files is not available in every edition, nor to every user.
_LIST_ANSWERS = frozenset({200, 400, 403, 404, 405, _NOT_IMPLEMENTED})
# A search can also be too large, take too long, or be one too many at the same time; a database may not bear it.
_SEARCH_ANSWERS = _LIST_ANSWERS | {408, 413, 429, 500, 503, 504}
# The newer endpoint for properties is missing before Artifactory 6.1, and a proxy may not know its method.
_NO_ENDPOINT = frozenset({404, 405, _NOT_IMPLEMENTED})
# An unknown repository key is "Bad Request".
_REPOSITORY_ANSWERS = frozenset({200, 400, 403, 404})


class RefusedError(BuildInfoError):
    """Artifactory refused a request.

    Attributes:
        status: HTTP status of the answer.
    """

    def __init__(self, message: str, *, status: int, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.status = status


_BEFORE_7 = frozenset("123456")  # major versions with other pages


class Artifactory:
    """One Artifactory server, and our credential for it.

    Args:
        url: as for :func:`base_url`.
        http: shared with the registry; it repeats requests that may be repeated.
    """

    def __init__(self, url: str, http: Http, credential: Credential | None = None, *, sink: Sink = ignore) -> None:
        self.url = base_url(url, http)
        self.credential = credential
        self.http = http
        self._sink = sink
        self._server_version = ""
        self._repositories: dict[str, RepositoryFacts | None] = {}
        self._noted: set[str] = set()
        self._searches = True
        self._patches = True

    @property
    def host(self) -> str:
        """Host and port."""
        return Address.parse(self.url).netloc

    @property
    def platform_url(self) -> str:
        """Address of the JFrog platform, which has the web pages; ends in a slash."""
        return self.url.removesuffix("artifactory/")

    # ---- endpoints

    def version(self) -> str:
        """Return the server's version, such as ``7.104.5``; it is requested only if no answer has contained it yet."""
        if not self._server_version:
            answer = self._ask("GET", "api/system/version", accept=_OK)
            self._server_version = self._parse(answer, lambda document: document.text("version", needed=True))
        return self._server_version

    def repository(self, key: str) -> RepositoryFacts | None:
        """Return the facts about repository *key*; ``None`` if it does not exist, or we may not see it.

        It is requested once.
        """
        if key not in self._repositories:
            answer = self._ask("GET", f"api/repositories/{segments(key)}", accept=_REPOSITORY_ANSWERS)
            exists = answer.status in _OK
            self._repositories[key] = self._parse(answer, partial(repository_facts, key)) if exists else None
        return self._repositories[key]

    def file(self, key: str, path: str) -> FileFacts | None:
        """Return the checksums of the file at *path* in repository *key*, or ``None`` if it does not exist."""
        answer = self._ask("GET", self._storage(key, path), accept=_OK_OR_MISSING)
        if answer.status == _MISSING:
            return None
        return self._parse(answer, lambda document: document.one("checksums", file_facts, NO_FILE_FACTS))

    def search(self, alternatives: Iterable[Criteria]) -> tuple[StoredFile, ...] | None:
        """Return every file that has one of *alternatives*, as far as the account may read; several requests if long.

        ``None`` if the server does not search for this account; it is then not asked again.
        """
        found: list[StoredFile] = []
        for query in file_queries(alternatives):
            if not self._searches:
                return None
            headers = {"Content-Type": "text/plain"}
            answer = self._ask(
                "POST", "api/search/aql", accept=_SEARCH_ANSWERS, body=query.encode(), headers=headers, repeatable=True
            )
            self._searches = answer.status in _OK
            if self._searches:
                found += self._parse(answer, lambda document: document.each("results", found_file))
        return tuple(found) if self._searches else None

    def files_below(self, key: str, directory: str) -> tuple[StoredFile, ...] | None:
        """Return every file below *directory* of repository *key*; ``None`` if the server does not list files.

        An empty *directory* is the whole repository.
        """
        answer = self._ask("GET", f"{self._storage(key, directory)}?list&deep=1&listFolders=0", accept=_LIST_ANSWERS)
        if answer.status == _MISSING:
            return ()
        if answer.status not in _OK:
            return None
        return self._parse(answer, lambda document: document.each("files", partial(listed_file, key, directory)))

    def properties(self, key: str, path: str) -> Mapping[str, tuple[str, ...]]:
        """Return the properties of one file; empty if it has none, or does not exist."""
        answer = self._ask("GET", f"{self._storage(key, path)}?properties", accept=_OK_OR_MISSING)
        if answer.status == _MISSING:
            return {}
        return self._parse(answer, lambda document: document.lists_of_texts("properties"))

    def remove_properties(self, key: str, path: str, names: Collection[str]) -> None:
        """Remove properties from one file, which need not exist."""
        query = quote(",".join(names), safe=",")
        self._ask(
            "DELETE", f"{self._storage(key, path)}?properties={query}&recursive=0", accept=_WRITE_STATUSES | {_MISSING}
        )

    def set_properties(self, key: str, path: str, properties: Mapping[str, str], *, recursive: bool = False) -> bool:
        """Set *properties* on one file, or on a directory and all that is below it.

        Returns:
            ``False`` if it does not exist, or *key* is a virtual repository.
        """
        depth = int(recursive)
        if self._patches:
            place = f"api/metadata/{segments(key, *path.split('/'))}?recursiveProperties={depth}&atomicProperties=0"
            body, headers = json.dumps({"props": dict(properties)}).encode(), {"Content-Type": "application/json"}
            answer = self._ask("PATCH", place, accept=_WRITE_STATUSES | _NO_ENDPOINT, body=body, headers=headers)
            if answer.status not in _NO_ENDPOINT:
                return True
        query = f"?properties={property_query(properties)}&recursive={depth}"
        answer = self._ask("PUT", f"{self._storage(key, path)}{query}", accept=_WRITE_STATUSES | {_MISSING})
        is_set = answer.status != _MISSING
        self._patches = self._patches and not is_set  # only the newer endpoint was missing, and not the file
        return is_set

    def put_build(self, info: BuildInfo) -> None:
        """Store *info*; a run with the same name, number and start is replaced."""
        body = json.dumps(info.document()).encode()
        headers = {"Content-Type": _BUILD_INFO_TYPE}
        self._ask(
            "PUT", f"api/build{query_of(project=info.project)}", accept=_WRITE_STATUSES, body=body, headers=headers
        )

    def get_build(
        self, name: str, number: str, started: datetime | None = None, *, project: str = ""
    ) -> BuildInfo | None:
        """Return one run of a build: the one that began at *started*, or else the newest; ``None`` if there is none.

        Raises:
            BuildInfoError: the answer is not a build-info.
        """
        query = query_of(started=started_text(started) if started else None, project=project)
        answer = self._ask("GET", f"api/build/{segments(name, number)}{query}", accept=_OK_OR_MISSING)
        if answer.status == _MISSING:
            return None
        return self._parse(answer, wrapped_build)

    def runs(self, name: str, *, project: str = "") -> tuple[PublishedRun, ...]:
        """Return the published runs of build *name*, newest first; several may have the same number."""
        answer = self._ask("GET", f"api/build/{segments(name)}{query_of(project=project)}", accept=_OK_OR_MISSING)
        if answer.status == _MISSING:
            return ()
        return self._parse(answer, lambda document: document.each("buildsNumbers", published_run))

    def builds(self, *, project: str = "") -> tuple[NamedBuild, ...]:
        """Return the names of all builds that we may see."""
        answer = self._ask("GET", f"api/build{query_of(project=project)}", accept=_OK_OR_MISSING)
        if answer.status == _MISSING:
            return ()
        return self._parse(answer, lambda document: document.each("builds", named_build))

    def promote(self, name: str, number: str, request: Mapping[str, Any], *, project: str = "") -> tuple[Message, ...]:
        """Promote the newest run of that number, and return what the server says of it."""
        path = f"api/build/promote/{segments(name, number)}{query_of(project=project)}"
        answer = self._post(path, request, _PROMOTION_TYPE, accept=_OK)
        return self._parse(answer, lambda document: document.each("messages", promotion_message))

    def has_evidence(self) -> bool:
        """Return whether the platform has the Evidence service."""
        answer = self._ask("GET", f"/{_EVIDENCE}system/version", accept=_OK | _NO_ENDPOINT)
        # Where there is no such service, a proxy or the web interface may answer with a page.
        return answer.status in _OK and not is_page(answer.body)

    def put_evidence(self, key: str, path: str, envelope: bytes) -> bool:
        """Store a signed statement about the file at *path*; return whether a key that is trusted there has signed it.

        Evidence that is sent again is stored again, beside the earlier one.
        """
        place = f"/{_EVIDENCE}subject/{segments(key, *path.split('/'))}"
        headers = {"Content-Type": "application/json"}
        answer = self._ask("POST", place, accept=_WRITE_STATUSES, body=envelope, headers=headers)
        return self._parse(answer, lambda document: document.others().get("verified") is True)

    def delete_runs(self, name: str, numbers: Sequence[str], *, artifacts: bool = False, project: str = "") -> None:
        """Delete one run for each of *numbers*, which may have the same number several times."""
        request = {"buildName": name, "buildNumbers": list(numbers), "deleteArtifacts": artifacts}
        self._post("api/build/delete", {**request, **({"project": project} if project else {})}, accept=_OK_OR_EMPTY)

    def apply_retention(self, name: str, rule: Mapping[str, Any], *, later: bool = False, project: str = "") -> None:
        """Delete the runs of build *name* that *rule* does not retain; *later*: the answer does not wait for it."""
        query = query_of(**{"async": "true" if later else "false"}, project=project)
        self._post(f"api/build/retention/{segments(name)}{query}", rule, accept=_OK_OR_EMPTY)

    # ---- what follows from them

    def build_page(self, info: BuildInfo) -> str:
        """Return the address of the page that shows the run of *info* to people.

        A server that does not give its version is assumed to be a current one; that must not be an error.
        """
        if self._version_or_empty().partition(".")[0] in _BEFORE_7:
            return f"{self.url}webapp/#/builds/{segments(info.name, info.number)}"
        repository = f"{info.project or 'artifactory'}-build-info"
        query = query_of(buildRepo=repository, projectKey=info.project)
        return f"{self.platform_url}ui/builds/{segments(info.name, info.number, str(info.timestamp))}/published{query}"

    def _version_or_empty(self) -> str:
        try:
            return self.version()
        except BuildPushError:
            return ""

    def locate(self, repository: Repository, named_key: str | None = None) -> Home:
        """Return where Artifactory keeps the images of *repository*.

        Args:
            repository: as in the references.
            named_key: key that the registry named (``X-Artifactory-Docker-Registry``).
                It may be that of a virtual repository, so the server is asked about it.

        Raises:
            BuildInfoError: this Artifactory has no such repository.
        """
        for key, prefix in homes_to_try(repository, named_key):
            facts = self.repository(key)
            if facts is None or facts.package_type not in _IMAGE_PACKAGES:
                continue
            return self._physical(facts, prefix)
        if named_key:  # the account may push there but not read its settings
            return likely_home(repository, named_key)
        message = f"{self.host} has no repository for {repository}, or hides it from {who(self.credential)}"
        hint = "check that the image is pushed to the registry of this Artifactory"
        raise BuildInfoError(message, hint=hint, setting="repo")

    def _physical(self, facts: RepositoryFacts, prefix: str) -> Home:
        if facts.kind != "virtual":
            return Home(facts.key, prefix)
        if not facts.deploys_to:
            message = f"the virtual repository {facts.key} does not say where it stores what is pushed"
            raise BuildInfoError(message, hint="push to the local repository behind it", setting="repo")
        if facts.key not in self._noted:
            self._noted.add(facts.key)
            reason = f"{facts.key} is a virtual repository that stores what is pushed there"
            self._sink(Decision("repository of the build-info", facts.deploys_to, reason))
        return Home(facts.deploys_to, prefix)

    # ---- one request

    def _post(
        self, path: str, document: Mapping[str, Any], media_type: str = "application/json", *, accept: frozenset[int]
    ) -> Answer:
        return self._ask(
            "POST", path, accept=accept, body=json.dumps(document).encode(), headers={"Content-Type": media_type}
        )

    def _storage(self, key: str, path: str) -> str:
        return f"api/storage/{segments(key, *(path.split('/') if path else ()))}"

    def _ask(
        self,
        method: str,
        path: str,
        *,
        accept: frozenset[int],
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        repeatable: bool | None = None,
    ) -> Answer:
        answer = self.send(method, path, headers=headers, body=body, repeatable=repeatable)
        in_its_place = answer.status in _WRITE_STATUSES and is_page(answer.body)  # of a login, or of a proxy
        if in_its_place and _NOT_IMPLEMENTED in accept:
            return replace(answer, status=_NOT_IMPLEMENTED)
        if answer.status not in accept or (in_its_place and method != "GET"):  # what is read must be JSON
            raise self._refusal(method, path, answer)
        return answer

    def send(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: Body = None,
        repeatable: bool | None = None,
    ) -> Answer:
        """Return the answer to a request, whatever its status.

        Args:
            method: in capitals.
            path: below the address of Artifactory; with a slash at its beginning, below that of the platform.
            headers: besides those of the login.
            body: bytes, or a stream, which is sent once; see :meth:`buildpush.http.client.Http.request`.
            repeatable: likewise.

        Raises:
            Interruption: the token has expired, and a stream must be sent again, with a new one.
        """
        for may_repeat in (True, False):
            credential = self._credential()
            answer = self.http.request(
                method,
                self._address(path),
                headers={**(headers or {}), **key_header(credential)},
                body=body,
                authorization=partial(authorization, credential),
                repeatable=repeatable,
            )
            if not (may_repeat and self._renewed(answer, credential)):
                break
            if body is not None and not isinstance(body, bytes):
                message = f"{self.host} does not accept the token any more, and there is a new one"
                raise Interruption(message, sent=0)
        self._server_version = self._server_version or version_in(answer)
        return answer

    def _address(self, path: str) -> str:
        return f"{self.platform_url}{path[1:]}" if path.startswith("/") else f"{self.url}{path}"

    @contextmanager
    def open(self, path: str, headers: Mapping[str, str] | None = None) -> Iterator[Stream | Answer]:
        """Yield the file at *path* below the address of Artifactory, or the answer that refuses it."""
        with ExitStack() as stack:
            for may_repeat in (True, False):
                credential = self._credential()
                answer = stack.enter_context(
                    self.http.open(
                        "GET",
                        f"{self.url}{path}",
                        headers={**(headers or {}), **key_header(credential)},
                        authorization=partial(authorization, credential),
                    )
                )
                if isinstance(answer, Stream) or not (may_repeat and self._renewed(answer, credential)):
                    break
            yield answer

    def _credential(self) -> Credential | None:
        """Return our credential, with a token that is valid now."""
        return self.credential.fresh(self.http) if self.credential else None

    def _renewed(self, answer: Answer, used: Credential | None) -> bool:
        """Return whether *answer* refuses an old token, in place of which there is a new one now."""
        return answer.status == _UNAUTHORIZED and used is not None and used.renew(self.http)

    def _refusal(self, method: str, path: str, answer: Answer) -> AuthenticationError | RefusedError:
        words = message_of(answer.body)
        if answer.status == _UNAUTHORIZED:
            hint = self._token_hint(path) or login_hint(self.credential)
            return AuthenticationError(f"{self._unknown()}: {words}", hint=hint, setting="artifactory_url")
        message = f"{self.host} answers {answer.status} to {method} {path.partition('?')[0]}: {words}"
        return RefusedError(message, status=answer.status, hint=self._remedy(answer.status, path))

    def _unknown(self) -> str:
        """Return the message that Artifactory does not accept our credential, which it describes."""
        if self.credential is None:
            return f"{self.host} requires credentials for Artifactory, and none were given"
        is_token = self.credential.kind == "access"
        what = "the token" if is_token else f"the user name or password of {self.credential.username!r}"
        return f"{self.host} refuses {what} for Artifactory (from {self.credential.source})"

    def _remedy(self, status: int, path: str) -> str | None:
        if status == _FORBIDDEN and path.startswith(("api/storage", "api/metadata", f"/{_EVIDENCE}")):
            needed = f"the permissions Read and Annotate on the repository are needed for {who(self.credential)}"
            return "; ".join(filter(None, (self._token_hint(path), needed)))
        if status == _FORBIDDEN:
            return f"the permissions Read and Deploy on builds are needed for {who(self.credential)}"
        if status == _MISSING and path.startswith("api/build/"):
            return "check name and number of the build, and the key of the repository"
        if status == _MISSING:
            return f"check that {self.url} is the address of Artifactory"
        if status in _WRITE_STATUSES:
            return "check the address of Artifactory, and whether a proxy answers in its place"
        return None

    def _token_hint(self, path: str) -> str:
        """Return what to do where a request may have been refused only because it has no access token; else empty."""
        if not path.startswith(f"/{_EVIDENCE}") or (self.credential and self.credential.bearer):
            return ""
        return "JFrog Evidence takes only access tokens: set JF_ACCESS_TOKEN in place of user and password"

    def _parse(self, answer: Answer, read: Callable[[Reading], T]) -> T:
        try:
            return read(json_object(answer))
        except SourceError as error:
            message = f"{self.host} does not answer as expected: {error}"
            raise BuildInfoError(message) from error
