"""``buildpush plugin``: variables alone, in the place of each of Harness' five plugins."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

import buildpush
from buildpush.cli import run_command
from buildpush.foundation.errors import SettingsError
from buildpush.settings.plugin_environment import PLUGINS, plugin_for
from buildpush.transfer.docker_archive import open_docker_archive

sandbox = pytest.mark.sandbox
BUILDING = pytest.mark.parametrize("like", [name for name, kind in PLUGINS.items() if kind.builds])


@pytest.fixture
def place(tmp_path, monkeypatch, box) -> Path:
    """Stand in a workspace with a Dockerfile and the login of the sandbox, and with nothing else."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    monkeypatch.setenv("PLUGIN_REGISTRY", box.host)
    monkeypatch.setenv("PLUGIN_USERNAME", box.username)
    monkeypatch.setenv("PLUGIN_PASSWORD", box.password.reveal())
    return tmp_path


@pytest.fixture
def plugin(place, box, monkeypatch, capsys):
    """Return what runs the plugin with further variables, and returns its exit code and what it printed."""

    def plugin(*words, **variables):
        for name, text in variables.items():
            monkeypatch.setenv(name, text)
        code = run_command(["plugin", *words])
        shown = capsys.readouterr()
        assert box.password.reveal() not in shown.out + shown.err
        return code, shown.out, shown.err

    return plugin


@pytest.fixture
def app(box):
    return f"{box.host}/docker-local/app"


@sandbox
@BUILDING
def test_a_plugin_builds_and_pushes_by_its_variables_alone(plugin, place, box, app, like):
    code, out, err = plugin("--like", like, PLUGIN_REPO=app, PLUGIN_TAGS="1,2", PLUGIN_ARTIFACT_FILE="artifact.json")
    assert (code, sorted(box.tags("docker-local/app"))) == (0, ["1", "2"]), err
    images = json.loads((place / "artifact.json").read_text())["data"]["images"]
    assert [one["image"] for one in images] == [f"{app}:1", f"{app}:2"]
    assert {one["digest"] for one in images} == {box.digest("docker-local/app", "1")}
    assert box.digest("docker-local/app", "1") in out


@sandbox
@BUILDING
@pytest.mark.parametrize("variable", ["PLUGIN_DRY_RUN", "PLUGIN_NO_PUSH"])
def test_a_plugin_that_does_not_push_sends_nothing(plugin, box, app, like, variable):
    code, _, err = plugin("--like", like, PLUGIN_REPO=app, PLUGIN_TAGS="1", **{variable: "true"})
    assert (code, box.requests) == (0, []), err


@sandbox
@BUILDING
@pytest.mark.parametrize("variables", [{}, {"PLUGIN_NO_PUSH": "true"}], ids=["pushed", "not pushed"])
def test_a_plugin_writes_a_tar(plugin, place, box, app, like, variables):
    code, _, err = plugin("--like", like, PLUGIN_REPO=app, PLUGIN_TAGS="1", PLUGIN_TAR_PATH="image.tar", **variables)
    assert (code, box.tags("docker-local/app")) == (0, [] if variables else ["1"]), err
    assert open_docker_archive(place / "image.tar").layers


@sandbox
@BUILDING
def test_a_plugin_pushes_what_an_earlier_one_has_put_into_a_tar(plugin, box, app, like, monkeypatch):
    assert plugin(PLUGIN_REPO=app, PLUGIN_TAGS="1", PLUGIN_TAR_PATH="image.tar", PLUGIN_NO_PUSH="true")[0] == 0
    for name in ("PLUGIN_TAR_PATH", "PLUGIN_NO_PUSH"):
        monkeypatch.delenv(name)
    code, _, err = plugin("--like", like, PLUGIN_PUSH_ONLY="true", PLUGIN_SOURCE_TAR_PATH="image.tar")
    assert (code, box.tags("docker-local/app")) == (0, ["1"]), err


