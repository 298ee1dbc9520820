"""The Artifactory that a build-info goes to, the credential for it, and the name and number of the build."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import field, replace
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit

from buildpush.credentials.connectors import Connector
from buildpush.credentials.docker import Credential
from buildpush.credentials.pairing import BoundCredential, NamedHost, Nearness, host_of, is_same_server
from buildpush.expressions.ci import ci, ci_build, value_of
from buildpush.expressions.facts import Facts
from buildpush.foundation.errors import SettingsError
from buildpush.foundation.records import dataclass
from buildpush.foundation.secrets import Secret
from buildpush.images.references import DOCKER_HUB, Repository

_PART: Final = "/artifactory"
_JFROG: Final = ".jfrog.io"
_PROVIDER: Final = "BUILDPUSH_OIDC_PROVIDER"
_ID_TOKEN: Final = "JFROG_CLI_OIDC_EXCHANGE_TOKEN_ID"  # noqa: S105 - the name of a variable, as in jf
_OF_GITHUB: Final = ("ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN")
_PROJECT_VARIABLES: Final = ("JFROG_CLI_BUILD_PROJECT", "JF_PROJECT")
BUILD_ATTEMPT: Final = "build.attempt"  # among the values that a resumed run has from the earlier one


@dataclass(frozen=True, slots=True)
class ArtifactoryTarget:
    """An Artifactory, and our credential for it.

    Attributes:
        url: ends with ``/artifactory/``.
        url_source: where the address comes from.
        credential: ``None`` if none is given; Docker's own configuration may still have one.
        notes: credentials that are not sent there, and why.
        binding: where *credential* comes from, and the hosts that it may be sent to.
    """

    url: str
    url_source: str
    credential: Credential | None = None
    notes: tuple[str, ...] = ()
    binding: BoundCredential | None = None

    @property
    def host(self) -> str:
        """The host, with its port unless that is the default."""
        return host_of(self.url)

    def for_registry(self, host: str, address: NamedHost | None = None) -> dict[str, Credential]:
        """Return this Artifactory's credential for the registry at *host*, if that is its own registry; else nothing.

        Args:
            host: as in references.
            address: the same host, and the source that named it; only a source as near as the credential's may name a
                host or port other than Artifactory's own.
        """
        credential = self.credential
        if credential is None or not (credential.user or credential.bearer):
            return {}
        may_go = (
            address and self.binding and self.binding.may_go_to(address) and _is_registry_of(self.host, address.host)
        )
        return {host: credential} if may_go or self.host == host_of(host) else {}


@dataclass(frozen=True, slots=True)
class BuildIdentity:
    """The name and number of a build in Artifactory.

    Attributes:
        number: empty if nothing is published, since asking for it advances a counter.
        url: page of the run; may be empty.
        project: key of the JFrog project; empty for none.
        module: empty for image name and tag.
        compat: see :class:`buildpush.artifactory.BuildRecord`.
        publish: whether build-info is published.
        exists: what follows if there are runs of that number: ``add``, ``refuse`` or ``replace``.
        directory: that collects the modules instead; ``None`` for none.
        sources: where ``name`` and ``number`` come from.
    """

    name: str = ""
    number: str = ""
    url: str = ""
    project: str = ""
    module: str = ""
    compat: str = ""
    publish: bool = False
    exists: Literal["add", "refuse", "replace"] = "add"
    directory: Path | None = None
    sources: Mapping[str, str] = field(default_factory=dict)


def artifactory_address(text: str) -> str:
    """Return the address of Artifactory itself: ``/artifactory`` is added if missing, what follows it is removed."""
    parts = urlsplit(text)
    before, found, _ = f"{parts.path.rstrip('/')}/".partition(f"{_PART}/")
    path = f"{before}{_PART}/" if found else f"{before.rstrip('/')}{_PART}/"
    return f"{parts.scheme}://{parts.netloc}{path}"


def derived_address(repository: Repository, connector: Connector | None, *, plain_http: bool) -> str:
    """Return the most likely address of the Artifactory that has *repository*.

    Raises:
        SettingsError: it is on Docker Hub.
    """
    if repository.host == DOCKER_HUB:
        message = "build-info is for Artifactory, but the image goes to Docker Hub"
        raise SettingsError(message, hint="set artifactory_url, or publish_build_info: no", setting="artifactory_url")
    scheme = "http" if plain_http or (connector and connector.plain_http) else "https"
    return f"{scheme}://{_server_of(repository.host.lower(), connector)}/artifactory/"


def _server_of(host: str, connector: Connector | None) -> str:
    """Return *host* without a repository key at its beginning."""
    if connector and connector.serves(host):
        return connector.host
    # On JFrog's own domain, the first of four labels is the key; elsewhere we cannot know.
    labels = host.split(".")
    is_key_first = host.endswith(_JFROG) and len(labels) == len(("key", "acme", "jfrog", "io"))
    return ".".join(labels[1:]) if is_key_first else host


def target_at(url: str, address: NamedHost, candidates: Iterable[BoundCredential]) -> ArtifactoryTarget:
    """Return the Artifactory at *url* with the first credential that may be sent there.

    Args:
        url: of Artifactory itself.
        address: its host, and the source that named it.
        candidates: the possible credentials, the preferred one first.

    Raises:
        SettingsError: a credential that is set for this Artifactory may not be sent there.
        SecretError: the reference of the credential leads nowhere.
    """
    notes: list[str] = []
    for candidate in candidates:
        if candidate.may_go_to(address):
            return ArtifactoryTarget(url, address.source, candidate.read(), tuple(notes), candidate)
        if not candidate.ambient:
            raise SettingsError(
                candidate.refusal(address), hint=candidate.hint(address.host), setting="artifactory_url"
            )
        notes.append(f"{candidate.refusal(address)}; {candidate.hint(address.host)}")
    return ArtifactoryTarget(url, address.source, notes=tuple(notes))


def ambient_credentials(env: Mapping[str, str], *, token: bool = True) -> Iterator[BoundCredential]:
    """Yield the credentials of JFrog's own variables; if ``JF_URL`` is set, they are for its host only.

    Args:
        env: the environment.
        token: whether ``JF_ACCESS_TOKEN`` is used.
    """

    def bound(source: str, read: Callable[[], Credential]) -> BoundCredential:
        return BoundCredential(source, read, _jfrog_bounds(env), _jfrog_hint, ambient=True)

    if token and env.get("JF_ACCESS_TOKEN"):
        yield bound("JF_ACCESS_TOKEN", lambda: _by_token(env))
    if env.get("JF_USER") and env.get("JF_PASSWORD"):
        source = "JF_USER and JF_PASSWORD"
        yield bound(source, lambda: Credential(env["JF_USER"], Secret(env["JF_PASSWORD"], "JF_PASSWORD"), source))
    if env.get(_PROVIDER) and env.get("JF_URL"):
        yield bound(_PROVIDER, lambda: _by_exchange(env))


def _by_token(env: Mapping[str, str]) -> Credential:
    """Return the access token, which ``JF_REFRESH_TOKEN`` renews if it is set."""
    source, token = "JF_ACCESS_TOKEN", Secret(env["JF_ACCESS_TOKEN"], "JF_ACCESS_TOKEN")
    if not (env.get("JF_REFRESH_TOKEN") and env.get("JF_URL")):
        return Credential("", token, source, "access")
    from buildpush.credentials.renewal import AccessToken, TokenRefresh, shared_renewal

    given = AccessToken(token, refresh=Secret(env["JF_REFRESH_TOKEN"], "JF_REFRESH_TOKEN"))
    return Credential("", token, source, "access", shared_renewal(TokenRefresh(_platform(env)), given))


def _by_exchange(env: Mapping[str, str]) -> Credential:
    """Return the credential that an OIDC exchange gives: for a token in a file or a variable, or for GitHub's.

    Raises:
        SettingsError: there is no token to exchange.
    """
    from buildpush.credentials.renewal import OidcExchange, shared_renewal

    text, address, secret = (env.get(name, "") for name in (_ID_TOKEN, *_OF_GITHUB))
    file = env.get("BUILDPUSH_OIDC_TOKEN_FILE", "")
    if not (file or text or (address and secret)):
        message = f"{_PROVIDER} names a provider of tokens, and there is no token to exchange"
        hint = f"give the job of GitHub the permission id-token: write, or set {_ID_TOKEN} or BUILDPUSH_OIDC_TOKEN_FILE"
        raise SettingsError(message, hint=hint, where=_PROVIDER)
    exchange = OidcExchange(
        _platform(env),
        env[_PROVIDER],
        project=project_in(env),
        audience=env.get("BUILDPUSH_OIDC_AUDIENCE", ""),
        token=Secret(text, _ID_TOKEN) if text else None,
        file=file,
        request=(address, Secret(secret, _OF_GITHUB[1])) if address and secret else None,
    )
    source = f"the OIDC exchange of {_PROVIDER}"
    return Credential("", Secret("", source), source, "access", shared_renewal(exchange))


def _platform(env: Mapping[str, str]) -> str:
    return artifactory_address(env["JF_URL"]).removesuffix("artifactory/")


def login_of_jfrog(env: Mapping[str, str]) -> dict[str, Credential]:
    """Return the credential in JFrog's variables for the host of ``JF_URL``, which may also be a registry."""
    bounds = _jfrog_bounds(env)
    candidate = next(ambient_credentials(env), None)
    if candidate is None or isinstance(bounds, Nearness):
        return {}
    credential = candidate.read()
    return dict.fromkeys(bounds, credential) if credential.user or credential.bearer else {}


