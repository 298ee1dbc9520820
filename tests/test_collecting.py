"""A build that several jobs and commands make: collected in directories, then published as one."""

from __future__ import annotations

import hashlib
import json
import shlex
import shutil

import pytest

from buildpush.artifactory import BuildInfo
from buildpush.artifactory.collection import BuildKey, collections_in
from buildpush.artifactory.document import Module
from buildpush.cli import run_command
from buildpush.foundation.state import State
from tests.test_builds import PublishingSite

KEY = BuildKey("shop", "7")


@pytest.fixture
def site(tmp_path, box, monkeypatch):
    monkeypatch.setenv("JF_URL", box.url)
    monkeypatch.setenv("JF_USER", box.username)
    monkeypatch.setenv("JF_PASSWORD", box.password.reveal())
    return PublishingSite(tmp_path, box, monkeypatch)


def document(*ids: str, **more):
    return {"modules": [{"id": one, "type": "generic"} for one in ids], **more}


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return str(path)


def collected(directory) -> list[str]:
    [collection] = collections_in(directory)
    from buildpush.pipeline.collecting import content_of

    return content_of(collection)["modules"]


# ---- jobs


@pytest.mark.sandbox
@pytest.mark.programs
def test_two_jobs_with_directories_of_their_own_are_one_run(site, monkeypatch, capsys):
    for job in ("api", "web"):
        monkeypatch.setenv("PLUGIN_BUILD_DIR", f"of-{job}")
        site.write(site.step(job), site.step(f"{job}_tests"))
        assert site.run() == 0
    said = capsys.readouterr()
    assert site.box.builds() == []
    assert "build_info_url" not in said.out
    assert "to publish it, run buildpush build-info publish --artifactory-url" in said.err
    monkeypatch.delenv("PLUGIN_BUILD_DIR")
    assert run_command(["build-info", "publish", "--build-dir", "of-api", "--build-dir", "of-web", "--json"]) == 0
    info = site.build()
    assert [module.id for module in info.modules] == ["api:1", "api_tests:1", "web:1", "web_tests:1"]
    page = f"{site.box.url}/ui/builds/shop/7/{info.timestamp}/published?buildRepo=artifactory-build-info"
    assert json.loads(capsys.readouterr().out) == {"name": "shop", "number": "7", "url": page}
    assert [list(collections_in(site.directory / one)) for one in ("of-api", "of-web")] == [[], []]
    assert site.left() == []


@pytest.mark.sandbox
@pytest.mark.programs
def test_a_step_that_fails_adds_nothing_and_what_was_pushed_before_is_there(site, monkeypatch):
    monkeypatch.setenv("PLUGIN_BUILD_DIR", "here")
    site.box.add_fault("PUT", "/v2/docker-local/web/manifests/", status=403, times=None)
    site.write(site.step("api"), site.step("web"))
    assert site.run() in {4, 5}
    assert collected(site.directory / "here") == ["api:1"]


@pytest.mark.sandbox
@pytest.mark.programs
def test_what_cannot_be_published_stays_and_the_command_that_is_printed_publishes_it(site, monkeypatch, capsys):
    monkeypatch.setenv("PLUGIN_BUILD_DIR", "here")
    site.write(site.step("api"))
    assert site.run() == 0
    site.box.add_fault("PUT", r"/artifactory/api/build$", status=400, times=None)
    assert run_command(["build-info", "publish"]) == 6
    said = capsys.readouterr().err
    assert collected(site.directory / "here") == ["api:1"]
    assert site.left() == []
    site.box.clear_faults()
    command = next(line.removeprefix("hint: ") for line in said.splitlines() if line.startswith("hint: "))
    assert run_command(shlex.split(command)[1:]) == 0
    assert site.modules() == ["api:1"]


@pytest.mark.sandbox
@pytest.mark.programs
def test_a_run_adds_to_what_a_command_has_begun_with_its_start(site, monkeypatch):
    assert (
        run_command(["build-info", "add", write(site.directory / "x.json", document("files")), "--build-dir", "d"]) == 0
    )
    [collection] = collections_in(site.directory / "d")
    monkeypatch.setenv("PLUGIN_BUILD_DIR", "d")
    site.write(site.step("api"))
    assert site.run() == 0
    assert run_command(["build-info", "publish"]) == 0
    info = BuildInfo.parse(site.box.builds("shop")[0])
    assert info.started == collection.started
    assert [(module.id, module.type) for module in info.modules] == [("api:1", "docker"), ("files", "generic")]


