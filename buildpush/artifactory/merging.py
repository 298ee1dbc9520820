"""Makes one build-info of several: those of the steps, jobs and machines that take part in one run of a build.

The result does not depend on the order in which they come, or on how they are grouped, and nothing is lost: modules
with the same id are joined, with all their properties, artifacts and dependencies. ``jf`` keeps the properties of the
first one only.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from datetime import datetime
from functools import partial, reduce
from itertools import chain
from typing import Any, Final, NamedTuple

from buildpush.artifactory.directories import DIGEST_DIRECTORIES, parent_of
from buildpush.artifactory.document import (
    MANIFESTS,
    AffectedIssue,
    Agent,
    Artifact,
    BuildInfo,
    Dependency,
    Module,
    Tracker,
    VcsEntry,
)

# Between the values of a property that several documents have.
SEPARATOR: Final = ", "


def merge(infos: Sequence[BuildInfo]) -> BuildInfo:
    """Return one build-info with everything in *infos*, with the earliest of their starts.

    A single one, or several that are equal, stays as it is. Otherwise the modules are sorted by image, with the
    platforms of an index after it. Two images with the same id remain two modules: their ids get the path, and if
    needed the repository key, in front: ``team/app:1``.

    Args:
        infos: at least one, all of the same build.
    """
    return reduce(_joined, infos)


def renamed(infos: Iterable[BuildInfo], merged: BuildInfo) -> list[tuple[str, str]]:
    """Return the ids of modules in *infos* that were changed in *merged*, each with the new one."""
    ids = {_identity(module): module.id for module in merged.modules}
    modules = chain.from_iterable(info.modules for info in infos)
    found = {(one.id, ids[_identity(one)]) for one in modules}
    return sorted((old, new) for old, new in found if old != new)


# ---- which module is which


class _Identity(NamedTuple):
    """What a module is about.

    Attributes:
        label: what comes before the image's name in the id of a platform: ``linux/amd64/``.
        repository: the repository key; empty if the id does not name an image.
        image: path and tag or digest; if the id does not name an image, the id.
    """

    label: str
    repository: str
    image: str

    @property
    def names(self) -> tuple[str, ...]:
        """The possible ids without the label, from short to long."""
        if not self.repository:
            return (self.image,)
        return tuple(dict.fromkeys((_short(self.image), self.image, f"{self.repository}/{self.image}")))


def _short(image: str) -> str:
    """Return *image* without the directories in its path; neither a tag nor a digest has a slash."""
    return image.rpartition("/")[2]


def _identity(module: Module) -> _Identity:
    """Return what *module* is about, by its id and one of its files.

    Modules that are about the same are joined, and only their ids and files matter here: the file of both together is
    that of one of them, and an id that gets a path or key in front is read as before. So it stays the same identity.
    """
    head = min(_manifests(module), key=lambda file: (file.repository, file.path), default=None)
    if head is None:
        return _Identity("", "", module.id)
    directory, last = parent_of(head.path), _short(module.id)
    _, mark, version = last.partition("@" if "@" in last else ":")
    whole = _Identity("", head.repository, f"{parent_of(directory)}{mark}{version}")
    name = next(one for one in reversed(whole.names) if f"/{module.id}".endswith(f"/{one}"))
    label = module.id.removesuffix(name)
    # With something else in front, it is a platform, unless the file is that of a tag: then the user chose the id.
    is_chosen = _plain(_short(directory)) == _plain(version) or label.endswith(f"{head.repository}/")
    return _Identity("", "", module.id) if label and is_chosen else whole._replace(label=label)


def _manifests(module: Module) -> Iterator[Artifact]:
    """Yield the manifests of images that have the name in the id of *module*."""
    name = re.split("[@:]", _short(module.id))
    for file in module.artifacts:
        directory = parent_of(parent_of(file.path))
        if len(name) > 1 and file.repository and file.name in MANIFESTS and _short(directory) == name[0] != "":
            yield file


def _plain(version: str) -> str:
    """Return a tag, or a digest without its algorithm, which a directory has in one of two forms."""
    return next((version.removeprefix(one) for one in DIGEST_DIRECTORIES if version.startswith(one)), version)


def _with_distinct_ids(modules: tuple[Module, ...]) -> tuple[Module, ...]:
    """Return *modules* with longer ids for images whose ids are equal."""
    identities = [_identity(module) for module in modules]
    # Ids never become shorter, so that it does not matter what is merged first.
    fitting: dict[tuple[str, ...], tuple[str, ...]] = {}
    for module, one in zip(modules, identities, strict=True):
        longer = one.names[one.names.index(module.id.removeprefix(one.label)) :]
        fitting[one[1:]] = min(longer, fitting.get(one[1:], longer), key=len)
    count = Counter(chain.from_iterable({one[1:]: one.names for one in identities}.values()))
    chosen = {image: next((name for name in each if count[name] == 1), each[-1]) for image, each in fitting.items()}
    pairs = zip(modules, identities, strict=True)
    return tuple(replace(module, id=f"{one.label}{chosen[one[1:]]}") for module, one in pairs)


# ---- joining


def _joined(one: Any, other: Any) -> Any:
    """Return what *one* and *other* say together: records of the same type, or values of the same attribute."""
    if one == other:
        return one
    return next((join for kind, join in _JOINS if isinstance(one, kind)), _record)(one, other)


def _record(one: Any, other: Any) -> Any:
    def value(name: str) -> Any:
        join = _texts if name == "properties" else _joined
        return join(getattr(one, name), getattr(other, name))

    return replace(one, **{field.name: value(field.name) for field in fields(one)})


def _union(some: tuple[Any, ...], others: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the records of both, those with the same key joined, in an order that depends only on them."""
    if some == others:
        return some
    found: dict[Any, Any] = {}
    for record in (*some, *others):
        key = _KEYS[type(record)](record)
        found[key] = _joined(found[key], record) if key in found else record
    every = tuple(found[key] for key in sorted(found))
    return _with_distinct_ids(every) if isinstance(every[0], Module) else every


