"""From wishes to an order: paths absolute, names checked, credentials found; afterwards nothing is left to decide."""

# Flags of other programs in this module's texts: --format

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field, replace
from pathlib import Path
from typing import Any, Final, Literal

from buildpush.credentials import jfrog as targets
from buildpush.credentials.connectors import Connector, Connectors, repository_at
from buildpush.credentials.docker import Credential, Kind
from buildpush.credentials.jfrog import ArtifactoryTarget, BuildIdentity
from buildpush.credentials.pairing import BoundCredential, Named, Nearness, beside, host_of, login_pair, registry_host
from buildpush.credentials.vault import Vault
from buildpush.dockerfile.caches import CacheSpec
from buildpush.dockerfile.request import BuildRequest, StepContainer
from buildpush.engines import OWN_SETTINGS
from buildpush.expressions import methods
from buildpush.expressions.ci import ci
from buildpush.expressions.evaluate import Value
from buildpush.expressions.evaluate import evaluate as answer
from buildpush.expressions.facts import Facts
from buildpush.foundation.documents import Raw, Trail
from buildpush.foundation.errors import ExpressionError, SecretError, SettingsError
from buildpush.foundation.events import Sink, ignore
from buildpush.foundation.records import dataclass
from buildpush.foundation.secrets import Secret, known_in
from buildpush.foundation.text import quotation
from buildpush.http.urls import is_loopback
from buildpush.images.model import Compression, MediaTypes, Platform
from buildpush.images.references import DOCKER_HUB, Reference, Repository
from buildpush.settings import flows
from buildpush.settings.decode import READABLE_HINT
from buildpush.settings.flows import Existing
from buildpush.settings.layers import remember_passwords
from buildpush.settings.model import STEP_KINDS, BuildAndPush, PublishBuildInfo, said, setting_named, settings_of
from buildpush.settings.tree import Step
from buildpush.settings.typed import typed
from buildpush.settings.written import Origin, Written

__all__ = ["ArtifactoryTarget", "BuildIdentity", "Resolved", "answered", "evaluate", "resolve"]

Wishes = BuildAndPush | PublishBuildInfo

# These are kept as written: what they say is for the time while the step runs.
_LATER: Final = frozenset({"when", "failure_strategies", "strategy", "env_variables"})
# These say where an image goes and what is recorded about it: a build that stays here asks for none of them.
_FOR_A_PUSH: Final = frozenset({"registry", "username", "password", "push"}) | {
    setting.name for setting in settings_of(BuildAndPush) if setting.honoured_by == "publish"
}
_UNNAMED: Final = "unnamed"  # the repo of an image that nobody names
_DOCKERS: Final = "Docker's configuration, if it has one"
_LATEST_DATE: Final = 253402300799  # the last second of the year 9999


@dataclass(frozen=True, slots=True)
class Resolved:
    """What is to be done, with nothing left to decide.

    Attributes:
        request: order for the engine; ``None`` for a step that builds nothing.
        source: the image that is pushed in place of a built one.
        tar: file that the built image is written to.
        references: what the image will be called, or is called already.
        credentials: by registry host; hosts that are not there are looked up in Docker's own configuration.
        artifactory: where build-info goes; ``None`` where none is published.
        set_names: settings that were set to something else than their default.
        nondistributable: whether layers go along that are fetched from their maker otherwise.
        plain_http: hosts that are reached without TLS, as their connectors say.
        insecure: hosts that are reached with TLS and no look at the certificate, or without where they speak none.
        git_folder: whose history names the revision; ``None`` for the working folder.
        fetch_limit: bytes that a file of the web may have, where anything is built.
        own_settings: values of the settings that one engine alone acts on.
        notes: what of the connectors and the settings has no effect.
        sources: who said what was found, for ``check``: ``credentials``, ``artifactory``, ``build name`` and so on.
    """

    kind: Literal["build", "publish"]
    settings: Wishes
    references: tuple[Reference, ...]
    request: BuildRequest | None = None
    source: Existing | None = None
    tar: Path | None = None
    credentials: Mapping[str, Credential] = field(default_factory=dict)
    artifactory: ArtifactoryTarget | None = None
    build: BuildIdentity = field(default_factory=BuildIdentity)
    push: bool = True
    engine: str = "auto"
    set_names: frozenset[str] = frozenset()
    compression: Compression = "gzip"
    media_types: MediaTypes = "oci"
    nondistributable: bool = False
    platforms: tuple[Platform, ...] = ()
    plain_http: frozenset[str] = frozenset()
    insecure: frozenset[str] = frozenset()
    git_folder: Path | None = None
    fetch_limit: int = 0
    own_settings: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    sources: Mapping[str, str] = field(default_factory=dict)

    @property
    def for_engines(self) -> frozenset[str]:
        """Those of the settings that were set that engines act on, be it one engine alone."""
        return flows.FOR_ENGINES & self.set_names


