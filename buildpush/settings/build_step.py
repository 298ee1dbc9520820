"""The step that builds an image and pushes it: from its settings to an order."""

# Flags of other programs in this module's texts: --format

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

from buildpush.credentials.docker import Credential
from buildpush.credentials.pairing import registry_host
from buildpush.dockerfile.caches import CacheSpec
from buildpush.dockerfile.request import BuildRequest, StepContainer
from buildpush.engines import OWN_SETTINGS
from buildpush.foundation.errors import SecretError, SettingsError
from buildpush.foundation.files import is_there
from buildpush.foundation.secrets import Secret, known_in
from buildpush.foundation.text import quotation
from buildpush.images.model import Platform
from buildpush.images.references import Reference, Repository
from buildpush.settings import flows
from buildpush.settings.attestations import attestation_notes, attestations_of
from buildpush.settings.authorities import authorities_in, with_every_host
from buildpush.settings.build_info import build_info, sources_of
from buildpush.settings.clusters import cluster_notes, cluster_order, job_notes, offered_cluster
from buildpush.settings.declare import explicitly_set, setting_named
from buildpush.settings.decode import READABLE_HINT
from buildpush.settings.issues import issue_search
from buildpush.settings.labels import automatic_labels, label_notes
from buildpush.settings.model import BuildAndPush
from buildpush.settings.proxies import proxies_of
from buildpush.settings.resolved import ResolveContext, ResolvedStep
from buildpush.settings.shorthands import shorthand_notes, without_shorthands
from buildpush.settings.step_credentials import (
    base_image_hosts,
    cache_repository_of,
    connector_of,
    connectors_of,
    credentials_of,
    overridden_logins,
    push_credential,
    repository_of,
    schemes_of,
    unused_connectors,
    unused_credentials,
    with_token,
)
from buildpush.settings.tags import tag_notes, tags_of
from buildpush.settings.words import nearest, relative_hint

_NEAR: Final = 0.7
_LATEST_DATE: Final = 253402300799  # the last second of the year 9999
UNNAMED: Final = "unnamed"  # the repo of an image without a name


def resolve_build(settings: BuildAndPush, ctx: ResolveContext) -> ResolvedStep:
    """Return the order to build and push that *settings* give.

    Raises:
        SettingsError: something does not exist, does not fit, or is missing.
        SecretError: a secret reference leads nowhere.
    """
    _check_env_file(settings, ctx)
    shorthands = shorthand_notes(settings, ctx)
    settings, found = _with_dockerfile(without_shorthands(settings, ctx), ctx)
    connector = connector_of(settings, ctx)
    repository = repository_of(settings, connector)
    settings, insecure = _insecure(settings, repository)
    schemes = schemes_of(settings, ctx)
    named = settings.push or "repo" in ctx.written or settings.repo != UNNAMED
    references = tuple(repository.tagged(tag) for tag in tags_of(settings, ctx)) if named else ()
    given = push_credential(settings, repository, connector, ctx) if settings.push else {}
    credentials = credentials_of(settings, repository, given, ctx)
    artifactory, build = build_info(settings, repository, connector, given.get(repository.host), ctx)
    credentials = with_token(credentials, settings, artifactory, repository, ctx)
    source, notes = flows.existing_image(settings, references, ctx.cwd, ctx.fail)
    tar = flows.archive_path(settings, ctx.cwd, ctx.fail)
    layout = flows.layout_path(settings, ctx.cwd, ctx.fail)
    trusted = authorities_in(settings.registry_certificate, "registry_certificate", ctx)
    trusted = with_every_host(trusted, settings.ca_path, ctx)
    without_tls = insecure | {host for host, scheme in schemes.items() if scheme == "http"}
    request = _request(settings, references, without_tls, ctx) if source is None else None
    request = (
        replace(request, archive=tar, authorities=trusted, tls=frozenset(schemes) - without_tls) if request else None
    )
    _refuse_readable(settings, ctx)
    order = replace(
        _order(settings, references),
        request=request,
        source=source,
        tar=tar or layout,
        tar_kind="oci" if layout else f"{settings.tar_format}-archive",
        load=flows.loads(settings, references, ctx.fail),
        credentials=credentials,
        unshared=base_image_hosts(settings, ctx) - {*given},
        artifactory=artifactory,
        build=build,
        issues=issue_search(settings, ctx),
        schemes=schemes,
        authorities=trusted,
        insecure=insecure,
        sources=sources_of(credentials.get(repository.host), artifactory, build),
        attestations=attestations_of(settings, ctx, publishes=artifactory is not None),
        receipts=flows.receipt_paths(settings, ctx.cwd, ctx.fail),
        cluster=cluster_order(settings, ctx) if request else None,
        offer=offered_cluster(settings, ctx) if request else None,
        notes=(*notes, *shorthands, *(found if request else ())),
    )
    return replace(order, notes=(*order.notes, *_notes(settings, order, repository, given, ctx)))


