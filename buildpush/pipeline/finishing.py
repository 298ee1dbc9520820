"""Finishes a build-info that waits: from what the registry has by then, and the command that does it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from buildpush.foundation.errors import (
    AuthenticationError,
    BuildInfoError,
    ElsewhereError,
    NotPushedError,
)
from buildpush.foundation.events import Note, Sink
from buildpush.foundation.records import dataclass
from buildpush.http.urls import EVERY_HOST, names_of_host
from buildpush.images.references import Digest, Reference
from buildpush.registry.client import REPOSITORY_KEY_HEADER, Registry
from buildpush.registry.pull import ACCEPT

if TYPE_CHECKING:
    from buildpush.artifactory import Artifactory, BuildInfo, Published
    from buildpush.artifactory.collection import BuildKey
    from buildpush.artifactory.document import Artifact, Module
    from buildpush.artifactory.existing import IfExists
    from buildpush.artifactory.pending import Pending
    from buildpush.settings.resolved import ResolvedStep

_NOT_FOUND: Final = 404


def collection_flags(key: BuildKey, directories: Iterable[Path]) -> Iterator[str]:
    """Yield the options by which ``build-info publish`` publishes what *directories* have of a build."""
    yield from ("--build-name", key.name, "--build-number", key.number)
    yield from ("--project", key.project) if key.project else ()
    for directory in directories:
        yield from ("--build-dir", str(directory))


def trust_flags(order: ResolvedStep, host: str) -> Iterator[str]:
    """Yield the options by which a command publishes to *host* as the step does, as far as they can be written."""
    settings = order.settings
    yield from ("--build-exists", order.build.exists) if order.build.exists != "add" else ()
    if order.insecure.intersection(names_of_host(host)):
        yield "--insecure"
        return
    certificates = {name.lower(): path for name, path in getattr(settings, "registry_certificate", {}).items()}
    named = next((certificates[name] for name in names_of_host(host) if name in certificates), None)
    for flag, path in (
        ("--pem-file-path", getattr(settings, "pem_file_path", named)),
        ("--ca-path", getattr(settings, "ca_path", None) if EVERY_HOST in order.authorities else None),
    ):
        yield from (flag, path) if path else ()


def finish_command(server: Artifactory, trust: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the command that finishes a saved build-info, without the file's name.

    The password or token is left out; it comes from ``JF_PASSWORD``, or ``--password env:NAME``.
    """
    from buildpush.artifactory.publishing import FINISH

    name = server.credential.username if server.credential else ""
    user = ("--username", name) if name else ()
    return (*FINISH, "--artifactory-url", server.url, *user, *trust)


def finish(
    pending: Pending,
    server: Artifactory,
    registry: Registry,
    *,
    directory: Path | None,
    sink: Sink,
    sleep: Callable[[float], None] = time.sleep,
    command: Sequence[str] = (),
    exists: IfExists = "add",
) -> Published:
    """Publish a saved build-info, completed from what the registry has if its push was interrupted.

    Args:
        pending: the build-info.
        server: the Artifactory that gets it.
        registry: the registry that was pushed to.
        directory: where it is saved if it cannot be published; ``None`` if it is somewhere else.
        sink: as for :func:`buildpush.artifactory.publish`, like *sleep* and *exists*.
        sleep: as there.
        command: publishes it later; by default that for a saved file.
        exists: as there.
    """
    from buildpush.artifactory import publish

    info = pending.info if pending.pushed else as_pushed(pending.info, server, registry, sink)
    return publish(
        info,
        server,
        directory=directory,
        sink=sink,
        finish=command or finish_command(server),
        sleep=sleep,
        fresh=False,
        exists=exists,
    )


@dataclass(frozen=True, slots=True)
class _Root:
    """An image name that a push was to write: a module that is not a platform of an index.

    Attributes:
        head: its manifest.
    """

    module: Module
    reference: Reference
    head: Artifact

    @property
    def digest(self) -> Digest:
        return Digest(f"sha256:{self.head.sha256}")

    @property
    def image(self) -> str:
        """Path and tag, or digest, as the platforms of an index have it."""
        from buildpush.artifactory.layout import tag_or_digest

        return f"{self.head.path.rsplit('/', 2)[0]}{tag_or_digest(self.reference)}"


