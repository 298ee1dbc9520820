"""JupyterLab, and a page of a real browser that shows it."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.browser import BROWSER

ROOT = Path(__file__).parent.parent
# Looked at by people; what was there before is replaced.
SCREENSHOTS = ROOT / "docs" / "_build" / "lab"
_SETTINGS = {
    "@jupyterlab/notebook-extension/tracker": {"windowingMode": "none"},  # cells out of sight are there as well
    "@jupyterlab/apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    "@jupyterlab/docmanager-extension/plugin": {"autosave": False},
}
_SECONDS_TO_BEGIN = 90

# Opens a notebook in the running JupyterLab; its other ones are closed.
_OPEN = """async (path) => {
    const app = window.jupyterapp;
    await app.commands.execute('application:close-all');
    const panel = window.panel = await app.commands.execute('docmanager:open', {path});
    await panel.context.ready;
    await panel.sessionContext.ready;
    await panel.sessionContext.session.kernel.info;
}"""
_FACTS = """() => {
    const panel = window.panel.node;
    const outputs = [...panel.querySelectorAll('.jp-OutputArea-output')];
    const styles = (selector, name) =>
        [...panel.querySelectorAll(`.jp-OutputArea-output ${selector}`)].map((one) => getComputedStyle(one)[name]);
    return {
        errors: outputs.filter((one) => /error|stderr/.test(one.dataset.mimeType || '')).map((one) => one.innerText),
        chips: [...panel.querySelectorAll('.jp-OutputArea-output [align]')]
            .filter((one) => getComputedStyle(one).textAlign !== one.getAttribute('align')).map((one) => one.innerText),
        stripes: styles('tr', 'backgroundColor').filter((one) => one !== 'rgba(0, 0, 0, 0)'),
        words: styles('td', 'color'),
        tables: panel.querySelectorAll('.jp-OutputArea-output table').length,
        pictures: [...panel.querySelectorAll('.jp-OutputArea-output img')].map((one) => [
            one.alt, one.naturalWidth, one.getBoundingClientRect().width, getComputedStyle(one).colorScheme]),
        text: panel.innerText,
    };
}"""


class Lab:
    """A page with JupyterLab, in which one notebook is open.

    Attributes:
        directory: with the notebooks that can be opened.
    """

    def __init__(self, page, directory: Path) -> None:
        self._page = page
        self.directory = directory
        self._name = ""

    def open(self, name: str) -> None:
        """Open the notebook of that name, with a kernel of its own."""
        self._name = name
        self._evaluate(_OPEN, f"{name}.ipynb")

    def run_all(self) -> None:
        """Run all cells, and wait until they have ended."""
        self.command("notebook:run-all-cells")

    def _evaluate(self, script: str, argument: object) -> None:
        """Evaluate *script*, which returns a promise, in the page; a dialog that waits for a person is a failure."""
        ends = "() => { window.done = true }, (error) => { window.failed = String(error) }"
        self._page.evaluate("() => { window.done = false; window.failed = '' }")
        self._page.evaluate(f"(argument) => {{ ({script})(argument).then({ends}) }}", argument)
        self._page.wait_for_function("() => window.done || window.failed || document.querySelector('.jp-Dialog')")
        failed = "window.failed || document.querySelector('.jp-Dialog')?.innerText || ''"
        assert self._page.evaluate(f"() => {failed}") == ""

    def begin_all(self) -> None:
        """Run all cells, and do not wait."""
        self._page.evaluate("() => { window.jupyterapp.commands.execute('notebook:run-all-cells') }")

    def wait_for(self, words: str) -> None:
        """Wait until the notebook shows *words*."""
        self._page.wait_for_function("(words) => window.panel.node.innerText.includes(words)", arg=words)

    def command(self, name: str, **arguments: str) -> None:
        """Let JupyterLab execute one of its commands."""
        self._evaluate(
            "(all) => window.jupyterapp.commands.execute(all[0], all[1]).then(() => true)", [name, arguments]
        )

    def facts(self, theme: str) -> dict:
        """Return what the notebook shows in the *theme* Light or Dark, of which a screenshot is kept."""
        self.command("apputils:change-theme", theme=f"JupyterLab {theme}")
        is_light = str(theme == "Light").lower()
        self._page.wait_for_selector(f'body[data-jp-theme-light="{is_light}"]', state="attached")
        height = self._page.evaluate(
            "() => [...window.panel.node.querySelectorAll('.jp-Cell')].reduce((sum, one) => sum + one.offsetHeight, 0)"
        )
        self._page.set_viewport_size({"width": 1100, "height": min(int(height) + 200, 8000)})
        self._page.wait_for_timeout(500)  # the theme moves in
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        self._page.screenshot(path=SCREENSHOTS / f"{self._name}-{theme.lower()}.png")
        return self._page.evaluate(_FACTS)

    def saved(self) -> Path:
        """Save the notebook, and return where it is."""
        self.command("docmanager:save")
        return self.directory / f"{self._name}.ipynb"


@contextmanager
def open_lab(home: Path) -> Iterator[Lab]:
    """Yield a page with a JupyterLab whose kernels are of the running Python; all that it writes is in *home*."""
    from playwright.sync_api import sync_playwright

    directory = home / "notebooks"
    shutil.copytree(ROOT / "notebooks", directory)
    with _server(home, directory) as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1100, "height": 900})
        page.set_default_timeout(90_000)
        page.goto(url)
        page.wait_for_function("() => window.jupyterapp && window.jupyterapp.restored.then(() => true)")
        yield Lab(page, directory)
        browser.close()


@contextmanager
def _server(home: Path, directory: Path) -> Iterator[str]:
    """Run JupyterLab on the notebooks in *directory*, and yield the address of its page."""
    for name, values in _SETTINGS.items():
        path = home / "settings" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    own = {f"JUPYTER_{name}_DIR": str(home / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")}
    own |= {"HOME": str(home), "IPYTHONDIR": str(home / "ipython"), "JUPYTERLAB_SETTINGS_DIR": str(home / "settings")}
    own |= {"JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces"), "PYTHONPATH": str(ROOT)}
    token = secrets.token_hex(16)
    options = [
        "--no-browser",
        "--allow-root",
        "--expose-app-in-browser",
        f"--port={port}",
        "--ServerApp.port_retries=0",
    ]
    options += [f"--ServerApp.root_dir={directory}", f"--IdentityProvider.token={token}"]
    with (home / "log").open("w") as log:
        command = [sys.executable, "-m", "jupyterlab", *options]
        server = subprocess.Popen(command, cwd=home, env=os.environ | own, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}/lab?token={token}"
    try:
        _wait_until_ready(url, home / "log")
        yield url
    finally:
        server.terminate()
        server.wait(30)


def _wait_until_ready(url: str, log: Path) -> None:
    end = time.monotonic() + _SECONDS_TO_BEGIN
    while time.monotonic() < end:
        with suppress(OSError), urllib.request.urlopen(url, timeout=10):
            return
        time.sleep(0.3)
    raise AssertionError(log.read_text())
