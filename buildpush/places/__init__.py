"""Where a command runs: on this machine, in a container or, recorded, nowhere."""

from buildpush.places.container import Container, Folder, Limits
from buildpush.places.environment import for_engines, for_logins
from buildpush.places.here import Here
from buildpush.places.place import FILES, Command, Content, Place, Ran, Show
from buildpush.places.recorded import Call, Recorded

__all__ = [
    "FILES",
    "Call",
    "Command",
    "Container",
    "Content",
    "Folder",
    "Here",
    "Limits",
    "Place",
    "Ran",
    "Recorded",
    "Show",
    "for_engines",
    "for_logins",
]