def evaluate(step: Step, facts: Facts, *, sink: Sink = ignore, push: bool = True) -> Wishes:
    """Return the settings of *step*, expressions answered and values typed.

    Args:
        step: as written.
        facts: of the run; what the file says around the step is added here.
        sink: hears about settings without effect.
        push: whether the image may go anywhere; if not, nobody has to say where and as whom.

    Raises:
        SettingsError: an expression has no answer, or a value cannot be used; with the place that said it.
    """
    around = facts.within(written=step.facts)
    wanted = {name: written for name, written in step.settings.items() if push or name not in _FOR_A_PUSH}
    values = {name: answered(step, name, written, around) for name, written in wanted.items()}
    return typed(step, values if push else {"repo": _UNNAMED} | values | {"push": "false"}, sink=sink)


def answered(step: Step, name: str, written: Written, facts: Facts) -> Raw:
    """Return the value of one setting with its expressions answered, not typed yet.

    Raises:
        SettingsError: an expression has no answer; with the place that said it.
    """
    if name in _LATER:
        return written.value
    setting = setting_named(STEP_KINDS[step.type], name)
    value = _Answers(name, setting.key, written.origin, facts).of(written.value)
    remember_passwords(setting, value)
    return value


@dataclass(frozen=True, slots=True)
class _Answers:
    """Answers the expressions in one setting's value, and names the place where that fails."""

    name: str
    key: str
    origin: Origin
    facts: Facts

    def of(self, raw: Raw, path: Trail = ()) -> Raw:
        if isinstance(raw, dict):
            return {self._key(key, path): self.of(value, (*path, key)) for key, value in raw.items()}
        if isinstance(raw, list):
            return [self.of(value, (*path, position)) for position, value in enumerate(raw)]
        return raw if isinstance(raw, Secret) else self._text(raw, path)

    def _key(self, key: str, path: Trail) -> str:
        answered = self._text(key, (*path, key))
        if isinstance(answered, str):
            return answered
        message = f"{self.key}: a name is a text, and this expression gives something else"
        raise SettingsError(message, where=self.origin.at(*path, key), setting=self.name)

    def _text(self, text: str, path: Trail) -> Raw:
        if "<+" not in text:
            return text
        try:
            return _raw(answer(text, self.facts, field=self.key))
        except (ExpressionError, SecretError) as error:
            where = self.origin.at(*path)
            message = f"{self.key}: {error.args[0]}"
            raise type(error)(message, hint=error.hint, setting=self.name, where=where) from None


def _raw(value: Value) -> Raw:
    """Return *value* as text, lists and dicts of text."""
    if isinstance(value, str | Secret):
        return value
    if isinstance(value, Mapping):
        return {key: _raw(entry) for key, entry in value.items()}
    if isinstance(value, Sequence):
        return [_raw(entry) for entry in value]
    return methods.as_text(value)


def resolve(
    settings: Wishes,
    *,
    cwd: Path,
    facts: Facts,
    vault: Vault,
    connectors: Connectors | None = None,
    step: Step | None = None,
) -> Resolved:
    """Return the order that *settings* amount to.

    Args:
        settings: typed wishes of one step.
        cwd: absolute folder that paths count from.
        facts: of the run; asked for the build's name and number where nobody says them.
        vault: gives secrets.
        connectors: of the connectors file; ``None`` for no such file.
        step: says where each wish was written, for errors and for ``check``.

    Raises:
        SettingsError: something is not there, does not fit, or is missing.
        SecretError: a secret reference leads nowhere.
    """
    around = facts.within(written=step.facts) if step else facts
    work = _Work(cwd, around, vault, connectors or Connectors(), step.settings if step else {})
    if isinstance(settings, PublishBuildInfo):
        return _publishing(settings, work)
    return _building(settings, work)