@dataclass(frozen=True, slots=True)
class _NameState:
    """What a registry answers about a name.

    Attributes:
        digest: the digest that it names, or ``""`` if the registry does not say.
        key: Artifactory's key of the repository, or ``""``.
    """

    there: bool
    digest: str = ""
    key: str = ""


def as_pushed(info: BuildInfo, server: Artifactory, registry: Registry, sink: Sink) -> BuildInfo:
    """Return the part of *info* that the registry has: names that were never written are left out."""
    roots = tuple(_roots(info))
    answers = [(root, _state_of(root, registry, str(root.digest))) for root in roots]
    # If the registry does not say, its Artifactory may.
    present = tuple(root for root, answer in answers if (answer.there if answer else _is_visible(root, server)))
    others = [module for module in info.modules if module.type != "docker"]  # uploaded files: they are there
    if not (present or others):
        why = f"{roots[0].reference.repository} does not have {roots[0].digest}" if roots else "it names no image"
        message = f"the push of {info.name} {info.number} was never completed, or its image is gone: {why}"
        raise NotPushedError(message, hint="run the step again")
    for root, answer in answers:
        info = _relocated(info, root, answer.key, server) if answer and answer.there else info
    current = tuple(root for root in present if _is_current(root, registry)) or present
    missing = [root for root in roots if root not in current]
    for root in missing:
        sink(Note(f"{root.reference} does not name {root.digest}, and is left out of the build-info"))
    ids = {root.module.id for root in missing} - {root.module.id for root in current}
    # The platforms of an index are named after one of its tags, and belong to the others as well.
    indexes = {root.image for root in missing if root.digest not in {one.digest for one in current}}
    kept = (module for module in info.modules if module.id not in ids and module.parent not in indexes)
    return replace(info, modules=tuple(kept))


def _roots(info: BuildInfo) -> Iterator[_Root]:
    from buildpush.artifactory.document import MANIFESTS
    from buildpush.artifactory.merging import SEPARATOR

    for module in info.modules:
        names = filter(None, module.properties.get("docker.image.tag", "").split(SEPARATOR))
        heads = [a for a in module.artifacts if a.name in MANIFESTS and a.sha256]
        for reference in map(Reference.parse, names if heads and not module.parent else ()):
            directory = f"/{reference.tag or reference.digest}/"
            yield from (
                _Root(module, reference, head) for head in heads if directory in f"/{head.path}" or len(heads) == 1
            )


def _is_current(root: _Root, registry: Registry) -> bool:
    """Return whether the name names the image now, as far as that is known."""
    if root.reference.tag is None:
        return True
    answer = _state_of(root, registry, str(root.reference.tag))
    return answer is None or (answer.there and answer.digest in {str(root.digest), ""})


def _state_of(root: _Root, registry: Registry, name: str) -> _NameState | None:
    """Return what the registry answers about a tag or digest; ``None`` if it does not say."""
    repository, headers = root.reference.repository, {"Accept": ACCEPT}
    try:
        answer = registry.request(repository, "HEAD", f"manifests/{name}", actions="pull", headers=headers)
    except (AuthenticationError, ElsewhereError):
        return None
    if answer.status == _NOT_FOUND and not registry.is_from_another_host(repository, answer):
        return _NameState(there=False)
    digest, key = (answer.headers.get(name) or "" for name in ("Docker-Content-Digest", REPOSITORY_KEY_HEADER))
    return _NameState(there=True, digest=digest, key=key) if answer.ok else None


def _is_visible(root: _Root, server: Artifactory) -> bool:
    """Return whether Artifactory shows the image."""
    from buildpush.artifactory.directories import Presence, groups_of
    from buildpush.artifactory.lookup import find_files

    [finding] = find_files([one for one in groups_of(root.module.artifacts) if one.head == root.head], server)
    if finding.presence is Presence.UNKNOWN:
        message = f"it is not known whether the push of {root.reference} was completed: "
        message += f"{server.host} does not let us read it"
        raise BuildInfoError(message, hint="finish it with an account that may read, or push again")
    return finding.actual is not None


def _relocated(info: BuildInfo, root: _Root, key: str, server: Artifactory) -> BuildInfo:
    """Return *info* with the repository that the registry names: before the push, it could only be guessed."""
    from buildpush.artifactory import moved_home

    try:
        home = server.locate(root.reference.repository, key or None)
    except BuildInfoError:
        return info
    return moved_home(info, root.reference, root.head, home)
