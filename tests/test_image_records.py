"""Images that others have pushed, collected by ``buildpush build-info collect`` from their references alone."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from buildpush.cli import run_command
from buildpush.http.client import Http
from tests.artifactory.conftest import Desk, Recipes, digest_of
from tests.test_sources import git, repository

pytestmark = [pytest.mark.sandbox, pytest.mark.programs]  # git is asked for the revision

HELLO = "docker-local/team/hello"
LAYERS = [f"buildpush-example layer {number}\n".encode() for number in (1, 2, 3)]


class Collector(Desk):
    """Images in the sandbox, and the command that collects them."""

    def image(self, *names: str):
        pushed = self.recipes.hello(*map(self.name, names))
        self.send_blobs(pushed, LAYERS)
        return self.upload(pushed)

    def index(self, name: str):
        images = [self.recipes.image([text], [], architecture=text.decode()) for text in (b"amd64", b"arm64")]
        index = self.recipes.index(images, self.name(name))
        for image, text in zip(images, (b"amd64", b"arm64"), strict=True):
            self.send_blobs(replace(image, references=index.references), [text])
        return self.upload(index)

    def collect(self, *words: str) -> int:
        return run_command(["build-info", "collect", "--build-name", "shop", "--build-number", "7", *words])

    @property
    def build(self):
        [stored] = self.box.builds("shop")
        return stored


@pytest.fixture
def collector(tmp_path, box, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JF_URL", box.url)
    monkeypatch.setenv("JF_USER", box.username)
    monkeypatch.setenv("JF_PASSWORD", box.password.reveal())
    with Http() as http:
        yield Collector(box, http, tmp_path, Recipes())


def test_images_are_collected_first_and_published_later(collector, capsys):
    collector.image(f"{HELLO}:1")
    collector.index("docker-local/team/multi:2")
    assert collector.collect(f"{HELLO}:1") == 0
    assert "hello:1" in capsys.readouterr().out
    assert collector.collect(collector.name("docker-local/team/multi:2"), "--json") == 0
    modules = ["hello:1", "multi:2", "linux/amd64/multi:2", "linux/arm64/multi:2"]
    assert sorted(json.loads(capsys.readouterr().out)["modules"]) == sorted(modules)
    assert collector.box.builds() == []
    assert run_command(["build-info", "publish", "--build-name", "shop", "--build-number", "7"]) == 0
    assert sorted(module["id"] for module in collector.build["modules"]) == sorted(modules)
    properties = collector.box.properties("docker-local", "team/hello/1/manifest.json")
    assert properties["build.number"] == ["7"]


@pytest.mark.parametrize("form", ["{name}:1", "{name}@{digest}", "{name}:1@{digest}"])
@pytest.mark.parametrize("key", ["docker-local", "docker"])
def test_an_image_is_published_at_once_by_every_form_of_its_reference(collector, capsys, form, key):
    pushed = collector.image(f"{HELLO}:1")
    name = form.format(name=collector.name(f"{key}/team/hello"), digest=pushed.digest)
    assert collector.collect(name, "--publish") == 0
    [module] = collector.build["modules"]
    assert {one["path"].rpartition("/")[0] for one in module["artifacts"]} == {"team/hello/1"}
    assert {one["originalDeploymentRepo"] for one in module["artifacts"]} == {"docker-local"}
    assert all(one["sha1"] and one["md5"] for one in module["artifacts"])
    assert "/ui/builds/shop/7/" in capsys.readouterr().out


def test_no_layer_is_read(collector):
    collector.image(f"{HELLO}:1")
    before = len(collector.box.requests)
    assert collector.collect(f"{HELLO}:1", "--publish") == 0
    read = [one.path for one in collector.box.requests[before:] if "/blobs/" in one.path or "/sha256__" in one.path]
    assert len(read) == 1  # the configuration
    assert len(collector.box.requests[before:]) <= 16


@pytest.mark.parametrize(
    ("name", "code"),
    [(f"{HELLO}:nothing", 4), (f"docker-release/{HELLO}:1", 4), ("a//b:1", 2), (f"{HELLO}@sha256:{'0' * 64}", 4)],
)
def test_an_image_that_is_not_there_is_an_error_and_nothing_is_collected(collector, capsys, name, code):
    collector.image(f"{HELLO}:1")
    assert collector.collect(f"{HELLO}:1", name) == code
    assert "error: " in capsys.readouterr().err
    assert run_command(["build-info", "publish", "--build-name", "shop", "--build-number", "7"]) == 2


def test_an_image_of_which_a_layer_is_missing_is_an_error(collector, capsys):
    """``jf`` has a warning, and ends with 0."""
    pushed = collector.image(f"{HELLO}:1")
    url = f"{collector.box.artifactory_url}{HELLO}/1/sha256__{pushed.layers[1].digest.hex}"
    assert collector.http.request("DELETE", url, authorization=collector.credential.basic).ok
    assert collector.collect(f"{HELLO}:1", "--publish") == 6
    assert f"sha256__{pushed.layers[1].digest.hex} is missing" in capsys.readouterr().err
    assert collector.box.builds() == []


def test_an_image_that_the_build_has_used_is_made_of_dependencies(collector):
    pushed = collector.image(f"{HELLO}:1")
    assert collector.collect(f"{HELLO}:1", "--pulled", "--publish") == 0
    [module] = collector.build["modules"]
    assert "artifacts" not in module
    assert {one["sha256"] for one in module["dependencies"]} == {
        *(pushed.digest.hex, pushed.config.digest.hex),
        *(layer.digest.hex for layer in pushed.layers),
    }
    assert [one["type"] for one in module["dependencies"] if one["id"] == "manifest.json"] == ["json"]
    assert "build.name" not in collector.box.properties("docker-local", "team/hello/1/manifest.json")


def test_layers_of_the_base_that_an_image_names_are_dependencies(collector, capsys):
    base = collector.recipes.image(LAYERS[:1], [], collector.name("docker-local/team/base:1"))
    collector.send_blobs(base, LAYERS[:1])
    collector.upload(base)
    named = {"org.opencontainers.image.base.name": collector.name("docker-local/team/base:1")}
    pushed = collector.recipes.hello(collector.name(f"{HELLO}:1"))
    manifest = json.dumps(json.loads(pushed.manifest) | {"annotations": named}).encode()
    collector.send_blobs(pushed, LAYERS)
    collector.upload(replace(pushed, manifest=manifest, digest=digest_of(manifest)))
    assert collector.collect(f"{HELLO}:1", "--publish") == 0
    [module] = collector.build["modules"]
    [dependency] = module["dependencies"]
    assert dependency["sha256"] == pushed.layers[0].digest.hex
    assert dependency["sha1"]
    assert dependency["md5"]
    assert "is not known" not in capsys.readouterr().err


def test_an_image_that_names_no_base_has_no_dependencies_and_a_note(collector, capsys):
    collector.image(f"{HELLO}:1")
    assert collector.collect(f"{HELLO}:1", "--publish") == 0
    assert capsys.readouterr().err.count("the base image of") == 1
    [module] = collector.build["modules"]
    assert "dependencies" not in module


def test_id_and_link_are_options_and_a_module_of_jf_as_well(collector):
    collector.image(f"{HELLO}:1")
    words = ("--module", "web", "--build-url", "https://ci.example.com/7", "--compat", "jf", "--publish")
    assert collector.collect(f"{HELLO}:1", *words) == 0
    assert collector.build["url"] == "https://ci.example.com/7"
    [module] = collector.build["modules"]
    assert module["id"] == "web"
    assert len(module["dependencies"]) == 1  # by the history


def test_a_directory_of_sources_that_is_not_there_is_an_error(collector, capsys):
    collector.image(f"{HELLO}:1")
    assert collector.collect(f"{HELLO}:1", "--git-path", "nowhere") == 2
    assert "--git-path" in capsys.readouterr().err


def test_images_that_are_collected_list_the_issues_since_the_last_run(collector, capsys):
    sources = repository(collector.directory / "sources", "SHOP-1 Open")
    collector.image(f"{HELLO}:1")
    pattern = r"([A-Z]+-\d+) (.+)"
    words = ("--git-path", "sources", "--publish", "--issues-tracker", "JIRA", "--issues-regexp", pattern)

    def collect(number, *more):
        assert collector.collect(f"{HELLO}:1", *words, "--build-number", number, *more) == 0
        newest = max(collector.box.builds("shop"), key=lambda build: build["started"])
        return [one["key"] for one in newest["issues"].get("affectedIssues", [])]

    assert collect("7") == ["SHOP-1"]
    git(sources, "commit", "-q", "--allow-empty", "-m", "SHOP-2 Sell pears")
    assert collect("8") == ["SHOP-2"]
    assert collect("8", "--build-exists", "replace") == ["SHOP-2"]
    assert collect("9") == []


def test_issues_that_cannot_be_found_are_an_error_before_anything_is_read(collector, capsys):
    assert collector.collect(f"{HELLO}:1", "--issues-regexp", "([A-Z]+) (.+)") == 2
    assert "issues_tracker is not" in capsys.readouterr().err
    assert not collector.box.requests


def test_what_follows_runs_of_the_same_number_is_a_setting_here_too(collector, monkeypatch, capsys):
    collector.image(f"{HELLO}:1")
    assert collector.collect(f"{HELLO}:1", "--publish") == 0
    monkeypatch.setenv("PLUGIN_BUILD_EXISTS", "refuse")
    assert collector.collect(f"{HELLO}:1", "--publish") == 6
    assert len(collector.box.builds("shop")) == 1
    assert collector.collect(f"{HELLO}:1", "--build-exists", "add") == 2
    assert "--build-exists has no effect without --publish" in capsys.readouterr().err
