"""The table of engines, and the tools that each of them gets."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn, cast

from buildpush.foundation.errors import BuildError
from buildpush.foundation.events import Log, Sink, ignore
from buildpush.foundation.records import dataclass

# Help reads this table, so what only annotations need is not imported at run time.
if TYPE_CHECKING:
    from buildpush.credentials.docker import Credential
    from buildpush.engines.jobs import ClusterTools
    from buildpush.engines.seam import Engine
    from buildpush.images.model import Image, Platform
    from buildpush.images.references import Reference
    from buildpush.places import Place
    from buildpush.registry.memory import Memory

AUTO: Final = "auto"

Find = Callable[[str], "Credential | None"]
Pull = Callable[["Reference", "Platform"], "Image"]
# Downloads an address into a file, and returns when it was last changed, in seconds since 1970, or 0.
Fetch = Callable[[str, Path], int]


def offline(*_arguments: object) -> NoReturn:
    """Refuse to pull or fetch: there are no connections."""
    message = "this build has no connections"
    raise BuildError(message)


@dataclass(frozen=True, slots=True)
class Tools:
    """What a run gives to its engines; every engine gets the same.

    Attributes:
        env: environment variables; those of other programs have the meaning that they have there.
        place: where programs run.
        find: returns the credential of a host.
        sink: called with each event, including each line of a build's log.
        pull: returns an image from a registry.
        fetch: downloads a file from the web.
        memory: what earlier pushes and builds found out about layers; ``None`` for none.
        scratch: directory for temporary directories; the system's by default.
        layers: directory of the layers that are kept between builds.
        settings: values of the settings that only one engine acts on, by name.
        platform: of this machine; determined if not given.
        now: returns the time, in seconds since 1970.
        cluster: where engines run and push; ``None`` for this machine.
    """

    env: Mapping[str, str]
    place: Place
    find: Find = lambda _host: None
    sink: Sink = ignore
    pull: Pull = offline
    fetch: Fetch = offline
    memory: Memory | None = None
    scratch: Path | None = None
    layers: Path | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    platform: Platform | None = None
    now: Callable[[], float] = time.time
    cluster: ClusterTools | None = None

    def log(self, line: str) -> None:
        """Report a line of a build's log, unless it is blank."""
        if line.strip():
            self.sink(Log(line))


@dataclass(frozen=True, slots=True)
class EngineRow:
    """An engine, and what is known of it before its module is loaded.

    Attributes:
        name: as in the setting ``engine``.
        path: its module below :mod:`buildpush.engines`, and its class.
        strength: the reason that is reported when ``auto`` chooses it.
        preferred_with: variable whose presence makes ``auto`` try it first.
        settings: settings that only this engine uses, and what other engines do without them.
        in_cluster: its class that runs in a Job, below :mod:`buildpush.engines`; empty for none.
    """

    name: str
    path: str
    strength: str = "it is available and honours every setting"
    preferred_with: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)
    in_cluster: str = ""

    def load(self, *, in_cluster: bool = False) -> type[Engine]:
        """Return the engine's class."""
        module, _, name = (self.in_cluster if in_cluster else self.path).partition(":")
        return cast("type[Engine]", getattr(import_module(f"{__name__}.{module}"), name))


_KANIKO_SETTINGS: Final = (
    *("cache_copy_layers", "cache_run_layers", "compressed_caching", "image_download_retry", "image_fs_extract_retry"),
    *("skip_push_permission_check", "skip_unused_stages", "snapshot_mode", "use_new_run"),
)
_ROWS: Final = (
    EngineRow(
        "native",
        "native:Native",
        "it needs no daemon and no root",
        settings={"fetch_limit": "the engine {engine} fetches what ADD names by itself, and without this limit"},
        in_cluster="jobs.native:NativeJob",
    ),
    EngineRow("docker", "docker.classic:Docker"),
    EngineRow("buildx", "docker.buildx:Buildx"),
    EngineRow("buildah", "buildah:Buildah", in_cluster="jobs.buildah:BuildahJob"),
    EngineRow(
        "kaniko",
        "kaniko.kaniko:Kaniko",
        preferred_with="KUBERNETES_SERVICE_HOST",
        settings={
            **dict.fromkeys(_KANIKO_SETTINGS, "the engine {engine} works without it, and the image is the same"),
            "ignore_var_run": "for the engine {engine}, /var/run is a directory like any other",
            "verbosity": "the engine {engine} does not change what it prints",
            "kaniko_image": "the engine {engine} needs no image of kaniko",
        },
        in_cluster="jobs.kaniko:KanikoJob",
    ),
)
# In the order in which ``auto`` tries them.
ENGINES: Final[Mapping[str, EngineRow]] = {row.name: row for row in _ROWS}
# As Harness does in a cluster; then without root, then without RUN.
IN_CLUSTER: Final = ("kaniko", "buildah", "native")
OWN_SETTINGS: Final = frozenset(name for row in _ROWS for name in row.settings)
