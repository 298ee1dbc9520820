"""Turns a written step into an order: evaluates expressions, fetches a remote context, checks settings."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from buildpush.engines.bases import authorities, pulled_images
from buildpush.foundation.errors import SettingsError
from buildpush.foundation.events import Note
from buildpush.foundation.locks import temporary
from buildpush.foundation.text import quotation
from buildpush.http.urls import EVERY_HOST, names_of_host
from buildpush.images.references import Repository
from buildpush.pipeline.context import RunContext
from buildpush.pipeline.deadlines import Deadline, limited
from buildpush.pipeline.fetched_contexts import check_address, fetch_context, is_elsewhere, printable_context
from buildpush.pipeline.outputs import OF_KEPT
from buildpush.settings.declare import explicitly_set
from buildpush.settings.evaluate import evaluate
from buildpush.settings.flows import unused_settings
from buildpush.settings.model import BuildAndPush
from buildpush.settings.resolve import resolve
from buildpush.settings.resolved import ResolvedStep
from buildpush.settings.step_credentials import base_image_host
from buildpush.settings.step_settings import CommonSettings
from buildpush.settings.tree import Step

_CONNECTORS: Final = "base_image_connector_refs"


def resolve_step(
    step: Step,
    context: RunContext,
    *,
    push: bool = True,
    stack: ExitStack | None = None,
    deadline: Deadline | None = None,
) -> ResolvedStep:
    """Return the order for *step*.

    Args:
        step: as written.
        context: of the run; its log gets a note for everything that has no effect.
        push: whether the image may go to a registry; if not, no destination is needed.
        stack: removes what is created for the step, such as a fetched context; without it, nothing is fetched, and the
            order for such a context has no request.
        deadline: of the stages and groups around the step.
    """
    facts = context.facts.within(step.scope, step.facts, step.around)
    settings = evaluate(step, facts, sink=context.log, push=push)
    with ExitStack() as here, _readable_paths():
        local, history = (
            _local(settings, step, context, stack, deadline) if stack else _placeholder(settings, context, here)
        )
        order = resolve(
            local, cwd=context.cwd, facts=facts, vault=context.vault, connectors=context.connectors, step=step
        )
    if stack is None and isinstance(settings, BuildAndPush) and local is not settings:
        order = replace(order, settings=settings, request=None, elsewhere=printable_context(settings.context))
    order = context.kept_images.with_builder(order)
    unused = () if order.elsewhere else _unused(order, step, push=push)
    for note in (*order.notes, *unused, *_unpublished(order, context)):
        context.log(Note(note))
    order = context.logins.share(order)
    return replace(order, git_directory=history) if history else order


def _placeholder(settings: CommonSettings, context: RunContext, stack: ExitStack) -> tuple[CommonSettings, None]:
    """Return *settings* with an empty directory, which *stack* removes, as a context that is not fetched."""
    if not isinstance(settings, BuildAndPush) or not is_elsewhere(settings.context, context.cwd):
        return settings, None
    check_address(settings.context)
    empty = stack.enter_context(temporary(context.state.scratch))
    (empty / "Dockerfile").touch()
    return settings.replace(context=str(empty), dockerfile=str(empty / "Dockerfile")), None


def _local(
    settings: CommonSettings, step: Step, context: RunContext, stack: ExitStack, deadline: Deadline | None
) -> tuple[CommonSettings, Path | None]:
    """Return *settings* with a context that is a directory, and the directory of its Git history, if it has one."""
    if not isinstance(settings, BuildAndPush) or not is_elsewhere(settings.context, context.cwd):
        return settings, None
    about = printable_context(settings.context)
    limit = limited(step, settings.timeout, deadline, context)
    local = stack.enter_context(fetch_context(settings.context, context, settings.fetch_limit, limit))
    if not (local.directory / settings.dockerfile).is_file():
        message = f"there is no {settings.dockerfile} in the context {about}"
        hint = "write the path of the Dockerfile relative to this context"
        raise SettingsError(message, hint=hint, setting="dockerfile")
    paths = {"context": str(local.directory), "dockerfile": str(local.directory / settings.dockerfile)}
    return settings.replace(**paths), local.history


def _unused(order: ResolvedStep, step: Step, *, push: bool) -> Iterator[str]:
    """Yield notes about settings without effect; others follow once it is known where an image stays without a push."""
    if not isinstance(order.settings, BuildAndPush):
        return
    used = set(OF_KEPT) if push else {*OF_KEPT, "compression", "media_types"}
    used |= {"connector_ref", "registry", "username", "password"} if _opens_base_images(order) else set()
    used |= _names_image(order, order.settings)
    yield from unused_settings(order.settings, step.settings, publishes=order.build.publish, effective=used)
    yield from _unused_base_login(order, order.settings)
    yield from _unused_certificates(order)


def _names_image(order: ResolvedStep, settings: BuildAndPush) -> set[str]:
    """Return the setting that gives the image name its host; it matters in the Docker daemon, too."""
    written = Repository.parse(settings.repo)
    if any(reference.repository != written for reference in order.references):
        return {"connector_ref"} if settings.connector_ref else {"registry"}
    return {"registry"} if settings.expand_repo and not settings.connector_ref else set()


def _unused_base_login(order: ResolvedStep, settings: BuildAndPush) -> Iterator[str]:
    """Yield a note if a login for base images has no effect, because no base image is at its host."""
    names = sorted(name for name in explicitly_set(settings) if name.startswith("base_image_") and name != _CONNECTORS)
    host = base_image_host(settings)
    hosts = {image.repository.host for image in pulled_images(order.request)} if order.request else set()
    if names and not (
        settings.base_image_username and host in hosts | {one.repository.host for one in order.references}
    ):
        yield f"no base image is at {host}, or no user is given for it, so these have no effect: {', '.join(names)}"


def _unused_certificates(order: ResolvedStep) -> Iterator[str]:
    """Yield a note for each host whose certificate has no effect: no request goes there, or any one is accepted."""
    contacted = {*authorities(order.request)} if order.request else set()
    contacted |= {one.repository.host for one in order.references} if order.push else set()
    contacted |= {order.artifactory.host} if order.artifactory else set()
    names = {name for host in contacted for name in names_of_host(host)}
    without = order.insecure | {host for host, scheme in order.schemes.items() if scheme == "http"}
    unchecked = {host for host in contacted if without.intersection(names_of_host(host))}
    if EVERY_HOST in order.authorities and unchecked == contacted:
        why = "every host may have any certificate, or has no TLS" if contacted else "no request is sent"
        yield f"ca_path has no effect: {why}"
    for host in sorted(order.authorities.keys() - {EVERY_HOST}):
        is_insecure = bool(order.insecure.intersection(names_of_host(host)))
        if is_insecure or host not in names:
            why = "it may have any certificate" if is_insecure else "no request goes there"
            yield f"registry_certificate has no effect on {host}: {why}"


def _opens_base_images(order: ResolvedStep) -> bool:
    """Return whether a base image is at a host that the order has a login for."""
    images = pulled_images(order.request) if order.request and order.credentials else ()
    return any(image.repository.host in order.credentials for image in images)


def _unpublished(order: ResolvedStep, context: RunContext) -> Iterator[str]:
    """Yield a note about variables that the settings name, and that the build-info leaves out."""
    patterns = getattr(order.settings, "env_include", ())
    if order.build.publish and patterns:
        from buildpush.artifactory.environment import excluded_variables

        if names := excluded_variables(context.env, patterns):
            yield f"the build-info leaves out variables that may hold secrets: {', '.join(names)}"


@contextmanager
def _readable_paths() -> Iterator[None]:
    """Turn a path that cannot be accessed into an error: it is too long, or its directory may not be entered."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            raise
        message = f"{quotation(os.fsdecode(error.filename), 200)!r} cannot be accessed: {error.strerror}"
        hint = "check the paths of the step, and the permissions of their directories"
        raise SettingsError(message, hint=hint) from error
