"""The thirty faults of Harness' own plugin for build-info, each by its number: none of them is here.

The plugin is ``harness-community/drone-artifactory-docker-buildinfo``, a Go program that runs ``jf`` and logs what it
does. Each test says what the plugin does, and shows what ``buildpush plugin`` does with the same variables.
"""

from __future__ import annotations

import json
import subprocess
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from buildpush.artifactory import expected_build_info, publish
from buildpush.cli import run_command
from buildpush.http.client import Http
from buildpush.http.retry import Timeouts
from buildpush.images.references import Reference
from tests.artifactory.conftest import Desk, Recipes

pytestmark = pytest.mark.programs  # git is asked for the revision

HELLO = "docker-local/team/hello"
LAYERS = [f"buildpush-example layer {number}\n".encode() for number in (1, 2, 3)]
REQUIRED = ("URL", "DOCKER_IMAGE", "BUILD_NAME", "BUILD_NUMBER")


class Plugin(Desk):
    """Runs the plugin in a workspace of its own, for an image that is in the sandbox."""

    def __init__(self, box, http, directory: Path, monkeypatch, capsys) -> None:
        super().__init__(box, http, directory, Recipes())
        self._monkeypatch, self._capsys = monkeypatch, capsys
        self.set(
            URL=f"{box.url}/artifactory",
            USERNAME=box.username,
            PASSWORD=box.password.reveal(),
            BUILD_NAME="hello",
            BUILD_NUMBER="1",
            DOCKER_IMAGE=self.name(f"{HELLO}:1"),
        )
        self.shown = ""

    def set(self, **variables: str | None) -> None:
        for name, text in variables.items():
            if text is None:
                self._monkeypatch.delenv(f"PLUGIN_{name}", raising=False)
            else:
                self._monkeypatch.setenv(f"PLUGIN_{name}", text)

    def run(self, **variables: str | None) -> int:
        self.set(**variables)
        code = run_command(["plugin", "--like", "artifactory-publish-docker-buildinfo"])
        output = self._capsys.readouterr()
        self.shown = output.out + output.err
        assert self.box.password.reveal() not in self.shown
        assert "Traceback" not in self.shown
        return code

    def image(self, *references: str):
        pushed = self.recipes.hello(*(self.name(one) for one in references or (f"{HELLO}:1",)))
        self.send_blobs(pushed, LAYERS)
        return self.upload(pushed)

    def other_image(self, reference: str):
        pushed = self.recipes.image([b"other\n"], [], self.name(reference))
        self.send_blobs(pushed, [b"other\n"])
        return self.upload(pushed)

    def index(self, reference: str):
        images = [self.recipes.image([text], [], architecture=text.decode()) for text in (b"amd64", b"arm64")]
        index = self.recipes.index(images, self.name(reference))
        for image, text in zip(images, (b"amd64", b"arm64"), strict=True):
            self.send_blobs(replace(image, references=index.references), [text])
        return self.upload(index)

    def modules(self, number: str = "1"):
        return self.build(number)["modules"]

    def build(self, number: str = "1"):
        [stored] = [one for one in self.box.builds("hello") if one["number"] == number]
        return stored


