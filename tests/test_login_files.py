"""What a file says about logins, as a person types it: an empty directory, one file, and the command."""

from __future__ import annotations

import itertools
import json

import pytest

from buildpush.cli import run_command
from tests.connectors import connector, connectors
from tests.test_logins import elsewhere

pytestmark = pytest.mark.programs  # git is asked for the revision

BUILD = """\
- step:
    type: BuildAndPushDockerRegistry
    identifier: {name}
    spec:
      {more}
      repo: {repo}
      tags: ["1"]
      envVariables:
        PLUGIN_ENGINE: native
        {variables}
"""
PUBLISH = """\
- step:
    type: Plugin
    identifier: {name}
    spec:
      connectorRef: account.plugins
      image: plugins/artifactory-publish-docker-buildinfo
      settings:
        {more}
        url: http://{host}/artifactory/
        docker_image: {image}
        build_name: {name}
        build_number: "7"
"""
TOKEN = 'access_token: <+secrets.getValue("org.artifactory_token")>'


class Person:
    """Someone with directories that are empty but for a Dockerfile and the files that they need."""

    def __init__(self, directory, box, monkeypatch, capsys):
        self.box, self.monkeypatch, self.capsys = box, monkeypatch, capsys
        self.directories = (directory / f"work{n}" for n in itertools.count())

    def build(self, name="build", more="connectorRef: jfrog", repo="docker-local/site", variables=""):
        return BUILD.format(name=name, more=more, repo=repo.format(host=self.box.host), variables=variables)

    def publish(self, more="", image="docker-local/site:1", name="publish"):
        return PUBLISH.format(name=name, more=more, host=self.box.host, image=image)

    def run(self, *steps, dockerfile="FROM scratch\nCOPY Dockerfile /\n", **variables):
        """Run *steps* in a directory of their own; return the exit code and all that was printed."""
        directory = next(self.directories)
        directory.mkdir()
        (directory / "Dockerfile").write_text(dockerfile)
        (directory / "p.yml").write_text("".join(steps))
        known = connector(self.box.url, self.box.username, "env:OF_CONNECTOR")
        rival = connector(self.box.url, "nobody", "env:OF_CONNECTOR", name="rival")
        (directory / "c.yml").write_text(connectors(known, rival))
        words = ["--connectors", "c.yml"] if "jfrog" in "".join(steps) else []
        with self.monkeypatch.context() as own:
            own.chdir(directory)
            for name, value in variables.items():
                own.setenv(name, value)
            code = run_command(["run", "p.yml", *words])
        return code, "".join(self.capsys.readouterr())

    @property
    def word(self):
        return {"OF_CONNECTOR": self.box.password.reveal()}

    @property
    def token(self):
        return {"BUILDPUSH_SECRET_ORG_ARTIFACTORY_TOKEN": self.box.token.reveal()}

    @property
    def published(self):
        """Digests of the manifests in the build-infos of the sandbox."""
        return [
            f"sha256:{artifact['sha256']}"
            for build in self.box.builds()
            for module in build["modules"]
            for artifact in module["artifacts"]
            if artifact["name"] == "manifest.json"
        ]


@pytest.fixture
def person(tmp_path, box, monkeypatch, capsys):
    return Person(tmp_path, box, monkeypatch, capsys)


def test_the_file_of_the_seed(person, box):
    """A build and push by a connector, then the build-info plugin with the token alone."""
    code, printed = person.run(person.build(), person.publish(TOKEN), **person.word, **person.token)
    assert code == 0, printed
    assert person.published == [box.digest("docker-local/site", "1")]


@pytest.mark.parametrize("image", ["docker-local/site:1", "{host}/docker-local/site:1"])
@pytest.mark.parametrize("user", ["", "username: developer\n        "])
def test_the_plugin_step_alone_by_a_token_with_and_without_a_user(person, box, image, user):
    assert person.run(person.build(), **person.word)[0] == 0
    code, printed = person.run(person.publish(user + TOKEN, image.format(host=box.host)), **person.token)
    assert code == 0, printed
    assert person.published == [box.digest("docker-local/site", "1")]


def test_without_any_login_the_registry_is_closed(person):
    code, printed = person.run(person.publish())
    assert code == 5
    assert "requires credentials" in printed


# ---- one table of logins: who gives the login, and who needs it

FIRST = {
    "a connector": lambda person: (person.build(), person.word),
    "variables of the step": lambda person: (
        person.build(
            more="",
            variables=f"PLUGIN_USERNAME: {person.box.username}\n        PLUGIN_PASSWORD: env:WORD\n"
            f"        PLUGIN_REGISTRY: {person.box.host}",
        ),
        {"WORD": person.box.password.reveal()},
    ),
    "the token of the build-info step": lambda person: (person.publish(TOKEN), person.token),
    "Docker's file": lambda person: ("", {}),
    "DOCKER_AUTH_CONFIG": lambda person: ("", {"DOCKER_AUTH_CONFIG": docker_config(person.box)}),
}
SECOND = {
    "a build-info step": lambda person: person.publish(name="second"),
    "a push": lambda person: person.build("second", more="", repo="{host}/docker-local/second"),
}


