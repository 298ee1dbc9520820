"""Replaces settings that are shorthands, as in the plugins of Harness, by the settings that they stand for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import PurePath

from buildpush.credentials.pairing import registry_host
from buildpush.dockerfile.caches import CacheSpec
from buildpush.images.references import DOCKER_HUB, names_host
from buildpush.settings.declare import explicitly_set, setting_named
from buildpush.settings.model import BuildAndPush
from buildpush.settings.resolved import ResolveContext

# Settings about layers in a repository.
_OF_LAYERS = frozenset({"cache_copy_layers", "cache_run_layers", "cache_ttl", "skip_push_permission_check"})
_STYLE = "use_path_style"


def without_shorthands(settings: BuildAndPush, ctx: ResolveContext) -> BuildAndPush:
    """Return *settings* with shorthands replaced by the settings that they stand for.

    Raises:
        SettingsError: one cannot be replaced.
    """
    for become in (_repository, _context, _snapshots, _mirrors, _cache_repository, _layers, _path_style):
        settings = become(settings, ctx)
    return settings


def shorthand_notes(settings: BuildAndPush, ctx: ResolveContext) -> Iterator[str]:
    """Yield a note for each shorthand without effect, and for each setting that a shorthand overrides."""
    source_of = ctx.source_of
    if settings.expand_repo and (reason := _why_not_expanded(settings)):
        yield f"{source_of('expand_repo')}: expand_repo has no effect: {reason}"
    if settings.path_style and not _buckets(settings):
        yield f"{source_of('path_style')}: path_style has no effect: neither cache_from nor cache_to is of the type s3"
    if settings.reproducible and ctx.env.get("SOURCE_DATE_EPOCH", "").strip():
        yield f"{source_of('reproducible')}: reproducible has no effect: SOURCE_DATE_EPOCH gives the time"
    if settings.snapshot_mode and "optimize" in ctx.written:
        yield f"{source_of('optimize')}: optimize has no effect: snapshot_mode says how kaniko looks for changed files"
    if not (settings.skip_default_registry_fallback or settings.mirror):
        name = "skip_default_registry_fallback"
        yield f"{source_of(name)}: {name} has no effect: no mirror is named, so Docker Hub is asked"
    for name in sorted(_OF_LAYERS & explicitly_set(settings)):
        if not _keeps_layers(settings):
            yield f"{source_of(name)}: {name} has no effect: no layers are kept in a repository"
    if settings.enable_cache is False and "remote_cache_repo" in ctx.written:
        yield f"{source_of('remote_cache_repo')}: remote_cache_repo has no effect: enable_cache is off"


def _repository(settings: BuildAndPush, _ctx: ResolveContext) -> BuildAndPush:
    if not settings.expand_repo or settings.registry is None or _why_not_expanded(settings):
        return settings
    return settings.replace(repo=f"{registry_host(settings.registry)}/{settings.repo}")


def _why_not_expanded(settings: BuildAndPush) -> str:
    if settings.connector_ref:
        return "the connector gives the host"
    if settings.registry is None:
        return "registry is not set"
    return "repo names its host" if names_host(settings.repo) else ""


def _context(settings: BuildAndPush, ctx: ResolveContext) -> BuildAndPush:
    if settings.context_sub_path is None:
        return settings
    path = PurePath(settings.context_sub_path)
    if path.is_absolute() or ".." in path.parts:
        message = f"context_sub_path {str(path)!r} leads out of the context"
        raise ctx.fail(message, "context_sub_path", "name a directory in it")
    return settings.replace(context=os.path.normpath(f"{settings.context}/{path}"))


def _snapshots(settings: BuildAndPush, _ctx: ResolveContext) -> BuildAndPush:
    return settings.replace(optimize=False) if settings.snapshot_mode else settings


def _mirrors(settings: BuildAndPush, _ctx: ResolveContext) -> BuildAndPush:
    if settings.skip_default_registry_fallback or not settings.mirror or DOCKER_HUB in settings.mirror:
        return settings
    return settings.replace(mirror=(*settings.mirror, DOCKER_HUB))


def _cache_repository(settings: BuildAndPush, ctx: ResolveContext) -> BuildAndPush:
    if settings.enable_cache is None or bool(settings.remote_cache_repo) is settings.enable_cache:
        return settings
    if not settings.enable_cache:
        return settings.replace(remote_cache_repo=None)
    if "repo" not in ctx.written:
        message = "enable_cache keeps layers below repo, which is not set"
        raise ctx.fail(message, "enable_cache", "set repo, or name another repository by remote_cache_repo")
    return settings.replace(remote_cache_repo=f"{settings.repo}/cache")


def _layers(settings: BuildAndPush, _ctx: ResolveContext) -> BuildAndPush:
    if _keeps_layers(settings):
        return settings
    return settings.replace(**{name: setting_named(BuildAndPush, name).default for name in _OF_LAYERS})


def _keeps_layers(settings: BuildAndPush) -> bool:
    return bool(settings.remote_cache_repo if settings.enable_cache is None else settings.enable_cache)


def _path_style(settings: BuildAndPush, _ctx: ResolveContext) -> BuildAndPush:
    if not settings.path_style or not _buckets(settings):
        return settings
    styled = {name: tuple(map(_with_style, getattr(settings, name))) for name in ("cache_from", "cache_to")}
    return settings.replace(**{name: caches for name, caches in styled.items() if caches})


def _buckets(settings: BuildAndPush) -> list[CacheSpec]:
    return [spec for spec in map(CacheSpec.parse, (*settings.cache_from, *settings.cache_to)) if spec.kind == "s3"]


def _with_style(text: str) -> str:
    spec = CacheSpec.parse(text)
    return str(spec.with_field(_STYLE, "true")) if spec.kind == "s3" and not spec.field(_STYLE) else text