@dataclass(frozen=True, slots=True)
class _Work:
    """What resolving one step needs at hand."""

    cwd: Path
    facts: Facts
    vault: Vault
    connectors: Connectors
    written: Mapping[str, Written]

    @property
    def env(self) -> Mapping[str, str]:
        return self.facts.env

    def where(self, name: str, *path: str | int) -> str | None:
        """Return the place that said the setting *name*, ``None`` for a default."""
        return self.written[name].origin.at(*path) if name in self.written else None

    def who(self, name: str) -> str:
        """Return who said the setting, for people."""
        return self.where(name) or "the default"

    def ambient(self, name: str, variable: str) -> bool:
        """Return whether it was another tool's *variable* in the environment that said the setting."""
        origin = self.written[name].origin if name in self.written else None
        return origin is not None and origin.kind == "variable" and origin.variable == variable

    def nearness(self, name: str) -> Nearness:
        """Return how near whoever said the setting is to whoever starts the run."""
        return Nearness.of(self.written[name].origin if name in self.written else None)

    def named(self, name: str, address: str) -> Named:
        """Return the host of *address*, which the setting says, and who said it."""
        return Named(host_of(address), self.nearness(name), self.who(name))

    def secret(self, name: str, value: Secret | str) -> Secret:
        """Return the secret that a setting holds or leads to."""
        return value if isinstance(value, Secret) else self.vault.reference(value, self.where(name))

    def fail(self, message: str, name: str, hint: str | None = None) -> SettingsError:
        return SettingsError(message, hint=hint, setting=name, where=self.where(name))


# ---- build and push


def _building(settings: BuildAndPush, work: _Work) -> Resolved:
    connector = _connector(settings, work)
    repository = repository_at(connector, settings.repo) if connector else Repository.parse(settings.repo)
    named = settings.push or "repo" in work.written or settings.repo != _UNNAMED
    references = tuple(repository.tagged(tag) for tag in settings.tags if named)
    given = _push_credential(settings, repository, connector, work) if settings.push else {}
    pusher = given.get(repository.host)
    credentials = _credentials(settings, given, work)
    artifactory, build = _build_info(settings, repository, connector, pusher, work)
    source, notes = flows.existing(settings, references, work.cwd, work.fail)
    tar = flows.tar_of(settings, work.cwd, work.fail)
    request = replace(_request(settings, references, work), archive=tar) if source is None else None
    _refuse_readable(settings, work)
    return Resolved(
        kind="build",
        settings=settings,
        references=references,
        request=request,
        source=source,
        tar=tar,
        credentials=credentials,
        artifactory=artifactory,
        build=build,
        push=settings.push,
        engine=settings.engine,
        set_names=said(settings),
        compression=settings.compression,
        media_types=settings.media_types,
        nondistributable=settings.allow_nondistributable_artifacts,
        platforms=_platforms(settings),
        plain_http=frozenset(entry.host for entry in _used(settings, work) if entry.plain_http),
        insecure=frozenset({repository.host} if settings.insecure else ()),
        sources=_sources(pusher, artifactory, build),
        fetch_limit=settings.fetch_limit,
        own_settings={name: getattr(settings, name) for name in OWN_SETTINGS},
        notes=(
            *notes,
            *_unused(settings, repository, given, work),
            *(artifactory.notes if artifactory else ()),
            *flows.notes_on(request),
            *_resource_notes(settings, work),
            *(note for entry in _used(settings, work) for note in entry.notes),
        ),
    )


