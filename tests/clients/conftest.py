"""What the tests of clients share: figures that are printed at the end, since the counts are the result."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from buildpush.sandbox import Sandbox

LINES = pytest.StashKey[list[str]]()


@pytest.fixture(scope="session")
def count(request):
    """Return a function that keeps a line for the end of the test run."""
    return request.config.stash.setdefault(LINES, []).append


def pytest_terminal_summary(terminalreporter, config):
    for line in config.stash.get(LINES, []):
        terminalreporter.write_line(f"counted: {line}")


class JFrog:
    """JFrog's own commands, with a server ``sandbox`` in their configuration, by user and password or by token."""

    def __init__(self, box: Sandbox, home: Path, **login: object) -> None:
        self.home = home
        login = login or {"user": box.username, "password": box.password.reveal()}
        # The account must not be exchanged for a token at each start: what is measured and counted is the command.
        server = {"serverId": "sandbox", "url": f"{box.url}/", "artifactoryUrl": box.artifactory_url, "isDefault": True}
        home.mkdir(parents=True, exist_ok=True)
        (home / "jfrog-cli.conf.v6").write_text(json.dumps({"servers": [server | login], "version": "6"}))

    def run(self, *words: object, cwd: Path | None = None, fails: bool = False) -> subprocess.CompletedProcess[str]:
        """Run ``jf`` with *words*, and return what it printed; it must end with 0, or not if it *fails*."""
        env = {"JFROG_CLI_HOME_DIR": str(self.home), "JFROG_CLI_TEMP_DIR": str(self.home), "CI": "true"}
        quiet = {"JFROG_CLI_AVOID_NEW_VERSION_WARNING": "true", "JFROG_CLI_REPORT_USAGE": "false"}
        done = subprocess.run(
            ["jf", *map(str, words)],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            cwd=cwd or self.home,
            env={**os.environ, **env, **quiet},
        )
        assert (done.returncode != 0) == fails, f"jf {words}\n{done.stdout}\n{done.stderr}"
        return done


@pytest.fixture
def jf(need, box, tmp_path) -> JFrog:
    """Return JFrog's own commands, logged in to the sandbox."""
    need("jf")
    return JFrog(box, tmp_path / "jf")
