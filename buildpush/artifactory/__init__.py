"""Build-info, and the Artifactory that stores it.

In short: :func:`describe` turns a receipt into a :class:`BuildInfo`, and :func:`publish` sends it to an
:class:`Artifactory`.
"""

from buildpush.artifactory.buildinfo import describe, moved_home
from buildpush.artifactory.client import Artifactory
from buildpush.artifactory.document import Agent, BuildInfo, BuildRecord, VcsEntry
from buildpush.artifactory.environment import allowed_environment, excluded_variables
from buildpush.artifactory.existing import check_publish
from buildpush.artifactory.layout import Home
from buildpush.artifactory.publishing import Published, expected_build_info, publish

__all__ = [
    "Agent",
    "Artifactory",
    "BuildInfo",
    "BuildRecord",
    "Home",
    "Published",
    "VcsEntry",
    "allowed_environment",
    "check_publish",
    "describe",
    "excluded_variables",
    "expected_build_info",
    "moved_home",
    "publish",
]
