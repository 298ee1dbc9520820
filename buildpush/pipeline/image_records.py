"""Build-info of images that others have pushed, from their references alone: no daemon is asked, no layer is read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from buildpush.artifactory import Artifactory, BuildInfo, BuildRecord, expected_build_info
from buildpush.artifactory.collection import BuildKey, Collection
from buildpush.artifactory.directories import Presence, groups_of, with_actual_paths
from buildpush.artifactory.document import Dependency, Issues, Module
from buildpush.artifactory.existing import IfExists
from buildpush.artifactory.lookup import find_files
from buildpush.artifactory.publishing import complete
from buildpush.credentials.jfrog import BuildIdentity
from buildpush.credentials.vault import Vault
from buildpush.expressions.ci import revision_of
from buildpush.expressions.git import Git
from buildpush.foundation.errors import BuildInfoError, SettingsError
from buildpush.foundation.records import dataclass
from buildpush.images.references import Reference, reference_at
from buildpush.pipeline.base_images import find_base_layers
from buildpush.pipeline.collecting import open_collection
from buildpush.pipeline.context import RunContext
from buildpush.pipeline.issues import find_issues
from buildpush.pipeline.publication import vcs_entries
from buildpush.pipeline.saved import ServerFlags, open_registry, open_server
from buildpush.registry.receipt import receipt
from buildpush.settings.issues import issue_search
from buildpush.settings.resolved import ResolveContext

if TYPE_CHECKING:
    from buildpush.registry.client import Registry


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectOptions:
    """What is recorded about images besides themselves.

    Attributes:
        module: id of the module, instead of ``name:tag``.
        compat: ``jf`` for the modules that ``jf`` writes.
        url: page of the run; by default the CI system's.
        git_path: directory whose repository gives the revision; by default the working directory.
        pulled: whether the build used the images: their files are dependencies, and no artifacts.
        directory: of collections; by default that in the state directory.
        issues_tracker, issues_regexp, issues_url: as the settings of these names.
        exists: what follows if there are runs of that number: the last run is not one that is replaced.
    """

    module: str = ""
    compat: str | None = None
    url: str = ""
    git_path: Path | None = None
    pulled: bool = False
    directory: Path | None = None
    issues_tracker: str | None = None
    issues_regexp: str | None = None
    issues_url: str | None = None
    exists: IfExists = "add"


def collect_images(
    names: Sequence[str],
    key: BuildKey,
    context: RunContext,
    flags: ServerFlags,
    options: CollectOptions,
) -> Collection:
    """Add the images *names* to the build-info that is collected, and return the collection.

    A name has a tag, a digest or both; without a host it is at Artifactory's. All are read before one is added.

    Raises:
        BadNameError: a name is not a reference.
        SettingsError: the directory cannot be used, or issues cannot be found in that way.
        RegistryError, AuthenticationError, UnreachableError: an image cannot be read.
        BuildInfoError: Artifactory does not have all files of an image.
    """
    vault = Vault(context.env, context.cwd)
    search = issue_search(options, ResolveContext(context.cwd, context.facts, vault, context.connectors, {}))
    with context:
        server, http = open_server(context, flags)
        registry = open_registry(server, http, context)
        record = _record(key, options, context, partial(find_issues, search, server=server, sink=context.log))
        references = [reference_at(server.host, name) for name in names]
        infos = [
            _described(reference, record, server, registry, context, with_base=not (options.pulled or options.compat))
            for reference in references
        ]
    collection = open_collection(key, options.directory, context)
    for info in infos:
        collection.add(_as_used(info) if options.pulled else info, server=server.url)
    return collection


def _record(key: BuildKey, options: CollectOptions, context: RunContext, find: Callable[..., Issues]) -> BuildRecord:
    git, where = context.facts.git, options.git_path
    if where and not (context.cwd / where).is_dir():
        message = f"{where} is not a directory"
        raise SettingsError(message, hint="name the directory of the sources with --git-path", setting="git_path")
    git, started = Git(git.place, context.cwd / where) if where else git, context.now()
    build = BuildIdentity(name=key.name, number=key.number, project=key.project, exists=options.exists)
    return BuildRecord(
        name=key.name,
        number=key.number,
        project=key.project,
        started=started,
        url=options.url or context.ci.url,
        module=options.module,
        compat=options.compat or "",
        vcs=vcs_entries(git, revision_of(context.env), context.log),
        issues=find(build, started, git=git),
        principal=context.ci.actor,
    )


def _described(
    reference: Reference,
    record: BuildRecord,
    server: Artifactory,
    registry: Registry,
    context: RunContext,
    *,
    with_base: bool,
) -> BuildInfo:
    """Return the build-info of one image, with the paths at which Artifactory has its files."""
    pushed = receipt(reference, registry)
    base = find_base_layers(pushed, registry, context.log) if with_base else ()
    info = expected_build_info(pushed, record, server, base)
    findings = find_files(groups_of(info.artifacts), server)
    lost = [one.expected.head for one in findings if one.actual is None and one.presence is not Presence.UNKNOWN]
    lost += [file for one in findings for file in one.absent]
    if lost:
        place = f"{lost[0].repository}/{lost[0].path}"
        message = f"{server.host} does not have all files of {reference}: {place} is missing"
        raise BuildInfoError(message, hint="check that the image is in this Artifactory, or push it again")
    return complete(with_actual_paths(info, findings), server, sink=context.log)


def _as_used(info: BuildInfo) -> BuildInfo:
    """Return *info* with each image as a dependency: of a manifest, configuration and layers that the build used."""
    return replace(info, modules=tuple(map(_used, info.modules)))


def _used(module: Module) -> Module:
    files = tuple(
        Dependency(file.name, file.sha256, file.sha1, file.md5, {"type": file.type} if file.type else {})
        for file in module.artifacts
    )
    return replace(module, artifacts=(), dependencies=files)