def _jfrog_bounds(env: Mapping[str, str]) -> frozenset[str] | Nearness:
    """Return the host of ``JF_URL``, or no host if that cannot be parsed."""
    if not env.get("JF_URL"):
        return Nearness.VARIABLE
    try:
        return frozenset({host_of(env["JF_URL"])})
    except SettingsError:
        return frozenset()


def _jfrog_hint(host: str) -> str:
    return f"if it is for that host, set JF_URL=https://{host}"


def push_credential(
    host: str, credential: Credential, nearness: Nearness, connector: Connector | None, address: NamedHost
) -> BoundCredential:
    """Return the credential of the push, for an Artifactory that is also its registry.

    Args:
        host: of the registry.
        credential: of the push.
        nearness: how near the source of the credential is.
        connector: the connector that it comes from, if any.
        address: of Artifactory; another port of the same machine is the same server only if a source that is near
            enough says so.
    """
    hosts = {host_of(host), *([host_of(connector.url)] if connector else [])}
    same = any(is_same_server(address.host, host) for host in hosts)
    near = (
        connector is None and address.nearness <= nearness and any(_name(address.host) == _name(host) for host in hosts)
    )
    source = f"{credential.source}, as for the push"
    return BoundCredential(
        source,
        lambda: replace(credential, source=source),
        frozenset(hosts | ({address.host} if same or near else set())),
        lambda _: "give artifactory_token, or set JF_URL and JF_ACCESS_TOKEN",
        ambient=True,
    )