def _request(settings: BuildAndPush, references: tuple[Reference, ...], work: _Work) -> BuildRequest:
    context = _context(settings, work)
    return BuildRequest(
        context=context,
        dockerfile=_dockerfile(settings, context, work),
        references=references,
        build_args=dict(settings.build_args),
        labels=dict(settings.labels),
        target=settings.target,
        platforms=_platforms(settings),
        build_secrets=dict(_build_secrets(settings, work)),
        no_cache=settings.no_cache,
        created=_created(work.env),
        pull_image=settings.pull_image,
        add_hosts={name: address for name, _, address in (text.partition(":") for text in settings.add_host)},
        network=settings.network or "",
        build_contexts={name: _build_context(name, place, work) for name, place in settings.build_contexts.items()},
        ssh=tuple(_ssh(key, work) for key in settings.ssh),
        cache_from=tuple(CacheSpec.parse(text).at(work.cwd) for text in settings.cache_from),
        cache_to=(CacheSpec.parse(settings.cache_to).at(work.cwd),) if settings.cache_to else (),
        cache_repository=Repository.parse(settings.remote_cache_repo) if settings.remote_cache_repo else None,
        caching=settings.caching,
        mirror=settings.mirror or "",
        optimize=settings.optimize,
        container=_container(settings),
    )


def _build_context(name: str, place: str, work: _Work) -> str:
    """Return a further context: addresses as they are, folders absolute."""
    scheme, colon, rest = place.partition("://")
    if colon and scheme != "oci-layout":
        return place
    folder = rest.partition("@")[0] if colon else place
    path = work.cwd / folder
    if not path.is_dir():
        message = f"the context {name}, {folder!r}, is no folder"
        raise work.fail(message, "build_contexts", f"it counts from the working folder {work.cwd}")
    return f"oci-layout://{path.resolve()}{rest[len(folder) :]}" if colon else str(path.resolve())


def _ssh(key: str, work: _Work) -> str:
    """Return an SSH agent or key with its path absolute."""
    identifier, sign, path = key.partition("=")
    if not sign:
        return key
    if not (work.cwd / path).exists():
        message = f"the SSH key or agent {path!r} is not there"
        raise work.fail(message, "ssh", f"it counts from the working folder {work.cwd}")
    return f"{identifier}={(work.cwd / path).resolve()}"


def _container(settings: BuildAndPush) -> StepContainer:
    limits = settings.resources.limits if settings.resources else None
    return StepContainer(
        user=settings.run_as_user,
        memory=limits.memory if limits else None,
        cores=limits.cpu if limits else None,
        privileged=settings.privileged,
    )


def _resource_notes(settings: BuildAndPush, work: _Work) -> Iterator[str]:
    if settings.resources and settings.resources.requests:
        yield f"{work.who('resources')}: resources.requests has no effect here: they choose a machine in a cluster"


def _refuse_readable(settings: BuildAndPush, work: _Work) -> None:
    """Refuse a secret that would stand in the image, whoever put it there; by now, every secret was read."""
    for name, entries in (("build_args", settings.build_args), ("labels", settings.labels)):
        for key, value in entries.items():
            if known_in(value):
                where = work.where(name, key)
                message = f"{setting_named(BuildAndPush, name).key}: {key} holds a secret, which would be readable here"
                raise SecretError(message, hint=READABLE_HINT, setting=name, where=where)


def _platforms(settings: BuildAndPush) -> tuple[Platform, ...]:
    return tuple(Platform.parse(text) for text in settings.platforms)


def _context(settings: BuildAndPush, work: _Work) -> Path:
    path = work.cwd / settings.context
    if not path.is_dir():
        state = "is not a folder" if path.exists() else "does not exist"
        message = f"the context {settings.context!r} {state}"
        raise work.fail(message, "context", f"it counts from the working folder {work.cwd}")
    return path.resolve()


def _dockerfile(settings: BuildAndPush, context: Path, work: _Work) -> Path:
    path = work.cwd / settings.dockerfile
    if not path.is_file():
        raise _no_dockerfile(settings, path, context, work)
    # Links are followed: one that leads out of the context is outside.
    resolved = path.resolve()
    if resolved.is_relative_to(context):
        return resolved
    named = "dockerfile" in work.written or "dockerfile" in settings.fields_set
    if named and resolved.is_relative_to(work.cwd.resolve()):
        return resolved
    message = f"the Dockerfile {settings.dockerfile!r} lies outside the context {settings.context!r}"
    hint = f"move it into {settings.context}" if named else f"name it: dockerfile: {settings.dockerfile}"
    raise work.fail(message, "dockerfile", hint)


