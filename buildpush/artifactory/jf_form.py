"""Turns a build-info into exactly the document that ``jf`` writes, for what reads only that.

It names fewer things, and guesses the base image: see :func:`dependency_count`. The environment is not part of this:
``jf`` records all of it but for names that sound like secrets, and cuts values at their second ``=``.
Source: jfrog/jfrog-cli-artifactory, artifactory/commands/container; jfrog/build-info-go, entities/buildinfo.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final, TypeVar

from buildpush.artifactory.document import Artifact, BuildInfo, Dependency, Module
from buildpush.artifactory.layout import (
    Layout,
    annotations_of,
    dependency_of,
    distributable,
    is_attestation,
    tag_or_digest,
)
from buildpush.foundation import strict_json
from buildpush.images.model import PushedImage, PushedIndex
from buildpush.images.references import Reference

_ENDS_THE_BASE: Final = ("ENTRYPOINT", "MAINTAINER")
_OF_CI: Final = ("JENKINS_URL", "GITHUB_ACTIONS", "GITLAB_CI", "TF_BUILD", "CIRCLECI")


def as_jf(info: BuildInfo, pushed: PushedImage | PushedIndex, module: str, home: Layout) -> BuildInfo:
    """Return *info* with the modules that ``jf`` makes of *pushed*, and without who triggered the run.

    The address of the sources ends in ``.git``, whatever git says; without one it is only that.

    Args:
        info: as :func:`~buildpush.artifactory.describe` makes it.
        pushed: the receipt.
        module: id of all modules, instead of ``name:tag``; or ``""``.
        home: where the files are.
    """
    modules = (each for name in dict.fromkeys(pushed.references) for each in _modules(pushed, name, module, home))
    vcs = tuple(replace(source, url=f"{source.url.removesuffix('.git')}.git") for source in info.vcs)
    return replace(info, modules=_merged(modules), vcs=vcs, principal="")


def in_ci_for_jf(env: Mapping[str, str]) -> bool:
    """Return whether ``jf`` finds a CI system in *env*; only then does it write how long the build took."""
    return env.get("CI") == "true" or any(name in env for name in _OF_CI)


def _modules(pushed: PushedImage | PushedIndex, name: Reference, module: str, home: Layout) -> Iterator[Module]:
    whole, directory = module or f"{name.repository.name}{tag_or_digest(name)}", home.directory(name, pushed.digest)
    properties = {"docker.image.tag": str(name)}
    if isinstance(pushed, PushedIndex):
        head = home.manifest(directory, "list.manifest.json", pushed.manifest)
        yield Module(id=whole, properties=properties, artifacts=(head,))
        yield from _platforms(pushed, name, whole, home)
        return
    layers = distributable(pushed.layers)[: dependency_count(pushed.config_document)]
    yield Module(
        id=whole,
        properties={"docker.image.id": str(pushed.config.digest), **properties},
        artifacts=home.files(directory, pushed),
        dependencies=tuple(map(dependency_of, layers)),
    )


def _platforms(index: PushedIndex, name: Reference, whole: str, home: Layout) -> Iterator[Module]:
    annotations = annotations_of(index)
    for image in index.images:
        system, architecture = image.platform.os, image.platform.architecture
        before = f"{system}/{architecture}/" if "unknown" not in {system, architecture} else ""
        before = "attestations/" if is_attestation(annotations.get(str(image.digest), {})) else before
        files = home.files(f"{home.path(name)}/{image.digest}", image)
        yield Module(id=f"{before}{whole}", artifacts=files, parent=home.parent(name))


def dependency_count(config: bytes) -> int:
    """Return how many layers ``jf`` takes for those of the base image, from the history in *config*.

    The last instruction that has ENTRYPOINT or MAINTAINER in it is taken for the first of the image itself. So an image
    whose Dockerfile ends in ENTRYPOINT depends on all of its layers, and one without either on none.
    """
    document: Any = strict_json.parse(config)
    history = document.get("history") if isinstance(document, Mapping) else None
    count, is_own = len(history or ()), True
    for entry in reversed(history or ()):
        count -= is_own or bool(entry.get("empty_layer"))
        is_own = is_own and not any(word in (entry.get("created_by") or "") for word in _ENDS_THE_BASE)
    return count


_File = TypeVar("_File", Artifact, Dependency)


def _merged(modules: Iterable[Module]) -> tuple[Module, ...]:
    """Return *modules* with different ids; of several with the same, the later ones only add files that are new."""
    merged: dict[str, Module] = {}
    for one in modules:
        known = merged.setdefault(one.id, replace(one, artifacts=(), dependencies=()))
        artifacts = _each_once((*known.artifacts, *one.artifacts))
        merged[one.id] = replace(
            known, artifacts=artifacts, dependencies=_each_once((*known.dependencies, *one.dependencies))
        )
    return tuple(merged.values())


def _each_once(files: tuple[_File, ...]) -> tuple[_File, ...]:
    return tuple({file.sha256: file for file in reversed(files)}.values())[::-1]
