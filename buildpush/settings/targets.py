"""Where build-info goes, as whom, and under which name and number."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from buildpush.errors import SettingsError
from buildpush.images.references import DOCKER_HUB, Repository
from buildpush.secrets import Secret
from buildpush.settings.connectors import Connector, shape_of
from buildpush.settings.facts import Facts, ci
from buildpush.settings.vault import Login

_PART: Final = "/artifactory"


@dataclass(frozen=True, slots=True)
class ArtifactoryTarget:
    """An Artifactory and who we are there.

    Attributes:
        url: ends in ``/artifactory/``.
        token: an access token, or ``None``.
        username: with ``password`` where there is no token; empty where nobody has said it, so that only Docker's own
            configuration may know it.
        url_source: who said the address.
        source: who said the credential; empty for nobody.
    """

    url: str
    token: Secret | None = None
    username: str = ""
    password: Secret | None = None
    url_source: str = ""
    source: str = ""

    @property
    def host(self) -> str:
        """Host with port."""
        return urlsplit(self.url).netloc


@dataclass(frozen=True, slots=True)
class BuildIdentity:
    """What the build is called in Artifactory.

    Attributes:
        number: empty where nothing is published, since asking for it moves a counter.
        url: page of the run; may be empty.
        project: key of the JFrog project; empty for none.
        module: empty for image name and tag.
        publish: whether build-info is published.
        sources: who said ``name`` and ``number``.
    """

    name: str = ""
    number: str = ""
    url: str = ""
    project: str = ""
    module: str = ""
    publish: bool = False
    sources: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Credential:
    """One way to be somebody at Artifactory, not read yet.

    Attributes:
        read: gives token, user and password.
        hosts: where it may be sent; empty for anywhere, since it was given for this Artifactory.
    """

    source: str
    read: Callable[[], tuple[Secret | None, str, Secret | None]]
    hosts: frozenset[str] = frozenset()


def artifactory_address(text: str) -> str:
    """Return the address of Artifactory itself: what follows ``/artifactory`` is cut, a missing one is added."""
    parts = urlsplit(text)
    before, found, _ = f"{parts.path.rstrip('/')}/".partition(f"{_PART}/")
    path = f"{before}{_PART}/" if found else f"{before.rstrip('/')}{_PART}/"
    return f"{parts.scheme}://{parts.netloc}{path}"


def derived_address(repository: Repository, connector: Connector | None, *, plain_http: bool) -> str:
    """Return the likeliest address of the Artifactory that *repository* is in.

    Raises:
        SettingsError: it is at Docker Hub.
    """
    if repository.host == DOCKER_HUB:
        message = "build-info is for Artifactory, and the image goes to Docker Hub"
        raise SettingsError(message, hint="set artifactory_url, or publish_build_info: no", setting="artifactory_url")
    return shape_of(repository, connector, plain_http=plain_http).artifactory[0]


def target_at(url: str, url_source: str, ways: Iterable[Credential]) -> ArtifactoryTarget:
    """Return the Artifactory at *url* with the first credential that may be sent there.

    Raises:
        SecretError: the reference of that credential leads nowhere.
    """
    host = host_name(url)
    for way in ways:
        if not way.hosts or host in way.hosts:
            token, username, password = way.read()
            return ArtifactoryTarget(url, token, username, password, url_source, way.source)
    return ArtifactoryTarget(url, url_source=url_source)


def host_name(url_or_host: str) -> str:
    """Return the host without port of an address or of a registry host, in lower case."""
    url = url_or_host if "://" in url_or_host else f"https://{url_or_host}"
    return urlsplit(url).hostname or ""


def environment_credential(env: Mapping[str, str]) -> Credential | None:
    """Return what ``JF_USER`` and ``JF_PASSWORD`` say; with ``JF_URL`` it is for that host only."""
    if not env.get("JF_USER") or not env.get("JF_PASSWORD"):
        return None

    def read() -> tuple[None, str, Secret]:
        return None, env["JF_USER"], Secret(env["JF_PASSWORD"], "JF_PASSWORD")

    return Credential("JF_USER and JF_PASSWORD", read, jfrog_hosts(env))


def jfrog_hosts(env: Mapping[str, str]) -> frozenset[str]:
    """Return the host that JFrog's own variables are about; empty where they do not say it."""
    return frozenset({host_name(env["JF_URL"])}) if env.get("JF_URL") else frozenset()


def push_credential(login: Login, connector: Connector | None) -> Credential:
    """Return the push's credential for the same host, or for that of the connector it came from."""
    hosts = {host_name(login.host)} | ({host_name(connector.url)} if connector else set())
    return Credential(
        f"{login.source}, as for the push", lambda: (None, login.username, login.password), frozenset(hosts)
    )


def default_build_name(facts: Facts, repository: Repository) -> tuple[str, str]:
    """Return the pipeline's name, else the image's, and who said it."""
    said = "pipeline.name" in facts.written or "pipeline.name" in facts.inputs or facts.env.get("HARNESS_PIPELINE_ID")
    if said:
        return str(facts.lookup(("pipeline", "name"))), "the pipeline's name"
    return repository.name, "the image's name"


def default_build_number(facts: Facts) -> tuple[str, str]:
    """Return the run's number, and who said it; moves the counter where no CI system has one."""
    source = ci(facts.env).name or ("the CI system" if ci(facts.env).number else "the counter on this machine")
    return str(facts.lookup(("pipeline", "sequenceId"))), source