def _no_dockerfile(settings: BuildAndPush, path: Path, context: Path, work: _Work) -> SettingsError:
    state = "is not a file" if path.exists() else "does not exist"
    message = f"the Dockerfile {settings.dockerfile!r} {state}"
    hint = f"it counts from the working folder {work.cwd}, not from the context"
    if (context / settings.dockerfile).is_file():
        near = os.path.normpath(f"{settings.context}/{settings.dockerfile}")
        hint = f"there is one in the context: write dockerfile: {near}"
    return work.fail(message, "dockerfile", hint)


def _build_secrets(settings: BuildAndPush, work: _Work) -> Iterator[tuple[str, Secret]]:
    for identifier, variable in settings.env_docker_secrets.items():
        yield identifier, work.vault.reference(f"env:{variable}", work.where("env_docker_secrets", identifier))
    for identifier, file in settings.file_docker_secrets.items():
        if identifier in settings.env_docker_secrets:
            message = f"the build secret {identifier!r} is given by a variable and by a file"
            raise work.fail(message, "file_docker_secrets", "keep one of them")
        yield identifier, work.vault.document(file, work.where("file_docker_secrets", identifier))


def _created(env: Mapping[str, str]) -> int | None:
    text = env.get("SOURCE_DATE_EPOCH", "").strip()
    if not text:
        return None
    if not (text.isascii() and text.isdigit()) or int(text[:13]) > _LATEST_DATE:
        message = f"SOURCE_DATE_EPOCH is {quotation(text, 40)!r}, which is no time in seconds since 1970"
        raise SettingsError(message, hint="such as the one of git log -1 --format=%ct", where="SOURCE_DATE_EPOCH")
    return int(text)


# ---- credentials


def _connector(settings: BuildAndPush, work: _Work) -> Connector | None:
    """Return the connector of the registry; without a push nobody needs a connectors file for it."""
    if not settings.connector_ref or (not settings.push and work.connectors.file is None):
        return None
    return work.connectors.find(settings.connector_ref)


def _used(settings: BuildAndPush, work: _Work) -> tuple[Connector, ...]:
    bases = tuple(work.connectors.find(name) for name in settings.base_image_connector_refs)
    connector = _connector(settings, work)
    return (connector, *bases) if connector else bases


def _push_credential(
    settings: BuildAndPush, repository: Repository, connector: Connector | None, work: _Work
) -> dict[str, Credential]:
    """Return what the settings give, by its host: the connector's, else user and password for the host they are for."""
    if connector:
        return {repository.host: connector.credential(work.vault)}
    pair = login_pair(settings.username, settings.password, work.where)
    if pair is None:
        return {}
    host = _login_host(settings, repository, work)
    return {host: Credential(pair[0], work.secret("password", pair[1]), work.who("password"))}


def _login_host(settings: BuildAndPush, repository: Repository, work: _Work) -> str:
    """Return the host that user and password are for: that of ``registry``, else that of ``repo``.

    Raises:
        SettingsError: it is named by somebody farther than who gives the password.
    """
    name = "registry" if settings.registry else "repo"
    address = work.named(name, settings.registry or repository.host)
    by = work.nearness("password")
    if address.by > by:
        message = f"the password from {work.who('password')} is not sent to {address.host}, which only "
        message += f"{address.who} names"
        hint = beside(setting_named(BuildAndPush, "registry"), by, repository.host)
        raise work.fail(message, "password", hint)
    is_here = settings.registry is None or address.host == host_of(repository.host)
    return repository.host if is_here else registry_host(settings.registry or "")


def _unused(
    settings: BuildAndPush, repository: Repository, given: Mapping[str, Credential], work: _Work
) -> Iterator[str]:
    """Yield which of several credentials have no effect on the push."""
    if not settings.push:
        return
    if settings.connector_ref:
        for name in ("registry", "username", "password"):
            if getattr(settings, name) is not None:
                yield f"{work.who(name)}: {name} has no effect: the connector {settings.connector_ref} says its own"
        return
    if settings.registry is None:
        return
    if not given:
        yield f"{work.who('registry')}: registry has no effect: there are no username and password that it is for"
    for host in given.keys() - {repository.host}:
        meant = f"; for {host}, write repo as {host}/{settings.repo}" if _is_bare(settings.repo) else ""
        yield (
            f"{given[host].source} is for {host}, which {work.who('registry')} names, and the image goes to "
            f"{repository.host}: who pushes there is looked up in Docker's own files{meant}"
        )


def _is_bare(repo: str | None) -> bool:
    """Return whether *repo* names no host, so that Docker Hub is meant."""
    return repo is not None and Repository.parse(repo).host == DOCKER_HUB and "docker.io/" not in repo


def _credentials(settings: BuildAndPush, push: Mapping[str, Credential], work: _Work) -> dict[str, Credential]:
    """Return who we are by host; two answers for one host are an error, since only one can be used."""
    found = dict(push)
    for name in settings.base_image_connector_refs:
        connector = work.connectors.find(name)
        if connector.auth.anonymous:
            continue
        one = connector.credential(work.vault)
        other = found.setdefault(connector.host, one)
        if (other.username, other.password) != (one.username, one.password):
            message = f"{connector.host} would be used with two logins: {other.source} and {one.source}"
            hint = "give one of the users both rights, and use it for both"
            raise work.fail(message, "base_image_connector_refs", hint)
    return found


# ---- build-info


def _build_info(
    settings: BuildAndPush,
    repository: Repository,
    connector: Connector | None,
    pusher: Credential | None,
    work: _Work,
) -> tuple[ArtifactoryTarget | None, BuildIdentity]:
    if not _publishes(settings, work):
        return None, BuildIdentity(settings.build_name or "", settings.build_number or "")
    if settings.artifactory_url:
        url = targets.artifactory_address(settings.artifactory_url)
        address = work.named("artifactory_url", url)
    else:
        plain_http = bool(connector and connector.plain_http) or settings.insecure or is_loopback(repository.host)
        url = targets.derived_address(repository, connector, plain_http=plain_http)
        address = _derived(url, settings, repository, connector, work)
    ways = _ways(settings.artifactory_token, "artifactory_token", "artifactory_url", work)
    if pusher:
        by = work.nearness("password")
        ways.append(targets.push_credential(repository.host, pusher, by, connector, address))
    target = targets.target_at(url, address, ways)
    if not settings.artifactory_url:
        target = replace(target, url_source="the registry's host")
    return target, _identity(settings, repository, work)


def _derived(
    url: str, settings: BuildAndPush, repository: Repository, connector: Connector | None, work: _Work
) -> Named:
    """Return the host of an address that was made of the registry's, and who named that."""
    in_repo = settings.repo.startswith(f"{repository.host}/")
    if connector and not in_repo:
        return Named(host_of(url), Nearness.FILE, f"the connector {connector.identifier}")
    return work.named("repo", url)


def _publishes(settings: BuildAndPush, work: _Work) -> bool:
    if settings.publish_build_info and not settings.push:
        message = "build-info is about a pushed image, and push is off"
        raise work.fail(message, "publish_build_info", "leave out publish_build_info, or push")
    if not settings.push or settings.publish_build_info is False:
        return False
    return bool(settings.publish_build_info or settings.artifactory_url)


def _ways(token: Secret | str | None, name: str, url_name: str, work: _Work) -> list[BoundCredential]:
    """Return how to be somebody at Artifactory: the token, then JFrog's variables."""
    ambient = work.ambient(name, "JF_ACCESS_TOKEN")
    own = [] if token is None or ambient else [_own(name, token, url_name, work, kind="access")]
    return [*own, *targets.ambient_credentials(work.env, token=ambient)]


