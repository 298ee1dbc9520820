"""Makes the build-info of a push from its receipt, without any request.

Modules and files are those that ``jf`` writes (``jf docker push`` for one image, ``jf rt build-docker-create`` for an
index), in a fixed order, with what it leaves out: the variant in the id of a platform, the platform that an attestation
is about, ``docker.image.id`` of each platform, and the digest of the index (``docker.manifest.digest``).
:mod:`buildpush.artifactory.jf_form` writes exactly what ``jf`` does.
Source: jfrog/build-info-go, entities/buildinfo.go; jfrog/jfrog-cli-artifactory, artifactory/commands/container.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace

from buildpush.artifactory.document import (
    ENVIRONMENT_PREFIX,
    AffectedIssue,
    Agent,
    Artifact,
    BuildInfo,
    BuildRecord,
    Dependency,
    Module,
    VcsEntry,
)
from buildpush.artifactory.jf_form import as_jf
from buildpush.artifactory.layout import Home, Layout, annotations_of, is_attestation, tag_or_digest
from buildpush.foundation.forms import clean_address
from buildpush.foundation.secrets import redact
from buildpush.images.model import PushedImage, PushedIndex
from buildpush.images.references import Digest, Reference

__all__ = ["Agent", "Artifact", "BuildInfo", "BuildRecord", "Dependency", "Module", "VcsEntry", "describe"]


def describe(
    pushed: PushedImage | PushedIndex,
    record: BuildRecord,
    *,
    repository_key: str,
    prefix: str | None = None,
    base: Collection[Digest] = (),
) -> BuildInfo:
    """Return the build-info of *pushed*.

    One image gives a module per tag, because Artifactory keeps a directory per tag. Its id is ``name:tag``, or the full
    path with the tag if two ids would be equal.
    An index gives a module per tag for its own manifest, and one per platform, named after the first tag: the files of
    a platform exist only once, and Artifactory does not promote a file that is listed twice.
    ``record.module`` replaces ``name:tag``; with several tags, each then gets ``module:tag``.
    With ``record.compat`` set to ``jf``, the document is the one that ``jf`` writes.

    Args:
        pushed: what the registry confirmed; all references are in one Artifactory.
        record: what the receipt does not say.
        repository_key: key of the physical repository that has the files.
        prefix: what comes before the image's own path in the references: ``docker/`` in
            ``acme.jfrog.io/docker/team/app``, empty where the key is part of the host.
            By default it is the repository key, if the paths begin with that.
        base: digests of the layers that are known to come from the base image; they are dependencies as well.
            Without them, there are no dependencies: ``jf`` guesses them from the history, which makes builds depend
            on themselves.

    Returns:
        A build-info; where the receipt has no sha1 and md5, they are empty, and
        :func:`~buildpush.artifactory.publish` requests them from the server.
    """
    home = Layout(repository_key, prefix, frozenset(base))
    info = build_info_of(record, _modules(pushed, record.module, home))
    return as_jf(info, pushed, record.module, home) if record.compat == "jf" else info


def build_info_of(record: BuildRecord, modules: Iterable[Module]) -> BuildInfo:
    """Return the build-info of *modules*; nothing in it shows a known secret."""
    return BuildInfo(
        name=record.name,
        number=record.number,
        started=record.started,
        modules=tuple(modules),
        agent=record.agent,
        build_agent=record.build_agent,
        duration_ms=record.duration_ms,
        properties=_environment(record.environment),
        artifactory_principal=record.artifactory_principal,
        principal=redact(record.principal),
        url=redact(record.url),
        issues=replace(record.issues, affected=tuple(map(_clean_issue, record.issues.affected))),
        vcs=tuple(_clean(vcs) for vcs in record.vcs),
        project=record.project,
    )


def _modules(pushed: PushedImage | PushedIndex, module: str, home: Layout) -> Iterator[Module]:
    names = _names(pushed.references, module, home)
    return _of_index(pushed, names, home) if isinstance(pushed, PushedIndex) else _of_image(pushed, names, home)


def moved_home(info: BuildInfo, reference: Reference, head: Artifact, home: Home) -> BuildInfo:
    """Return *info* with the image whose manifest is *head* moved to *reference* in the repository of *home*."""
    old, new = head.path.rsplit("/", 2)[0], reference.repository.path.removeprefix(home.prefix)

    def artifact(one: Artifact) -> Artifact:
        if one.repository != head.repository or not one.path.startswith(f"{old}/"):
            return one
        return replace(one, repository=home.repository_key, path=new + one.path.removeprefix(old))

    def module(one: Module) -> Module:
        parent = new + one.parent.removeprefix(old) if one.parent.startswith((f"{old}:", f"{old}@")) else one.parent
        return replace(one, artifacts=tuple(map(artifact, one.artifacts)), parent=parent)

    return replace(info, modules=tuple(map(module, info.modules)))


def _names(references: tuple[Reference, ...], module: str, home: Layout) -> dict[Reference, str]:
    """Return a different module id for each reference."""
    each = tuple(dict.fromkeys(references))
    if module:
        return {r: module if len(each) == 1 else f"{module}{tag_or_digest(r)}" for r in each}
    short = {r: f"{r.repository.name}{tag_or_digest(r)}" for r in each}
    count = Counter(short.values())
    return {r: name if count[name] == 1 else f"{home.path(r)}{tag_or_digest(r)}" for r, name in short.items()}


def _of_image(image: PushedImage, names: Mapping[Reference, str], home: Layout) -> Iterator[Module]:
    for reference, name in names.items():
        yield Module(
            id=name,
            properties={"docker.image.id": str(image.config.digest), "docker.image.tag": str(reference)},
            artifacts=home.files(home.directory(reference, image.digest), image),
            dependencies=home.dependencies(image),
        )


def _of_index(index: PushedIndex, names: Mapping[Reference, str], home: Layout) -> Iterator[Module]:
    for reference, name in names.items():
        directory = home.directory(reference, index.digest)
        yield Module(
            id=name,
            properties={"docker.image.tag": str(reference), "docker.manifest.digest": str(index.digest)},
            artifacts=(home.manifest(directory, "list.manifest.json", index.manifest),),
        )
    if names:
        yield from _platforms(index, *next(iter(names.items())), home)


def _platforms(index: PushedIndex, reference: Reference, name: str, home: Layout) -> Iterator[Module]:
    annotations = annotations_of(index)
    images = {image.digest: image for image in index.images}.values()  # one that is listed twice is there once
    platforms = [_platform_name(image, index, annotations) for image in images]
    for image, platform in zip(images, platforms, strict=True):
        # Two manifests for one platform are allowed; ids must differ, or Artifactory merges the modules.
        label = platform if platforms.count(platform) == 1 else f"{platform}/{image.digest.hex[:12]}"
        is_image = not is_attestation(annotations.get(str(image.digest), {}))
        yield Module(
            id=f"{label}/{name}",
            properties={"docker.image.id": str(image.config.digest)} if is_image else {},
            artifacts=home.files(f"{home.path(reference)}/{image.digest}", image),
            dependencies=home.dependencies(image),
            parent=home.parent(reference),
        )


_SUBJECT = "vnd.docker.reference.digest"


def _platform_name(image: PushedImage, index: PushedIndex, annotations: Mapping[str, Mapping[str, str]]) -> str:
    notes = annotations.get(str(image.digest), {})
    if not is_attestation(notes):
        return image.platform.label
    platforms = {str(other.digest): str(other.platform) for other in index.images}
    return f"attestations/{platforms.get(notes.get(_SUBJECT, ''), 'unknown')}"


def _environment(environment: Mapping[str, str]) -> dict[str, str]:
    # Secrets are masked already where the variables are collected, but a caller of the library may pass other ones.
    return {f"{ENVIRONMENT_PREFIX}{name}": redact(value) for name, value in sorted(environment.items())}


def _clean_issue(issue: AffectedIssue) -> AffectedIssue:
    return replace(issue, key=redact(issue.key), url=redact(issue.url), summary=redact(issue.summary))


def _clean(vcs: VcsEntry) -> VcsEntry:
    return VcsEntry(redact(clean_address(vcs.url)), vcs.revision, redact(vcs.branch), redact(vcs.message))
