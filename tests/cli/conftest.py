"""A directory with a step, for the tests of the command line."""

from __future__ import annotations

import urllib.error
import urllib.request

import pytest

from buildpush.cli import run_command

STEP = """\
step:
  type: BuildAndPushDockerRegistry
  name: Build and push
  identifier: push
  spec:
    connectorRef: sandbox
    repo: docker-local/site
    tags:
      - "7"
      - latest
    envVariables:
      PLUGIN_ENGINE: native
      PLUGIN_PUBLISH_BUILD_INFO: "yes"
"""


CONNECTORS = """\
connectors:
  - connector:
      identifier: sandbox
      type: DockerRegistry
      spec:
        dockerRegistryUrl: {url}
        providerType: Other
        auth:
          type: UsernamePassword
          spec:
            username: {username}
            passwordRef: sandbox_password
"""


class Project:
    """A directory with a step, a connectors file, and the password in a variable."""

    def __init__(self, directory, box, monkeypatch):
        self.directory, self.box, self.monkeypatch = directory, box, monkeypatch
        (directory / "public").mkdir()
        (directory / "public" / "index.html").write_text("<h1>hello</h1>\n", encoding="utf-8")
        self.dockerfile("FROM scratch\nCOPY public/ /www/\n")
        self.write("step.yml", STEP)
        self.write("connectors.yml", CONNECTORS.format(url=box.url, username=box.username))
        monkeypatch.setenv("BUILDPUSH_SECRET_SANDBOX_PASSWORD", box.password.reveal())
        monkeypatch.chdir(directory)

    def write(self, name, text):
        (self.directory / name).write_text(text, encoding="utf-8")

    def dockerfile(self, text):
        self.write("Dockerfile", text)

    def run(self, *words):
        return run_command(["run", "step.yml", "--connectors", "connectors.yml", *words])


@pytest.fixture
def project(tmp_path, box, monkeypatch):
    return Project(tmp_path, box, monkeypatch)


def page(address):
    """Return a page; one that says that a build is not there, as after a refused build-info, is one too."""
    try:
        with urllib.request.urlopen(address, timeout=5) as answer:
            return answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.read().decode()
