"""An Artifactory to practise on: registry, build-info, properties and pages, on this machine and offline."""

from buildpush.sandbox.box import UPLOADS, Sandbox, serve
from buildpush.sandbox.faults import Fault
from buildpush.sandbox.journal import Request
from buildpush.sandbox.line import Line
from buildpush.sandbox.oidc import OidcProvider
from buildpush.sandbox.written import NAMED, named_faults, read_fault, read_faults, read_line

__all__ = [
    "NAMED",
    "UPLOADS",
    "Fault",
    "Line",
    "OidcProvider",
    "Request",
    "Sandbox",
    "named_faults",
    "read_fault",
    "read_faults",
    "read_line",
    "serve",
]
