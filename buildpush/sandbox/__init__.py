"""An Artifactory to practise on: registry, build-info, properties and pages, on this machine and offline."""

from buildpush.sandbox.box import Sandbox, serve
from buildpush.sandbox.journal import Request

__all__ = ["Request", "Sandbox", "serve"]
