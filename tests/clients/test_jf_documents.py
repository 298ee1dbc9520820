"""The build-info that ``jf`` publishes of an image, and the one with ``compat: jf``: equal."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from buildpush.artifactory import BuildRecord, VcsEntry, describe, expected_build_info, publish
from buildpush.expressions.git import Git, vcs
from buildpush.http.client import Http
from buildpush.images.model import Platform
from buildpush.places import Here
from tests.artifactory.conftest import Desk, Recipes

pytestmark = pytest.mark.engines

ATTESTATION = "vnd.docker.reference.type"
# What tells one client, or one run, from another.
OWN = {"agent", "buildAgent", "started"}


class Bench(Desk):
    """One image in the sandbox, and what both clients publish about it."""

    def image(self, *names: str, entrypoint: int = 1):
        """Push three layers; the history has ENTRYPOINT after the layer *entrypoint*."""
        history = [{"created_by": f"COPY {number} /"} for number in range(3)]
        history.insert(entrypoint, {"created_by": 'ENTRYPOINT ["/init"]', "empty_layer": True})
        layers = [f"layer {number}\n".encode() for number in range(3)]
        pushed = self.recipes.image(layers, history, *map(self.name, names))
        self.send_blobs(pushed, layers)
        return self.upload(pushed)

    def index(self, *names: str):
        """Push two variants of one architecture that share a layer, and an attestation of each."""
        references = [self.name(name) for name in names]
        images, notes = [], {}
        for variant in ("v6", "v7"):
            layers = [b"shared\n", f"{variant}\n".encode()]
            image = replace(self.one(layers, references), platform=Platform("linux", "arm", variant))
            about = replace(
                self.one([f"about {variant}\n".encode()], references), platform=Platform("unknown", "unknown")
            )
            notes[str(about.digest)] = {
                ATTESTATION: "attestation-manifest",
                "vnd.docker.reference.digest": str(image.digest),
            }
            images += [image, about]
        return self.upload(self.recipes.index(images, *references, annotations=notes))

    def one(self, layers, references):
        image = self.recipes.image(layers, [], *references, architecture="arm")
        self.send_blobs(image, layers)
        return replace(image, references=())

    def ours(self, pushed):
        record = BuildRecord(name="ours", number="1", started=datetime(2026, 10, 1, tzinfo=UTC), compat="jf")
        info, pending = expected_build_info(pushed, record, self.client()), self.directory / "pending"
        publish(info, self.client(), directory=pending, pushed=pushed, sink=self.events.append)
        return self.stored("ours")

    def stored(self, name: str):
        [build] = self.box.builds(name)
        return build

    def theirs(self, jf, pushed, key: str):
        names = ",".join(map(str, pushed.references))
        file = self.directory / "image.json"
        file.write_text(json.dumps({"image.name": names, "containerimage.digest": str(pushed.digest)}))
        build = ("--build-name=theirs", "--build-number=1")
        jf.run("rt", "build-docker-create", key, f"--image-file={file}", *build)
        jf.run("rt", "build-publish", "theirs", "1")
        return self.stored("theirs")


@pytest.fixture
def bench(box, tmp_path):
    with Http() as http:
        yield Bench(box, http, tmp_path, Recipes())


def sorted_lists(value):
    """Return *value* with every list sorted, since ``jf`` has no order."""
    if isinstance(value, list):
        return sorted(map(sorted_lists, value), key=json.dumps)
    return {key: sorted_lists(one) for key, one in sorted(value.items())} if isinstance(value, dict) else value


def comparable(document):
    return sorted_lists({key: value for key, value in document.items() if key not in {*OWN, "name", "durationMillis"}})


@pytest.mark.parametrize("key", ["docker-local", "docker"])
@pytest.mark.parametrize("tags", [("1",), ("1", "latest")])
@pytest.mark.parametrize("kind", ["base", "all", "none", "index"])
def test_the_document_with_compat_jf_is_the_one_that_jf_publishes(bench, jf, count, key, tags, kind):
    names = [f"{key}/team/app:{tag}" for tag in tags]
    position = {"base": 1, "all": 3, "none": 0}
    pushed = bench.index(*names) if kind == "index" else bench.image(*names, entrypoint=position[kind])
    theirs = bench.theirs(jf, pushed, key)
    assert comparable(bench.ours(replace(pushed, repository_key=key))) == comparable(theirs)
    count(f"documents equal to jf's: {kind}, {len(tags)} tags, {key}: {len(theirs['modules'])} modules")


@pytest.mark.parametrize("url", ["https://git.test/shop", "https://git.test/shop.git", "git@git.test:a/b", ""])
def test_the_address_of_the_sources_is_the_one_that_jf_records(bench, jf, tmp_path, url):
    clone = tmp_path / "clone"
    clone.mkdir()
    remote = [["remote", "add", "origin", url]] if url else []
    commit = ["-c", "user.name=a", "-c", "user.email=a@b.test", "commit", "--allow-empty", "-m", "Begin"]
    for words in (["init", "-b", "main"], *remote, commit):
        subprocess.run(["git", *words], cwd=clone, check=True, capture_output=True)
    jf.run("rt", "build-add-git", "theirs", "1", cwd=clone)
    jf.run("rt", "build-publish", "theirs", "1")
    pushed = bench.image("docker-local/team/app:1")
    found = vcs(Git(Here(os.environ), clone))
    entries = (VcsEntry(found.url, found.revision, found.branch, found.message),)
    record = BuildRecord(name="ours", number="1", started=datetime(2026, 10, 1, tzinfo=UTC), vcs=entries, compat="jf")
    ours = describe(pushed, record, repository_key="docker-local").document()
    assert ours["vcs"] == bench.stored("theirs")["vcs"]