def _module_key(module: Module) -> tuple[Any, ...]:
    label, repository, image = _identity(module)
    return _short(image), image, repository, label.count("/"), label


_KEYS: Final[Mapping[type, Callable[[Any], tuple[Any, ...]]]] = {
    Module: _module_key,
    Artifact: lambda one: (one.repository, one.path, one.name, one.sha256),
    Dependency: lambda one: (one.id, one.sha256),
    VcsEntry: lambda one: (one.url, one.revision, one.branch, one.message),
    AffectedIssue: lambda one: (one.key, one.url, one.summary),
}


def _by_key(one: Mapping[str, Any], other: Mapping[str, Any], join: Callable[[Any, Any], Any]) -> dict[str, Any]:
    both = {key: join(one[key], other[key]) for key in one if key in other}
    return dict(sorted({**one, **other, **both}.items()))


def _texts(one: Mapping[str, str], other: Mapping[str, str]) -> dict[str, str]:
    def both(text: str, again: str) -> str:
        return text if text == again else SEPARATOR.join(sorted({*text.split(SEPARATOR), *again.split(SEPARATOR)}))

    return _by_key(one, other, both)


def _trackers(one: Tracker, other: Tracker) -> Tracker:
    """Return the tracker that both have, or the names of two as one text, since a document has a single one."""
    names = {*one.name.split(SEPARATOR), *other.name.split(SEPARATOR)} - {""}
    version = max(one.version, other.version)
    return Tracker(SEPARATOR.join(sorted(names)), version, _by_key(one.others, other.others, _json))


def _json(one: Any, other: Any) -> Any:
    """Return what two JSON values of a key that buildpush does not know say together."""
    if one == other:
        return one
    if isinstance(one, dict) and isinstance(other, dict):
        return _by_key(one, other, _json)
    if isinstance(one, list) and isinstance(other, list):
        every = {_text(value): value for value in (*one, *other)}
        return [every[text] for text in sorted(every)]
    return max(one, other, key=_text)


def _text(value: object) -> str:
    return json.dumps(value, sort_keys=True)


_JOINS: Final[tuple[tuple[type, Callable[[Any, Any], Any]], ...]] = (
    (tuple, _union),
    (Mapping, partial(_by_key, join=_json)),
    (Tracker, _trackers),
    (Agent, lambda one, other: max(one, other, key=lambda agent: (agent.name, agent.version))),
    (datetime, min),
    (str, lambda one, other: max(one, other, key=lambda text: (len(text), text))),  # some text wins over none
    (int, max),
)