@pytest.fixture
def plugin(box, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with Http() as http:
        yield Plugin(box, http, tmp_path, monkeypatch, capsys)


@pytest.fixture
def programs(monkeypatch):
    """Return the arguments and environments of all programs that are started."""
    started, plain = [], subprocess.Popen.__init__

    def start(self, args, *more, **named):
        started.append([args, named.get("env")])
        plain(self, args, *more, **named)

    monkeypatch.setattr(subprocess.Popen, "__init__", start)
    return started


# ---- secrets


def test_fault_01_it_logs_command_lines_with_passwords(plugin):
    plugin.image()
    assert plugin.run(LOG_LEVEL="DEBUG") == 0  # run looks for the password


def test_fault_02_it_puts_passwords_into_arguments_of_programs(plugin, programs):
    plugin.image()
    assert plugin.run() == 0
    assert plugin.box.password.reveal() not in json.dumps(programs, default=str)


def test_fault_03_it_logs_what_programs_and_servers_answer_as_it_is(plugin):
    plugin.image()
    plugin.box.add_fault("PUT", "api/build$", status=403, body=f"no {plugin.box.password.reveal()} \x1b[31m".encode())
    assert plugin.run() == 6
    assert "\x1b[31m" not in plugin.shown


# ---- references


@pytest.mark.parametrize("host", ["localhost:8082", "artifactory:8082", "host.com", "[::1]:8082"])
def test_fault_04_it_takes_hosts_with_less_than_two_dots_for_repository_keys(host):
    reference = Reference.parse(f"{host}/repo/img:1")
    assert (reference.repository.host, reference.repository.path, str(reference.tag)) == (host, "repo/img", "1")


def test_fault_05_it_takes_what_follows_a_port_for_the_tag(plugin):
    plugin.image(f"{HELLO}:latest")
    assert plugin.run(DOCKER_IMAGE=plugin.name(HELLO)) == 0
    assert [module["id"] for module in plugin.modules()] == ["hello:latest"]


@pytest.mark.parametrize("tag", ["", ":1"])
def test_fault_06_it_makes_an_image_of_the_at_sign_of_a_digest(plugin, tag):
    pushed = plugin.image()
    assert plugin.run(DOCKER_IMAGE=f"{plugin.name(HELLO)}{tag}@{pushed.digest}") == 0
    [module] = plugin.modules()
    assert module["artifacts"][0]["path"] == "team/hello/1/manifest.json"
    assert module["properties"]["docker.image.id"] == str(pushed.config.digest)


@pytest.mark.parametrize("image", ["a.b.c:1", "img:1", ":1", "a//b:1", "a.b.c/img:", "a.b.c/img@sha256:1", "-"])
def test_fault_07_it_crashes_on_a_name_that_is_too_short(plugin, image):
    code = plugin.run(DOCKER_IMAGE=image)
    assert code in {2, 4, 5}  # such as an image that is not there
    assert "error: " in plugin.shown
    assert plugin.box.builds() == []


@pytest.mark.parametrize("name", ["docker-local.acme.io/team/hello:1", "acme-docker-local.jfrog.io/team/hello:1"])
def test_fault_08_it_wants_the_repository_key_in_the_path(plugin, name):
    pushed = replace(plugin.image(), references=(Reference.parse(name),), repository_key=None)
    info = expected_build_info(pushed, plugin.recipes.record(), plugin.client())
    publish(info, plugin.client(), directory=plugin.directory / "pending", pushed=pushed)
    [module] = plugin.build("42")["modules"]
    assert module["artifacts"][0]["originalDeploymentRepo"] == "docker-local"


# ---- finding the manifest


def test_fault_09_it_finds_no_image_of_several_platforms(plugin):
    plugin.index(f"{HELLO}:2")
    assert plugin.run(DOCKER_IMAGE=plugin.name(f"{HELLO}:2")) == 0
    assert [one["id"] for one in plugin.modules()] == ["hello:2", "linux/amd64/hello:2", "linux/arm64/hello:2"]


def test_fault_10_it_takes_the_first_manifest_of_several(plugin):
    plugin.other_image("docker-release/team/hello:1")  # the other member of the virtual repository
    pushed = plugin.image()
    assert plugin.run(DOCKER_IMAGE=plugin.name("docker/team/hello:1")) == 0
    [module] = plugin.modules()
    assert {one["originalDeploymentRepo"] for one in module["artifacts"]} == {"docker-local"}
    assert module["properties"]["docker.image.id"] == str(pushed.config.digest)


def test_fault_11_it_does_not_search_again(plugin):
    plugin.image()
    plugin.box.add_fault("POST", "api/search/aql", status=200, body=b'{"results": []}', times=3)
    plugin.box.add_fault("GET", "api/storage", status=404)
    assert plugin.run() == 0
    assert len(plugin.modules()[0]["artifacts"]) == 5


def test_fault_12_it_reads_answers_from_the_lines_of_a_log(plugin):
    label = "[warning\\n] {\n"
    config = plugin.recipes.image([b"x"], [], plugin.name(f"{HELLO}:1"))
    document = json.loads(config.config_document) | {"config": {"Labels": {"note": label}}}
    text = json.dumps(document).encode()
    blob = plugin.recipes.blob(text, config.config.media_type)
    manifest = json.loads(config.manifest)
    manifest["config"] |= {"digest": str(blob.digest), "size": blob.size}
    plugin.send_blobs(replace(config, config_document=text), [b"x"])
    plugin.upload(replace(config, manifest=json.dumps(manifest).encode()))
    assert plugin.run() == 0
    assert plugin.box.properties("docker-local", "team/hello/1/manifest.json")["docker.label.note"] == [label]


def test_fault_13_it_ignores_the_digest(plugin):
    pushed = plugin.image(f"{HELLO}:1", f"{HELLO}:kept")
    plugin.other_image(f"{HELLO}:1")
    assert plugin.run(DOCKER_IMAGE=f"{plugin.name(HELLO)}:1@{pushed.digest}") == 0
    [module] = plugin.modules()
    assert module["artifacts"][0]["sha256"] == pushed.digest.hex
    assert module["artifacts"][0]["path"] == "team/hello/kept/manifest.json"


# ---- the image file


def test_fault_14_it_leaves_out_the_host_and_asks_another_one(plugin):
    plugin.image()
    assert plugin.run(DOCKER_IMAGE=f"{HELLO}:1") == 0  # a request to any other host would fail
    assert plugin.modules()[0]["properties"]["docker.image.tag"] == plugin.name(f"{HELLO}:1")


def test_fault_15_it_leaves_files_in_the_working_directory(plugin):
    plugin.image()
    assert plugin.run() == 0
    assert list(plugin.directory.iterdir()) == []


def test_fault_16_it_goes_on_if_its_files_cannot_be_written(plugin, monkeypatch):
    """Nothing that is published is read from a file; that the state directory cannot be made is said."""
    plugin.image()
    (plugin.directory / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(plugin.directory / "file"))
    assert plugin.run() == 0
    assert len(plugin.modules()) == 1


# ---- errors


def test_fault_17_it_goes_on_without_credentials(plugin):
    plugin.image()
    assert plugin.run(USERNAME=None, PASSWORD=None) == 5
    assert plugin.box.builds() == []


@pytest.mark.parametrize("name", REQUIRED)
def test_fault_18_it_does_not_miss_what_it_needs(plugin, name):
    assert plugin.run(**{name: None}) == 2
    assert f"PLUGIN_{name}" in plugin.shown


def test_fault_19_it_ends_the_process_inside_its_functions(plugin):
    """A failure is an exception, so what was opened is closed, and the same process can go on."""
    plugin.image()
    before = threading.active_count()
    assert plugin.run(DOCKER_IMAGE=plugin.name("docker-local/nothing:1")) == 4
    assert threading.active_count() == before
    assert plugin.run(DOCKER_IMAGE=plugin.name(f"{HELLO}:1")) == 0


@pytest.mark.parametrize("url", ["", "://", "ftp://h.test", "http://", "https://[::1", "https://a b"])
def test_fault_20_it_crashes_on_an_address_or_mends_it(plugin, url):
    assert plugin.run(URL=url) == 2
    assert "error: " in plugin.shown


def test_fault_20_it_cuts_an_address_at_the_first_artifactory(plugin):
    plugin.image()
    assert plugin.run(URL=f"{plugin.box.url}/artifactory-eu") != 0
    assert {one.path for one in plugin.box.requests if "/artifactory/api/build" in one.path} == {
        "/artifactory-eu/artifactory/api/build/hello"
    }


def test_fault_21_it_ends_with_0_after_failures(plugin):
    plugin.image()
    assert plugin.run(GIT_PATH="nowhere") == 2
    assert plugin.box.builds() == []
    plugin.box.add_fault("GET", "api/build/hello/1", status=404, times=None)
    assert plugin.run(GIT_PATH=None) == 6  # it is not there when it is read back


# ---- settings that do nothing


@pytest.mark.parametrize(
    "variables", [{"PEM_FILE_PATH": "nowhere.pem"}, {"PEM_FILE_CONTENTS": "no certificate"}, {"INSECURE": "perhaps"}]
)
def test_fault_22_it_reads_settings_about_tls_and_does_not_use_them(plugin, variables):
    plugin.image()
    assert plugin.run(URL=plugin.box.url.replace("http:", "https:"), **variables) == 2
    assert f"PLUGIN_{next(iter(variables))}" in plugin.shown


def test_fault_23_it_needs_a_clone_and_the_variables(plugin, monkeypatch):
    """Each alone gives the revision."""
    plugin.image()
    monkeypatch.setenv("DRONE_COMMIT_SHA", "a" * 40)
    monkeypatch.setenv("DRONE_COMMIT_BRANCH", "main")
    monkeypatch.setenv("DRONE_REPO_LINK", "https://git.example.com/team/hello")
    monkeypatch.setenv("DRONE", "true")
    assert plugin.run() == 0
    [vcs] = plugin.build()["vcs"]
    assert (vcs["revision"], vcs["branch"]) == ("a" * 40, "main")
    for name in ("DRONE_COMMIT_SHA", "DRONE_COMMIT_BRANCH", "DRONE_REPO_LINK", "DRONE"):
        monkeypatch.delenv(name)
    clone = plugin.directory / "clone"
    settings = ("-c", "user.name=x", "-c", "user.email=x@x.test")
    for words in (("init", "-q", "-b", "dev"), (*settings, "commit", "-q", "--allow-empty", "-m", "First")):
        subprocess.run(["git", *words], cwd=(clone.mkdir(exist_ok=True), clone)[1], check=True)
    assert plugin.run(GIT_PATH="clone", BUILD_NUMBER="2") == 0
    [vcs] = plugin.build("2")["vcs"]
    assert (vcs["branch"], vcs["message"]) == ("dev", "First")


def test_fault_24_it_has_no_project(plugin, monkeypatch):
    plugin.image()
    monkeypatch.setenv("JF_PROJECT", "web")
    plugin.run()
    assert {one.query.get("project") for one in plugin.asked("GET", "api/build/hello")} == {"web"}


# ---- who triggered it


def test_fault_25_it_sends_the_document_twice_to_name_who_triggered_it(plugin, monkeypatch):
    plugin.image()
    monkeypatch.setenv("DRONE", "true")
    monkeypatch.setenv("DRONE_BUILD_TRIGGER", "ann")
    assert plugin.run() == 0
    assert plugin.build()["principal"] == "ann"
    assert len(plugin.asked("PUT", "api/build")) == len(plugin.asked("GET", "api/build/hello/1")) == 1


def test_fault_26_it_changes_another_run_of_the_same_number(plugin):
    plugin.image()
    assert plugin.run() == 0
    [before] = plugin.box.builds("hello")
    assert plugin.run() == 0
    assert before in plugin.box.builds("hello")
    assert len(plugin.box.builds("hello")) == 2


def test_fault_27_it_waits_for_ever_and_is_two_users(plugin):
    plugin.image()
    reader = plugin.box.add_account("reader", ["read"])
    plugin.box.add_account("robot")
    assert plugin.run(ACCESS_TOKEN=reader.password.reveal()) == 0  # its user and password come first, everywhere
    assert plugin.build()["artifactoryPrincipal"] == plugin.box.username
    assert "access_token has no effect" in plugin.shown
    assert 0 < Timeouts().silence < 600


def test_fault_28_it_logs_the_bodies_of_answers(plugin):
    plugin.image()
    page = b"<html>" + b"<p>a page of a proxy</p>" * 9999
    plugin.box.add_fault("PUT", "api/build$", status=403, body=page, headers={"Content-Type": "text/html"})
    assert plugin.run() == 6
    assert max(map(len, plugin.shown.splitlines())) < 3000


# ---- packaging


def test_fault_29_its_page_says_that_an_api_key_is_enough_and_its_code_wants_a_user(plugin):
    """Here it is enough for Artifactory. The registry wants a user, and the message says so.

    The rest of this fault is about its image (``jf`` from a pipe into a shell, run as root), which has no counterpart:
    no other program is fetched or run.
    """
    plugin.image()
    key = plugin.box.token.reveal()
    assert plugin.run(USERNAME=None, PASSWORD=None, API_KEY=key) == 5
    assert "give username and password" in plugin.shown
    assert [one.status for one in plugin.asked("GET", "api/build/hello")] == [404]  # not refused
    assert plugin.run(USERNAME=plugin.box.username) == 0


def test_fault_30_it_publishes_what_a_failed_run_left(plugin):
    plugin.image()
    plugin.box.add_fault("PUT", "api/build$", status=403)
    assert plugin.run() == 6
    plugin.other_image(f"{HELLO}:other")
    assert plugin.run(DOCKER_IMAGE=plugin.name(f"{HELLO}:other")) == 0
    newest = plugin.box.builds("hello")[0]
    assert [module["id"] for module in newest["modules"]] == ["hello:other"]
