"""The collections of builds, outside a run: adds build-infos to one, and publishes what one or several have."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from buildpush.artifactory.collection import BuildKey, Collection, collections_in, read
from buildpush.artifactory.contributions import contributions
from buildpush.artifactory.document import started_text
from buildpush.foundation.errors import SettingsError
from buildpush.foundation.events import Note
from buildpush.pipeline.context import RunContext
from buildpush.pipeline.finishing import collection_flags, finish, finish_command
from buildpush.pipeline.saved import ServerFlags, open_registry, open_server

if TYPE_CHECKING:
    from buildpush.artifactory import Published
    from buildpush.artifactory.existing import IfExists


def open_collection(key: BuildKey, directory: Path | None, context: RunContext) -> Collection:
    """Return the collection of a build in *directory*, by default that in the state directory; it may be a new one.

    Errors are those of :meth:`Collection.open`.
    """
    return Collection.open(context.cwd / directory if directory else context.state.builds, key, context.now())


def add_to_collection(key: BuildKey, files: Sequence[Path], directory: Path | None, context: RunContext) -> Collection:
    """Add the build-infos in *files*, which may be directories of collections or of ``jf``, and return the collection.

    All are read before the first is added.

    Raises:
        SettingsError: as for :func:`open_collection`, or a file has another build.
        SourceError: a file cannot be read.
    """
    found = [one for file in files for one in contributions(context.cwd / file, key, context.now())]
    collection = open_collection(key, directory, context)
    for one in found:
        collection.add(one.info, server=one.server, pushed=one.pushed)
    return collection


def content_of(collection: Collection) -> dict[str, Any]:
    """Return what a collection has, as JSON types."""
    collected = read([collection])
    return {
        "name": collection.key.name,
        "number": collection.key.number,
        "project": collection.key.project or None,
        "started": started_text(collection.started),
        "directory": str(collection.path.parent),
        "modules": [module.id for module in collected.pending.info.modules] if collected else [],
    }


def publish_collected(
    key: BuildKey,
    directories: Sequence[Path],
    context: RunContext,
    flags: ServerFlags,
    *,
    exists: IfExists = "add",
) -> Published:
    """Publish what the collections of a build in *directories* have, as one document, then empty them.

    They keep it until Artifactory has it and it was compared.

    Raises:
        SettingsError: they have nothing of this build.
        BuildInfoError: it cannot be published; the collections keep it.
    """
    places = [context.cwd / one for one in directories] or [context.state.builds]
    every = [one for place in places for one in collections_in(place)]
    collected = read(one for one in every if one.key == key)
    if collected is None:
        message = f"nothing of the build {key} is in {', '.join(map(str, places))}"
        others = ", ".join(str(one.key) for one in every)
        raise SettingsError(message, hint=f"there is {others}" if others else "add to it with buildpush build-info add")
    for old, new in collected.renamed:
        context.log(Note(f"several images of the build {key} are named {old}: one is {new} there"))
    with context:
        server, http = open_server(context, flags)
        registry = open_registry(server, http, context)
        published = finish(
            collected.pending,
            server,
            registry,
            directory=None,
            sink=context.log,
            command=(*finish_command(server), *collection_flags(key, places)),
            exists=exists,
        )
    for left in collected.remove():
        context.log(Note(f"more was added to {left.path.parent} meanwhile: to publish it, run the command again"))
    return published