@sandbox
@BUILDING
@pytest.mark.parametrize("variable", ["PLUGIN_DRY_RUN", "PLUGIN_NO_PUSH"])
def test_a_push_without_a_push_is_refused(plugin, box, app, like, variable):
    code, _, err = plugin("--like", like, PLUGIN_REPO=app, PLUGIN_PUSH_ONLY="true", **{variable: "true"})
    assert (code, box.requests) == (2, [])
    assert "push_only pushes, and push is off" in err


@sandbox
@BUILDING
def test_a_plugin_without_tags_takes_those_of_the_file(plugin, place, box, app, like):
    (place / ".tags").write_text("3.1,3\n")
    assert plugin("--like", like, PLUGIN_REPO=app)[0] == 0
    assert sorted(box.tags("docker-local/app")) == ["3", "3.1"]


@sandbox
@BUILDING
def test_a_plugin_without_tags_and_without_the_file_pushes_the_latest(plugin, box, app, like):
    assert plugin("--like", like, PLUGIN_REPO=app)[0] == 0
    assert box.tags("docker-local/app") == ["latest"]


@sandbox
@BUILDING
def test_a_plugin_makes_tags_and_labels_of_what_drone_says(plugin, box, app, like):
    facts = {"DRONE_COMMIT_REF": "refs/tags/v1.2.3", "DRONE_COMMIT_SHA": "0" * 40, "DRONE_REPO_BRANCH": "main"}
    facts |= {"DRONE_REMOTE_URL": "https://git.test/shop.git", "DRONE_REPO_LINK": "https://git.test/shop"}
    code, _, err = plugin("--like", like, PLUGIN_REPO=app, PLUGIN_AUTO_TAG="true", PLUGIN_AUTO_LABEL="true", **facts)
    assert (code, sorted(box.tags("docker-local/app"))) == (0, ["1", "1.2", "1.2.3"]), err
    copied = buildpush.copy(f"docker://{app}:1", "oci:out", username=box.username, password=box.password)
    assert copied.digest == box.digest("docker-local/app", "1")
    config = json.loads(
        next(one for one in Path("out/blobs/sha256").iterdir() if b'"rootfs"' in one.read_bytes()).read_text()
    )
    labels = config["config"]["Labels"]
    assert labels["org.opencontainers.image.revision"] == "0" * 40
    assert labels["org.opencontainers.image.source"] == "https://git.test/shop.git"


@pytest.fixture
def strange(plugin, box, monkeypatch):
    """Return the login of the sandbox in the plugins' own names, in place of ours."""
    for name in ("REGISTRY", "USERNAME", "PASSWORD"):
        monkeypatch.delenv(f"PLUGIN_{name}")
    return {"DOCKER_REGISTRY": box.host, "DOCKER_USERNAME": box.username, "DOCKER_PASSWORD": box.password.reveal()}


@sandbox
@pytest.mark.parametrize("like", ["docker", "buildx", "buildah-docker"])
def test_a_plugin_pushes_by_the_login_in_its_own_names(plugin, box, app, strange, like):
    code, _, err = plugin("--like", like, PLUGIN_REPO="docker-local/app", PLUGIN_TAGS="1", **strange)
    assert (code, box.tags("docker-local/app")) == (0, ["1"]), err
    assert "has no effect" not in err


@sandbox
@pytest.mark.parametrize(("status", "retries", "code"), [(500, "1", 4), (500, "2", 0), (503, "0", 4), (503, "2", 0)])
def test_a_push_is_tried_again_as_often_as_the_plugin_is_asked_to(plugin, box, app, status, retries, code):
    box.add_fault("PUT", "manifests/1$", status=status, times=2)
    found, _, err = plugin("--like", "kaniko", PLUGIN_REPO=app, PLUGIN_TAGS="1", PLUGIN_PUSH_RETRY=retries)
    assert found == code, err


