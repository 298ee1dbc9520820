"""An Artifactory to practise on: registry, build-info, properties and pages, on this machine and offline."""

from buildpush.sandbox.box import Sandbox, serve
from buildpush.sandbox.journal import Request
from buildpush.sandbox.line import Line

__all__ = ["Line", "Request", "Sandbox", "serve"]