def _name(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdecimal() else host


def _is_registry_of(server: str, host: str) -> bool:
    """Return whether Artifactory at *server* may have a registry at *host*: at another port, or at a name for one key.

    That is a subdomain, or ``NAME-KEY.jfrog.io`` for ``NAME.jfrog.io``.
    """
    one, other = _name(server), _name(host)
    is_jfrogs = one.endswith(_JFROG) and other.endswith(_JFROG)
    is_key = is_jfrogs and other.startswith(f"{one.removesuffix(_JFROG)}-")
    return one == other or ("." in one and other.endswith(f".{one}")) or is_key


def project_in(env: Mapping[str, str]) -> str:
    """Return the key of the JFrog project that *env* names, or ``""``."""
    return next((env[name] for name in _PROJECT_VARIABLES if env.get(name)), "")


def default_build_name(facts: Facts, repository: Repository, *, for_all_jobs: bool = False) -> tuple[str, str]:
    """Return the name of the pipeline, else that of the CI system's job, or else of the image, and its source.

    With *for_all_jobs* the CI system's name is without that of the job, since several take part in the build.
    """
    is_named = "pipeline.name" in facts.written or "pipeline.name" in facts.inputs
    if is_named or value_of("pipeline.identifier", facts.env):
        return str(facts.lookup(("pipeline", "name"))), "the pipeline's name"
    known = ci_build(facts.env)
    if known.name:
        return (known.name if for_all_jobs else known.whole_name), ci(facts.env).name
    return repository.name, "the image's name"


def default_build_number(facts: Facts) -> tuple[str, str]:
    """Return the number of the run, and its source; advances the counter if no CI system gives a number.

    If the CI system has started the run with that number before, the number of the attempt follows.
    """
    source = ci(facts.env).name or ("the CI system" if ci(facts.env).number else "the counter on this machine")
    number, known = str(facts.lookup(("pipeline", "sequenceId"))), ci_build(facts.env)
    attempt = facts.lasting(BUILD_ATTEMPT, lambda: known.attempt if number == known.number else "")
    return ".".join(filter(None, (number, attempt))), source
