"""Where a command runs: on this machine, in a container, or nowhere: it is only recorded."""

from buildpush.places.container import Container, Mount
from buildpush.places.environment import for_engines, for_logins
from buildpush.places.here import Here
from buildpush.places.place import FILES, Command, CommandResult, FileContent, Place, Show
from buildpush.places.recorded import Recorded, RecordedCall

__all__ = [
    "FILES",
    "Command",
    "CommandResult",
    "Container",
    "FileContent",
    "Here",
    "Mount",
    "Place",
    "Recorded",
    "RecordedCall",
    "Show",
    "for_engines",
    "for_logins",
]