@pytest.mark.sandbox
def test_a_directory_that_cannot_be_written_to_is_refused_before_anything_is_built(site, monkeypatch, capsys):
    (site.directory / "file").write_text("")
    monkeypatch.setenv("PLUGIN_BUILD_DIR", "file")
    site.write(site.step("api"))
    assert site.run() == 2
    assert "file" in capsys.readouterr().err
    assert site.box.tags("docker-local/api") == []


# ---- add and publish


def add(*words) -> int:
    return run_command(["build-info", "add", "--build-name", "shop", "--build-number", "7", *map(str, words)])


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_documents_of_any_form_are_added_once_each(here, capsys):
    whole = BuildInfo.parse({"name": "shop", "number": "7", "started": "2026-10-01T12:00:00.123+0000", **document("a")})
    files = [
        write(here / "whole.json", whole.document()),
        write(here / "wrapped.json", {"uri": "x", "buildInfo": {**whole.document(), **document("b")}}),
        write(here / "bare.json", document("c", vcs=[{"revision": "1"}])),
    ]
    assert add(*files, "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["name"], shown["number"], shown["project"]) == ("shop", "7", None)
    assert shown["modules"] == ["a", "b", "c"]
    assert add(*files) == 0
    assert capsys.readouterr().out.splitlines()[1:] == ["  a", "  b", "  c"]
    assert shown["directory"] == str(State.default().builds)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([], "this is not a build-info"),
        (document("a", name="other", number="7"), "is of the build other 7, not shop 7"),
        (document("a", number="8", name="shop"), "is of the build shop 8, not shop 7"),
        ({"modules": [{"type": "docker"}]}, "modules[0].id"),
        ({"modules": {}}, "modules should be a list"),
    ],
)
def test_what_is_no_build_info_of_this_build_is_refused_and_nothing_is_added(here, capsys, content, words):
    assert add(write(here / "good.json", document("a")), write(here / "bad.json", content)) == 2
    assert words in capsys.readouterr().err
    assert list(collections_in(State.default().builds)) == []


def test_the_directory_of_another_machine_is_added(here, capsys):
    assert add(write(here / "a.json", document("a")), "--build-dir", "there") == 0
    shutil.move(here / "there", here / "elsewhere")
    assert add("elsewhere", "--build-dir", "mine") == 0
    assert collected(here / "mine") == ["a"]
    assert run_command(["build-info", "add", "--build-name", "x", "--build-number", "1", "elsewhere"]) == 2
    assert "it has shop 7" in capsys.readouterr().err


def of_jf(here, **files):
    """Return the directory of builds of jf, with *files* below that of this one, as jf 2.78 leaves them."""
    name = hashlib.sha256(b"shop_7_").hexdigest()
    for path, content in files.items():
        write(here / "jf" / "builds" / name / path.replace("__", "/"), content)
    return here / "jf" / "builds"


def test_what_jf_has_collected_is_added_without_the_secrets_of_its_environment(here, capsys):
    builds = of_jf(
        here,
        partials__details={"Timestamp": "2026-11-30T05:38:31.195288607Z"},
        partials__temp1={"Env": {"buildInfo.env.CI": "true", "buildInfo.env.MY_TOKEN": "hidden"}, "Timestamp": 2},
        partials__temp2={"Timestamp": 1, "vcs": [{"revision": "5f94"}]},
        partials__temp3={
            "Type": "generic",
            "Artifacts": [{"name": "a.zip", "sha1": "1", "path": "a.zip"}],
            "Dependencies": [{"id": "b.zip", "sha1": "2"}],
            "Timestamp": 3,
        },
        partials__temp4={"Type": "build", "ModuleId": "other/3", "sha1": "3", "md5": "4", "Timestamp": 4},
        temp9=document("image:1"),
    )
    assert add(builds, "--build-dir", "mine") == 0
    [collection] = collections_in(here / "mine")
    from buildpush.artifactory.collection import read

    info = read([collection]).pending.info
    assert info.properties == {"buildInfo.env.CI": "true"}
    assert [one.revision for one in info.vcs] == ["5f94"]
    modules = {module.id: module for module in info.modules}
    assert set(modules) == {"shop", "other/3", "image:1"}
    assert len(modules["shop"].artifacts) == len(modules["shop"].dependencies) == 1
    assert modules["other/3"].others == {"sha1": "3", "md5": "4"}
    assert add(next(builds.iterdir())) == 0  # the directory of the build itself


def test_a_directory_with_nothing_of_the_build_is_refused(here, capsys):
    (here / "empty").mkdir()
    assert add("empty") == 2
    assert "has nothing of the build shop 7" in capsys.readouterr().err


