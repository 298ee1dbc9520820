"""What the wheel says of itself beyond pyproject.toml: addresses, and a README without a dead link.

A Python that is too old is refused here: the pip of such a Python would first search ten minutes for older packages.

``BUILDPUSH_HOME=https://HOST/OWNER/buildpush`` says where the repository is, as ``nox -s release`` does. Without it
nothing is published, so the wheel names no address.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

_LINK = re.compile(r"\[([^\]]+)\]\((?!https://|#)([^)\s]+)\)")


def readme_at(text: str, home: str, version: str) -> str:
    """Return the README with absolute links into the tag of *version*; without a *home*, with the words only."""
    return _LINK.sub(rf"[\1]({home}/blob/v{version}/\2)" if home else r"\1", text)


def urls_at(home: str, version: str) -> dict[str, str]:
    """Return the addresses that an index shows."""
    if not home:
        return {}
    tagged = f"{home}/blob/v{version}"
    return {
        "Source": home,
        "Documentation": f"{home}/tree/v{version}/docs",
        "Changelog": f"{tagged}/CHANGELOG.md",
        "Issues": f"{home}/issues",
    }


def check_python(wanted: str, version: Sequence[int] = sys.version_info[:3]) -> None:
    """End the build, with a sentence, where *version* is older than *wanted*, such as ``>=3.11``."""
    least = wanted.removeprefix(">=")
    if tuple(version) < tuple(map(int, least.split("."))):
        this = ".".join(map(str, version))
        sys.exit(
            f"buildpush needs Python {least} or newer, and this is {this}: "
            f"make the environment again with a newer one (rm -r .venv; python{least} -m venv .venv)"
        )


class Addresses(MetadataHookInterface):
    """Sets ``urls`` and ``readme``."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Add both to *metadata*."""
        check_python(metadata["requires-python"])
        home, version = os.environ.get("BUILDPUSH_HOME", "").rstrip("/"), metadata["version"]
        text = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        metadata["readme"] = {"content-type": "text/markdown", "text": readme_at(text, home, version)}
        metadata["urls"] = urls_at(home, version)