def docker_config(box):
    return json.dumps({"auths": {box.host: {"auth": box.password.basic(box.username)}}})


@pytest.mark.parametrize("first", FIRST)
@pytest.mark.parametrize("second", SECOND)
def test_a_step_without_a_login_has_what_the_run_knows_of_the_host(person, box, home, first, second):
    assert person.run(person.build(), **person.word)[0] == 0
    if first == "Docker's file":
        (home / ".docker").mkdir()
        (home / ".docker/config.json").write_text(docker_config(box))
    step, variables = FIRST[first](person)
    code, printed = person.run(step, SECOND[second](person), **variables)
    assert code == 0, printed
    if second == "a push":
        assert box.digest("docker-local/second", "1")
    else:
        assert person.published


# ---- base images

FROM = "FROM {host}/docker-local/site:1\nCOPY Dockerfile /b\n"


@pytest.mark.parametrize("variables", ["", 'PLUGIN_NO_PUSH: "true"'])
def test_the_connector_of_the_registry_opens_the_base_image_with_and_without_a_push(person, box, variables):
    assert person.run(person.build(), **person.word)[0] == 0
    text = FROM.format(host=box.host)
    child = person.build(repo="docker-local/child", variables=variables)
    code, printed = person.run(child, dockerfile=text, **person.word)
    assert code == 0, printed
    assert bool(box.digest("docker-local/child", "1")) is not bool(variables)
    bare = person.build(more="", repo="{host}/docker-local/child", variables='PLUGIN_NO_PUSH: "true"')
    assert person.run(bare, dockerfile=text)[0] == 5, "nobody reads it without a login"


@pytest.mark.parametrize("variables", ["", 'PLUGIN_NO_PUSH: "true"'])
def test_the_login_at_plugin_registry_opens_the_base_image_as_well(person, box, variables):
    assert person.run(person.build(), **person.word)[0] == 0
    login = {"PLUGIN_USERNAME": box.username, "PLUGIN_PASSWORD": box.password.reveal(), "PLUGIN_REGISTRY": box.host}
    child = person.build(more="", repo="docker-local/child", variables=variables)
    code, printed = person.run(child, dockerfile=FROM.format(host=box.host), **login)
    assert code == 0, printed


# ---- PLUGIN_REGISTRY


def test_a_repository_without_a_host_is_pushed_to_plugin_registry(person, box):
    login = {"PLUGIN_USERNAME": box.username, "PLUGIN_PASSWORD": box.password.reveal(), "PLUGIN_REGISTRY": box.host}
    code, printed = person.run(person.build(more=""), **login)
    assert code == 0, printed
    assert box.digest("docker-local/site", "1")


def test_user_and_password_go_to_plugin_registry_and_nowhere_else(person, box):
    login = {"PLUGIN_USERNAME": box.username, "PLUGIN_PASSWORD": box.password.reveal(), "PLUGIN_REGISTRY": box.host}
    with elsewhere() as other:
        there = other.url.removeprefix("http://")
        code, printed = person.run(person.build(more="", repo=f"{there}/docker-local/site"), **login)
        assert code != 0
        assert f"PLUGIN_PASSWORD is for {box.host}, which PLUGIN_REGISTRY names" in printed
        assert other.taken
        assert not [text for text in other.taken if "authorization:" in text.lower()]


def test_without_plugin_registry_a_password_of_the_environment_follows_no_file(person, box):
    login = {"PLUGIN_USERNAME": box.username, "PLUGIN_PASSWORD": box.password.reveal()}
    code, printed = person.run(person.build(more="", repo="{host}/docker-local/site"), **login)
    assert code == 2
    assert f"PLUGIN_PASSWORD is not sent to {box.host}, which only p.yml:" in printed
    assert box.requests == []


# ---- several connectors for one host


@pytest.mark.parametrize(("refs", "expected"), [("[jfrog, rival]", 0), ("[rival, jfrog]", 5)])
def test_the_first_connector_of_base_images_for_a_host_counts(person, box, refs, expected):
    assert person.run(person.build(), **person.word)[0] == 0
    variables = 'PLUGIN_NO_PUSH: "true"'
    step = person.build(more=f"baseImageConnectorRefs: {refs}", repo="{host}/docker-local/child", variables=variables)
    code, printed = person.run(step, dockerfile=FROM.format(host=box.host), **person.word)
    assert code == expected
    first, second = refs.strip("[]").split(", ")
    assert f"the connector {second} has no effect: {first} comes first for {box.host}" in printed
