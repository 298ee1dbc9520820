"""Makes the pictures of these pages from the real thing: ``nox -s pictures``.

A sandbox runs, a step is built and pushed to it, and Chromium shows the pages of the sandbox and of an executed
notebook; the terminal is what the command has printed.
"""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright
from rich.console import Console
from rich.terminal_theme import DIMMED_MONOKAI
from rich.text import Text

from buildpush.sandbox import Sandbox

ROOT = Path(__file__).parent.parent
OUT = ROOT / "docs" / "_static" / "pictures"
NOTEBOOK = ROOT / "docs" / "_executed" / "01-first-push.html"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
COLUMNS, WIDTH, HEIGHT = 112, 900, 560  # characters; pixels
COMMAND = "buildpush run examples/site/step.yml --connectors connectors.yml --tags 1.4.2"


def main() -> None:
    """Make them all."""
    OUT.mkdir(exist_ok=True)
    with Sandbox() as box, sync_playwright() as playwright:
        print_terminal(run_step(box))
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for scheme in ("light", "dark"):
            photograph(browser, scheme, "sandbox", f"{box.url}/ui/images/docker-local/site/1.4.2")
            photograph(browser, scheme, "notebook", NOTEBOOK.as_uri(), "Build, push, publish")
        browser.close()


def run_step(box: Sandbox) -> str:
    """Run the command in a directory with the example and connectors for the sandbox; return what it prints."""
    text = (ROOT / "examples" / "connectors.yml").read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as directory:
        here = Path(directory)
        shutil.copytree(ROOT / "examples" / "site", here / "examples" / "site")
        (here / "connectors.yml").write_text(text.replace("http://127.0.0.1:8181", box.url), encoding="utf-8")
        env = {"HOME": directory, "PATH": "/usr/bin:/bin", "SANDBOX_PASSWORD": box.password.reveal()}
        command = [sys.executable, "-m", *COMMAND.split()]
        ran = subprocess.run(command, cwd=here, env=env, capture_output=True, text=True, check=True)
    return ran.stderr + ran.stdout


def print_terminal(shown: str) -> None:
    """Write the lines of a terminal as SVG, which needs no font from elsewhere."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO())
    console.print(Text(f"$ {COMMAND}\n{shown.rstrip()}"), highlight=False)
    svg = console.export_svg(title="buildpush", theme=DIMMED_MONOKAI)
    (OUT / "terminal.svg").write_text(re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL), encoding="utf-8")


def photograph(browser: Browser, scheme: str, name: str, address: str, heading: str = "") -> None:
    """Write a picture of a page, from its top or from a heading on."""
    page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme=scheme)
    page.goto(address)
    if heading:
        page.get_by_role("heading", name=heading).evaluate("heading => heading.scrollIntoView()")
    page.screenshot(path=OUT / f"{name}-{scheme}.png")
    page.close()


if __name__ == "__main__":
    main()