def _order(settings: BuildAndPush, references: tuple[Reference, ...]) -> ResolvedStep:
    """Return an order with the values that *settings* give as they are."""
    return ResolvedStep(
        settings=settings,
        references=references,
        push=settings.push,
        engine="kaniko" if settings.place == "container" else settings.engine,  # no other one has a container
        set_names=explicitly_set(settings),
        compression=settings.compression,
        media_types=settings.media_types,
        retries=settings.push_retry,
        nondistributable=settings.allow_nondistributable_artifacts,
        platforms=_platforms(settings),
        fetch_limit=settings.fetch_limit,
        own_settings={name: getattr(settings, name) for name in OWN_SETTINGS},
    )


def _insecure(settings: BuildAndPush, repository: Repository) -> tuple[BuildAndPush, frozenset[str]]:
    """Return *settings*, with insecure on if the registry is an insecure host, and all insecure hosts."""
    hosts = frozenset({registry_host(settings.insecure_registry)} if settings.insecure_registry else ())
    if repository.host in hosts:
        settings = settings.replace(insecure=True)
    return settings, hosts | ({repository.host} if settings.insecure else frozenset())


def _notes(
    settings: BuildAndPush,
    order: ResolvedStep,
    repository: Repository,
    given: Mapping[str, Credential],
    ctx: ResolveContext,
) -> Iterator[str]:
    yield from tag_notes(settings, ctx)
    yield from label_notes(settings, ctx)
    yield from overridden_logins(settings, order.credentials, ctx)
    yield from unused_credentials(settings, repository, given, ctx)
    yield from unused_connectors(settings, ctx)
    yield from order.artifactory.notes if order.artifactory else ()
    yield from flows.archive_notes(order.request)
    if order.cluster or order.offer:
        yield from job_notes(settings, ctx)
    else:
        yield from _resource_notes(settings, ctx)
        yield from cluster_notes(settings, ctx)
    yield from _format_notes(settings, ctx)
    yield from attestation_notes(settings, ctx)
    yield from (note for entry in connectors_of(settings, ctx) for note in entry.notes)


def _request(
    settings: BuildAndPush, references: tuple[Reference, ...], insecure: frozenset[str], ctx: ResolveContext
) -> BuildRequest:
    context = _context(settings, ctx)
    return BuildRequest(
        context=context,
        dockerfile=_dockerfile(settings, context, ctx),
        references=references,
        build_args=dict(settings.build_args),
        labels={**automatic_labels(settings, ctx, _created(settings, ctx.env)), **settings.labels},
        target=settings.target,
        platforms=_platforms(settings),
        build_secrets=dict(_build_secrets(settings, ctx)),
        no_cache=settings.no_cache,
        created=_created(settings, ctx.env),
        pull_image=settings.pull_image,
        add_hosts={name: address for name, _, address in (text.partition(":") for text in settings.add_host)},
        network=settings.network or "",
        build_contexts={name: _build_context(name, place, ctx) for name, place in settings.build_contexts.items()},
        ssh=tuple(_ssh(key, ctx) for key in settings.ssh),
        ssh_key=_ssh_key(settings, ctx),
        proxies=proxies_of(ctx.env, settings.build_args),
        cache_from=tuple(CacheSpec.parse(text).at(ctx.cwd) for text in settings.cache_from),
        cache_to=tuple(CacheSpec.parse(text).at(ctx.cwd) for text in settings.cache_to),
        cache_repository=cache_repository_of(settings, ctx),
        cache_hours=settings.cache_ttl,
        caching=settings.caching,
        mirrors=settings.mirror,
        insecure=insecure,
        squash=settings.squash,
        ignore_paths=settings.ignore_paths,
        optimize=settings.optimize,
        container=_container(settings),
    )


