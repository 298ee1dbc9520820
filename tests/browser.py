"""Pages in a real browser, where there is one."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
TELEPHONE = 360  # pixels

_MEASURE = """addEventListener("load", () => {
    const measured = [...document.querySelectorAll("iframe")].map(
        (frame) => [frame.title, frame.contentDocument.documentElement.scrollWidth]);
    document.body.append(JSON.stringify(measured));
})"""


def widths_in_browser(browser: str, files: Mapping[str, Path], directory: Path) -> dict[str, int]:
    """Return how many pixels wide each HTML file is on a telephone, by its name; *directory* is for temporary files."""
    frames = "".join(
        f'<iframe width="{TELEPHONE}" height="800" title="{name}" src="{path.as_uri()}"></iframe>'
        for name, path in files.items()
    )
    wrapper = directory / "frames.html"
    wrapper.write_text(f"<!doctype html><body>{frames}<script>{_MEASURE}</script>", encoding="utf-8")
    shown = page_in_browser(browser, wrapper.as_uri(), directory)
    return dict(json.loads(shown[shown.index('[["') : shown.rindex("]]") + 2]))


def page_in_browser(browser: str, address: str, directory: Path) -> str:
    """Return the HTML of a page after its scripts have run; *directory* is for temporary files."""
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files", "--dump-dom"]
    command = [browser, *options, f"--user-data-dir={directory / 'profile'}", address]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout
