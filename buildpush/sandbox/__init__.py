"""An Artifactory to practise on: registry, build-info, properties and pages, on this machine and offline."""

from buildpush.sandbox.box import Sandbox, serve
from buildpush.sandbox.faults import Fault
from buildpush.sandbox.journal import Request
from buildpush.sandbox.line import Line
from buildpush.sandbox.written import read_fault, read_line

__all__ = ["Fault", "Line", "Request", "Sandbox", "read_fault", "read_line", "serve"]