def _build_context(name: str, place: str, ctx: ResolveContext) -> str:
    """Return an additional context: addresses unchanged, directories absolute."""
    scheme, colon, rest = place.partition("://")
    if colon and scheme != "oci-layout":
        return place
    directory = rest.partition("@")[0] if colon else place
    path = ctx.cwd / directory
    if not path.is_dir():
        message = f"the context {name}, {directory!r}, is not a directory"
        raise ctx.fail(message, "build_contexts", relative_hint(ctx.cwd))
    return f"oci-layout://{path.resolve()}{rest[len(directory) :]}" if colon else str(path.resolve())


def _ssh(key: str, ctx: ResolveContext) -> str:
    """Return an SSH agent or key with its path absolute."""
    identifier, sign, path = key.partition("=")
    if not sign:
        return key
    if not (ctx.cwd / path).exists():
        message = f"the SSH key or agent {path!r} does not exist"
        raise ctx.fail(message, "ssh", relative_hint(ctx.cwd))
    return f"{identifier}={(ctx.cwd / path).resolve()}"


def _ssh_key(settings: BuildAndPush, ctx: ResolveContext) -> Secret | None:
    """Return the default private key, ending in a newline, as programs require."""
    if settings.ssh_agent_key is None:
        return None
    if any(key.partition("=")[0] == "default" for key in settings.ssh):
        message = "ssh_agent_key and ssh both give the default key"
        raise ctx.fail(message, "ssh_agent_key", "keep one of them")
    key = ctx.secret("ssh_agent_key", settings.ssh_agent_key)
    return Secret(f"{key.reveal().strip()}\n", key.source)


def _container(settings: BuildAndPush) -> StepContainer:
    limits = settings.resources.limits if settings.resources else None
    return StepContainer(
        user=settings.run_as_user,
        memory=limits.memory if limits else None,
        cores=limits.cpu if limits else None,
        privileged=settings.privileged,
    )


def _resource_notes(settings: BuildAndPush, ctx: ResolveContext) -> Iterator[str]:
    if settings.resources and settings.resources.requests:
        yield f"{ctx.source_of('resources')}: resources.requests has no effect here: it chooses a machine in a cluster"


def _check_env_file(settings: BuildAndPush, ctx: ResolveContext) -> None:
    """Refuse a --var that gives env_file another name: the file was read before the --var was used."""
    written = ctx.written.get("env_file")
    if written and "<+" in str(written.value) and settings.env_file != written.origin.text:
        message = f"{written.origin.text!r} was read as env_file, and not the {settings.env_file!r} that a --var names"
        raise ctx.fail(message, "env_file", "give it by --env-file instead of --var")


def _format_notes(settings: BuildAndPush, ctx: ResolveContext) -> Iterator[str]:
    if "tar_format" in settings.fields_set and not (settings.tar_path or settings.push_only):
        yield f"{ctx.source_of('tar_format')}: tar_format has no effect: tar_path is not set"
    for name in ("registry_type", "artifact_registry"):
        if name in settings.fields_set and not settings.artifact_file:
            yield f"{ctx.source_of(name)}: {name} has no effect: artifact_file is not set"


def _refuse_readable(settings: BuildAndPush, ctx: ResolveContext) -> None:
    """Refuse a secret that would be stored in the image; all secrets have been read by now, so each is recognised."""
    for name, entries in (
        ("build_args", settings.build_args),
        ("labels", settings.labels),
        ("label_schema", settings.label_schema),
    ):
        for key, value in entries.items():
            if known_in(value):
                where = ctx.where(name, key)
                message = f"{setting_named(BuildAndPush, name).key}: {key} holds a secret, which would be readable here"
                raise SecretError(message, hint=READABLE_HINT, setting=name, where=where)


def _platforms(settings: BuildAndPush) -> tuple[Platform, ...]:
    return tuple(Platform.parse(text) for text in settings.platforms)


def _context(settings: BuildAndPush, ctx: ResolveContext) -> Path:
    path = ctx.cwd / settings.context
    if not path.is_dir():
        state = "is not a directory" if is_there(path) else "does not exist"
        message = f"the context {settings.context!r} {state}"
        raise ctx.fail(message, "context", relative_hint(ctx.cwd))
    return path.resolve()