@sandbox
def test_a_refused_login_is_named_as_the_plugin_has_it(plugin, app, strange):
    code, _, err = plugin("--like", "docker", PLUGIN_REPO=app, PLUGIN_TAGS="1", **{**strange, "DOCKER_PASSWORD": "x"})
    assert code == 5
    assert "from DOCKER_PASSWORD" in err


@sandbox
def test_kaniko_opens_base_images_by_its_own_names(plugin, place, box, app, strange):
    assert plugin("--like", "docker", PLUGIN_REPO=app, PLUGIN_TAGS="1", **strange)[0] == 0
    (place / "Dockerfile").write_text(f"FROM {app}:1\n")
    code, _, err = plugin("--like", "kaniko", PLUGIN_NO_PUSH="true")
    assert (code, "has no effect" in err) == (0, False), err
    code, _, err = plugin("--like", "kaniko", DOCKER_PASSWORD="wrong")
    assert (code, "from DOCKER_PASSWORD" in err) == (5, True), err


@sandbox
def test_the_names_of_a_plugin_mean_nothing_while_it_is_not_known(plugin, app, strange):
    code, _, err = plugin(PLUGIN_REPO=app, PLUGIN_TAGS="1", **strange)
    assert code != 0
    assert "DOCKER_PASSWORD has no effect" in err
    assert "--like of buildpush plugin" in err


@sandbox
def test_a_configuration_of_docker_is_a_login_in_the_plugins_own_name(plugin, box, app, strange):
    login = base64.b64encode(f"{box.username}:{box.password.reveal()}".encode()).decode()
    config = json.dumps({"auths": {box.host: {"auth": login}}})
    code, _, err = plugin("--like", "docker", PLUGIN_REPO=app, PLUGIN_TAGS="1", DOCKER_PLUGIN_CONFIG=config)
    assert (code, box.tags("docker-local/app")) == (0, ["1"]), err


@pytest.mark.programs
def test_the_fifth_plugin_publishes_build_info_of_what_is_pushed(plugin, box, app, monkeypatch):
    assert plugin(PLUGIN_REPO=app, PLUGIN_TAGS="1")[0] == 0
    for name in ("PLUGIN_REPO", "PLUGIN_TAGS", "PLUGIN_REGISTRY"):
        monkeypatch.delenv(name)
    address = f"{box.url}/artifactory/"
    variables = {"PLUGIN_DOCKER_IMAGE": f"{app}:1", "PLUGIN_URL": address, "PLUGIN_BUILD_NAME": "shop"}
    code, out, err = plugin(**variables, PLUGIN_BUILD_NUMBER="7", PLUGIN_BUILD_URL="https://ci.test/7")
    assert code == 0, err
    [build] = box.builds()
    assert (build["name"], build["number"], build["url"]) == ("shop", "7", "https://ci.test/7")
    assert "/shop/7" in out


@sandbox
def test_the_plugin_that_uploads_takes_its_variables(plugin, place, box):
    (place / "dist").mkdir()
    (place / "dist/a.whl").write_text("a wheel")
    address = f"{box.url}/artifactory/"
    login = {"PLUGIN_USERNAME": box.username, "PLUGIN_PASSWORD": box.password.reveal()}
    words = {"PLUGIN_SOURCE": "dist/*", "PLUGIN_TARGET": "generic-local/", "PLUGIN_TARGET_PROPS": "a=1,b=null"}
    code, out, err = plugin(PLUGIN_URL=address, **login, **words)
    assert code == 0, err
    assert "generic-local/dist/a.whl" in out
    assert box.properties("generic-local", "dist/a.whl") == {"a": ["1"]}