def test_publish_says_which_builds_there_are(here, capsys):
    assert run_command(["build-info", "publish", "--build-name", "shop", "--build-number", "7"]) == 2
    assert "add to it with buildpush build-info add" in capsys.readouterr().err
    assert add(write(here / "a.json", document("a"))) == 0
    assert run_command(["build-info", "publish", "--build-name", "shop", "--build-number", "8"]) == 2
    assert "there is shop 7" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "no build name given"),
        (["--build-name", "x"], "no build number given"),
        (["f.json", "--build-number", "1"], "--build-number has no effect beside FILE"),
        (["f.json", "--build-dir", "d"], "--build-dir has no effect beside FILE"),
    ],
)
def test_publish_without_a_build_or_with_two_is_refused(here, capsys, words, said):
    assert run_command(["build-info", "publish", *words]) == 2
    assert said in capsys.readouterr().err


def test_the_build_is_that_of_the_ci_system(here, monkeypatch, capsys):
    facts = {"GITHUB_ACTIONS": "true", "GITHUB_REPOSITORY": "acme/app", "GITHUB_WORKFLOW": "ci", "GITHUB_JOB": "one"}
    for name, value in {**facts, "GITHUB_RUN_NUMBER": "12", "GITHUB_RUN_ATTEMPT": "2"}.items():
        monkeypatch.setenv(name, value)
    assert run_command(["build-info", "add", write(here / "a.json", document("a")), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["name"], shown["number"]) == ("acme/app/ci", "12.2")


def test_an_empty_module_list_is_said_as_it_is(here, capsys):
    assert add(write(here / "a.json", {"modules": []}), "--json") == 0
    assert json.loads(capsys.readouterr().out)["modules"] == []
    assert Module("x").id == "x"


# ---- the same number again


def exists(site, value):
    site.write(site.step("api"))
    return site.run("--build-exists", value)


@pytest.mark.sandbox
@pytest.mark.programs
def test_the_same_number_again_is_added_by_default_and_said(site, capsys):
    site.write(site.step("api"))
    assert site.run() == site.run() == 0
    assert "build shop 7 was published before (once, at " in capsys.readouterr().err
    assert len(site.box.builds("shop")) == 2


@pytest.mark.sandbox
@pytest.mark.programs
def test_the_same_number_again_is_refused_before_anything_is_built(site, capsys):
    assert exists(site, "refuse") == 0
    capsys.readouterr()
    before = site.box.digest("docker-local/api", "1")
    (site.directory / "a").write_text("changed")
    assert exists(site, "refuse") == 2
    said = capsys.readouterr().err
    assert "build shop 7 was published before" in said
    assert "build: native" not in said
    assert site.box.digest("docker-local/api", "1") == before
    assert len(site.box.builds("shop")) == 1


@pytest.mark.sandbox
@pytest.mark.programs
def test_where_it_cannot_be_known_refuse_refuses(site):
    site.box.add_fault("GET", "/api/build/shop", status=403, times=None)
    assert exists(site, "refuse") == 2
    assert site.box.tags("docker-local/api") == []


@pytest.mark.sandbox
@pytest.mark.programs
def test_the_same_number_again_replaces_all_runs_before_it(site, capsys):
    assert exists(site, "add") == exists(site, "add") == 0
    (site.directory / "a").write_text("changed")
    assert exists(site, "replace") == 0
    assert "2 runs of build shop 7 before this are deleted" in capsys.readouterr().err
    info = site.build()
    assert f"sha256:{info.artifacts[0].sha256}" == site.box.digest("docker-local/api", "1")


@pytest.mark.sandbox
@pytest.mark.programs
def test_a_replacement_that_fails_deletes_nothing(site):
    assert exists(site, "add") == 0
    site.box.add_fault("POST", "/api/build/delete", status=403, times=None)
    assert exists(site, "replace") == 6
    assert len(site.box.builds("shop")) == 1


@pytest.mark.parametrize("variable", ["PLUGIN_BUILD_PROJECT", "JFROG_CLI_BUILD_PROJECT", "JF_PROJECT"])
def test_the_project_comes_from_the_variables_that_a_step_reads(tmp_path, monkeypatch, capsys, variable):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(variable, "web")
    words = ["--build-name", "shop", "--build-number", "7", "--build-dir", "d", "--json"]
    assert run_command(["build-info", "add", write(tmp_path / "a.json", document("a")), *words]) == 0
    assert json.loads(capsys.readouterr().out)["project"] == "web"


def test_a_directory_that_cannot_be_made_is_an_error(here, capsys):
    (here / "d").write_text("a file")
    assert add(write(here / "a.json", document("a")), "--build-dir", "d") == 2
    assert "cannot be written to" in capsys.readouterr().err