def _own(
    name: str, value: Secret | str, url_name: str, work: _Work, *, username: str = "", kind: Kind = "password"
) -> BoundCredential:
    """Return a credential that the setting *name* gives for the Artifactory at *url_name*."""
    by = work.nearness(name)
    model = BuildAndPush if url_name == "artifactory_url" else PublishBuildInfo
    setting = setting_named(model, url_name)
    source = work.who(name)
    return BoundCredential(
        source,
        lambda: Credential(username, work.secret(name, value), source, kind),
        by,
        lambda host: beside(setting, by, f"https://{host}"),
    )


def _identity(settings: BuildAndPush, repository: Repository, work: _Work) -> BuildIdentity:
    name, name_source = settings.build_name, work.who("build_name")
    if not name:
        name, name_source = targets.default_build_name(work.facts, repository)
    number, number_source = settings.build_number, work.who("build_number")
    if not number:
        number, number_source = targets.default_build_number(work.facts)
    return BuildIdentity(
        name=name,
        number=number,
        url=settings.build_url or ci(work.env).url,
        project=settings.build_project or "",
        module=settings.build_module or "",
        publish=True,
        sources={"name": name_source, "number": number_source},
    )


def _publishing(settings: PublishBuildInfo, work: _Work) -> Resolved:
    reference = Reference.parse(settings.docker_image)
    url = targets.artifactory_address(settings.url)
    ways = [*_password_ways(settings, work), *_ways(settings.access_token, "access_token", "url", work)]
    artifactory = targets.target_at(url, work.named("url", url), ways)
    vain = tuple(_logins_in_vain(settings, artifactory, work))
    build = BuildIdentity(
        name=settings.build_name,
        number=settings.build_number,
        url=settings.build_url or ci(work.env).url,
        project=work.env.get("JFROG_CLI_BUILD_PROJECT") or work.env.get("JF_PROJECT", ""),
        publish=True,
        sources={"name": work.who("build_name"), "number": work.who("build_number")},
    )
    return Resolved(
        kind="publish",
        settings=settings,
        references=(reference,),
        artifactory=artifactory,
        build=build,
        push=False,
        credentials=artifactory.for_registry(reference.repository.host),
        set_names=said(settings),
        git_folder=_git_folder(settings, work),
        notes=(*artifactory.notes, *vain),
        sources=_sources(None, artifactory, build),
    )


def _logins_in_vain(settings: PublishBuildInfo, artifactory: ArtifactoryTarget, work: _Work) -> Iterator[str]:
    """Yield which of several credentials have no effect, because another one comes first."""
    used, has_token = artifactory.credential, settings.access_token is not None
    if used and used.kind == "password" and has_token and not work.ambient("access_token", "JF_ACCESS_TOKEN"):
        yield f"{work.who('access_token')}: access_token has no effect: {used.source} comes first"
    if settings.password is not None and settings.api_key is not None:
        yield f"{work.who('api_key')}: api_key has no effect: password comes first"


def _git_folder(settings: PublishBuildInfo, work: _Work) -> Path | None:
    if settings.git_path is None:
        return None
    path = work.cwd / settings.git_path
    if not path.is_dir():
        state = "is not a folder" if path.exists() else "does not exist"
        message = f"git_path {settings.git_path!r} {state}"
        raise work.fail(message, "git_path", f"it counts from the working folder {work.cwd}")
    return path.resolve()


def _password_ways(settings: PublishBuildInfo, work: _Work) -> list[BoundCredential]:
    """Return user and password, or user and API key, which the plugin step prefers to a token."""
    name = "password" if settings.password is not None else "api_key"
    value = settings.password if settings.password is not None else settings.api_key
    pair = login_pair(settings.username, value, work.where, name=name, hint="set both, or use access_token")
    return [_own(name, pair[1], "url", work, username=pair[0])] if pair else []


def _sources(pusher: Credential | None, artifactory: ArtifactoryTarget | None, build: BuildIdentity) -> dict[str, str]:
    sources = {"credentials": pusher.source if pusher else _DOCKERS}
    if artifactory:
        sources["artifactory"] = artifactory.url_source
        sources["artifactory credentials"] = artifactory.credential.source if artifactory.credential else _DOCKERS
    return sources | {f"build {name}": source for name, source in build.sources.items()}