@pytest.mark.programs
def test_build_info_names_what_drone_says_of_the_run(plugin, box, app, monkeypatch):
    """The plugin reads the same variables, of which a container without git has no others."""
    assert plugin(PLUGIN_REPO=app, PLUGIN_TAGS="1")[0] == 0
    for name in ("PLUGIN_REPO", "PLUGIN_TAGS"):
        monkeypatch.delenv(name)
    facts = {"DRONE_GIT_HTTP_URL": "https://git.test/shop.git", "DRONE_COMMIT_SHA": "1" * 40}
    facts |= {"DRONE_BUILD_TRIGGER": "jane", "DRONE_BUILD_LINK": "https://ci.test/7"}
    variables = {
        "PLUGIN_DOCKER_IMAGE": f"{app}:1",
        "PLUGIN_URL": f"{box.url}/artifactory/",
        "PLUGIN_BUILD_NAME": "shop",
    }
    code, _, err = plugin(**variables, **facts, PLUGIN_BUILD_NUMBER="7")
    assert code == 0, err
    [build] = box.builds()
    assert (build["principal"], build["url"]) == ("jane", "https://ci.test/7")
    assert build["vcs"] == [{"revision": "1" * 40, "url": "https://git.test/shop.git"}]


@sandbox
def test_a_wrong_password_has_the_exit_code_of_every_run(plugin, box, app):
    code, _, err = plugin(PLUGIN_REPO=app, PLUGIN_PASSWORD="wrong", PLUGIN_TAGS="1")
    assert code == run_command(["run", "--engine", "native"])
    assert (code > 2, "error: " in err) == (True, True)


@sandbox
def test_a_missing_repository_is_asked_for_by_its_variable(plugin):
    code, _, err = plugin(PLUGIN_TAGS="1")
    assert code == 2
    assert "hint: set PLUGIN_REPO" in err


@sandbox
def test_a_variable_of_the_other_plugin_is_named(plugin, app):
    code, _, err = plugin("--like", "docker", PLUGIN_REPO=app, PLUGIN_DOCKER_IMAGE=f"{app}:1")
    assert code == 0
    assert "PLUGIN_DOCKER_IMAGE has no effect: a step that builds does not read it" in err


@pytest.mark.parametrize(
    ("env", "like", "name"),
    [
        ({"PLUGIN_REPO": "h.test/a/b"}, None, "docker"),
        ({"PLUGIN_DRY_RUN": "true"}, None, "docker"),
        ({"PLUGIN_DOCKER_IMAGE": "h.test/a/b:1"}, None, "artifactory-publish-docker-buildinfo"),
        ({"PLUGIN_URL": "https://h.test", "PLUGIN_BUILD_NAME": "x"}, None, "artifactory-publish-docker-buildinfo"),
        # Harness sets this one for every plugin.
        (
            {"PLUGIN_DOCKER_IMAGE": "h.test/a/b:1", "PLUGIN_ARTIFACT_FILE": "/tmp/x"},
            None,
            "artifactory-publish-docker-buildinfo",
        ),
        ({"PLUGIN_REPO": "h.test/a/b", "PLUGIN_URL": "https://h.test"}, "plugins/buildx:1.3", "buildx"),
        ({}, "kaniko", "kaniko"),
        ({"PLUGIN_SOURCE": "x", "PLUGIN_URL": "https://h.test", "PLUGIN_FLAT": "true"}, None, "artifactory"),
    ],
)
def test_the_variables_say_which_plugin_is_meant(env, like, name):
    assert plugin_for(env, like) is PLUGINS[name]


@pytest.mark.parametrize(
    ("env", "like", "words"),
    [
        ({"PLUGIN_REPO": "h.test/a/b", "PLUGIN_URL": "https://h.test"}, None, "PLUGIN_URL for the one that publishes"),
        ({"PLUGIN_REPO": "h.test/a/b", "PLUGIN_SOURCE": "x"}, None, "PLUGIN_SOURCE for the one that uploads"),
        ({"PLUGIN_USERNAME": "ci"}, None, "no variable says what to do"),
        ({}, None, "no variable says what to do"),
        ({}, "bulidx", "unknown plugin 'bulidx'"),
    ],
)
def test_variables_for_no_plugin_or_for_two_are_refused(env, like, words):
    with pytest.raises(SettingsError, match=words):
        plugin_for(env, like)