def _with_dockerfile(settings: BuildAndPush, ctx: ResolveContext) -> tuple[BuildAndPush, tuple[str, ...]]:
    """Return *settings* with the Dockerfile in the context, and a note, if none is named and none is in ``ctx.cwd``.

    kaniko finds it there as well.
    """
    in_context = Path(os.path.normpath(Path(settings.context) / settings.dockerfile))
    if _names_dockerfile(settings, ctx) or (ctx.cwd / settings.dockerfile).is_file():
        return settings, ()
    if not (ctx.cwd / in_context).is_file():
        return settings, ()
    note = f"the Dockerfile is {in_context}: none is named, and none is in the working directory"
    return settings.replace(dockerfile=str(in_context)), (note,)


def _names_dockerfile(settings: BuildAndPush, ctx: ResolveContext) -> bool:
    return "dockerfile" in ctx.written or "dockerfile" in settings.fields_set


def _dockerfile(settings: BuildAndPush, context: Path, ctx: ResolveContext) -> Path:
    path = ctx.cwd / settings.dockerfile
    if not path.is_file():
        raise _no_dockerfile(settings, path, context, ctx)
    # Links are followed: one that leads out of the context is outside.
    resolved = path.resolve()
    if resolved.is_relative_to(context):
        return resolved
    is_named = _names_dockerfile(settings, ctx)
    if is_named and resolved.is_relative_to(ctx.cwd.resolve()):
        return resolved
    message = f"the Dockerfile {settings.dockerfile!r} is outside the context {settings.context!r}"
    hint = f"move it into {settings.context}" if is_named else f"to use it, set dockerfile: {settings.dockerfile}"
    raise ctx.fail(message, "dockerfile", hint)


def _no_dockerfile(settings: BuildAndPush, path: Path, context: Path, ctx: ResolveContext) -> SettingsError:
    state = "is not a file" if is_there(path) else "does not exist"
    message = f"the Dockerfile {settings.dockerfile!r} {state}"
    hint = f"{relative_hint(ctx.cwd)}, not at the context"
    if (context / settings.dockerfile).is_file():
        near = os.path.normpath(f"{settings.context}/{settings.dockerfile}")
        hint = f"there is one in the context: write dockerfile: {near}"
    elif others := _near_dockerfile(path, ctx.cwd):
        hint = f"there is {' and '.join(others)}; {hint}"
    return ctx.fail(message, "dockerfile", hint)


def _near_dockerfile(path: Path, cwd: Path) -> list[str]:
    """Return files that the user may have meant: one of a similar name, else those of the same name elsewhere."""
    with suppress(OSError):
        names = [one.name for one in path.parent.iterdir() if one.is_file()]
        if near := nearest(path.name, names, cutoff=_NEAR):
            return [os.path.relpath(path.with_name(near), cwd)]
    with suppress(OSError):
        name = glob.escape(path.name)
        files = sorted(one for shape in (name, f"*/{name}", f"*/*/{name}") for one in cwd.glob(shape) if one.is_file())
        return [os.path.relpath(one, cwd) for one in files[:3]]
    return []


def _build_secrets(settings: BuildAndPush, ctx: ResolveContext) -> Iterator[tuple[str, Secret]]:
    for identifier, variable in settings.env_docker_secrets.items():
        where = ctx.where("env_docker_secrets", identifier)
        secret = variable if isinstance(variable, Secret) else ctx.vault.reference(f"env:{variable}", where)
        yield identifier, secret
    for identifier, file in settings.file_docker_secrets.items():
        if identifier in settings.env_docker_secrets:
            message = f"the build secret {identifier!r} is given by a variable and by a file"
            raise ctx.fail(message, "file_docker_secrets", "keep one of them")
        yield identifier, ctx.vault.document(file, ctx.where("file_docker_secrets", identifier))


def _created(settings: BuildAndPush, env: Mapping[str, str]) -> int | None:
    text = env.get("SOURCE_DATE_EPOCH", "").strip()
    if not text:
        return 0 if settings.reproducible else None
    if not (text.isascii() and text.isdigit()) or int(text[:13]) > _LATEST_DATE:
        message = f"SOURCE_DATE_EPOCH is {quotation(text, 40)!r}, which is not a number of seconds since 1970"
        raise SettingsError(
            message, hint="write a number such as git log -1 --format=%ct prints", where="SOURCE_DATE_EPOCH"
        )
    return int(text)
