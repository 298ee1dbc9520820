"""Names that move between the push, the publication and its end: what is ours is found, what is theirs stays theirs."""

from __future__ import annotations

import itertools
import tempfile
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from buildpush.artifactory import Artifactory, describe
from buildpush.artifactory.pending import load
from buildpush.foundation.errors import BuildInfoError
from buildpush.http.client import Http
from buildpush.http.retry import Retries
from buildpush.sandbox import Sandbox
from tests.artifactory.conftest import Desk, Recipes

pytestmark = pytest.mark.sandbox

SHARED = b"a layer of the base image\n"
HOME = "docker-local/team/app"
TAGS = ("1", "2", "latest")


class World(Desk):
    """A registry in which several people push to the same tags."""

    def __init__(self, box, http, directory: Path, recipes) -> None:
        super().__init__(box, http, directory, recipes)
        self.pushes: list = []
        self._numbers = itertools.count(1)

    def image(self, *tags: str, who: str = "ours"):
        """Push an image that was never there before to *tags*; it shares a layer with all others."""
        layers = [SHARED, f"{who} {next(self._numbers)}\n".encode()]
        pushed = self.recipes.image(layers, [], *(self.name(f"{HOME}:{tag}") for tag in tags))
        self.send_blobs(pushed, layers)
        return self.upload(pushed)

    def index(self, *tags: str):
        layers = [SHARED, f"ours {next(self._numbers)}\n".encode()]
        alone = self.recipes.image(layers, [])
        pushed = self.recipes.index([alone], *(self.name(f"{HOME}:{tag}") for tag in tags))
        self.send_blobs(replace(alone, references=pushed.references), layers)
        return self.upload(pushed)

    def described(self, pushed):
        number = len(self.pushes) + 1
        started = self.recipes.record().started + timedelta(seconds=number)
        record = self.recipes.record(name="app", number=str(number), started=started)
        info = describe(pushed, record, repository_key="docker-local")
        self.pushes.append(info)
        return info

    def retag(self, pushed, tag: str) -> None:
        """Let somebody give our image one more name."""
        self._send("PUT", f"{HOME}/manifests/{tag}", pushed.manifest, pushed.media_type)

    def delete(self, tag: str) -> None:
        url = f"{self.box.url}/v2/{HOME}/manifests/{tag}"
        self.http.request("DELETE", url, authorization=self.credential.basic)

    def check_properties(self) -> None:
        """Every file that names a build is one that this build pushed, in a directory whose manifest it pushed."""
        by_timestamp = {str(info.timestamp): info for info in self.pushes}
        for path in self.box.files("docker-local"):
            for timestamp in self.box.properties("docker-local", path).get("build.timestamp", ()):
                digests = {artifact.sha256 for artifact in by_timestamp[timestamp].artifacts}
                assert self.sha256(path) in digests, f"{path} is not ours"
                assert self.manifest_beside(path) in digests, f"{path} is in somebody else's folder"

    def check_document(self, info) -> None:
        """The build-info names what was pushed, each at a place where it is, or at none."""
        [stored] = [build for build in self.box.builds("app") if build["number"] == info.number]
        artifacts = [artifact for module in stored["modules"] for artifact in module["artifacts"]]
        assert {one["sha256"] for one in artifacts} == {one.sha256 for one in info.artifacts}
        ours = {one.sha256 for one in info.artifacts}
        places = [one["path"] for one in artifacts if "path" in one]
        assert len(places) == len(set(places))
        for one in artifacts:
            if "path" in one:
                assert self.sha256(one["path"]) == one["sha256"]
                assert self.manifest_beside(one["path"]) in ours

    def sha256(self, path: str) -> str:
        facts = self.client().file("docker-local", path)
        return facts.sha256 if facts else "nothing"

    def manifest_beside(self, path: str) -> str:
        directory = path.rpartition("/")[0]
        files = self.box.files("docker-local")
        [manifest] = [one for one in files if one in {f"{directory}/manifest.json", f"{directory}/list.manifest.json"}]
        return self.sha256(manifest)


@pytest.fixture
def world(box, http, tmp_path, recipes):
    return World(box, http, tmp_path, recipes)


def test_a_tag_that_names_another_image_by_now_is_a_note(world):
    info = world.described(world.image("1", "2"))
    world.image("1", who="theirs")
    world.publish(info)
    [note] = world.notes
    assert "docker-local/team/app/1/manifest.json is now another image" in note
    world.check_properties()
    world.check_document(info)


def test_an_image_that_is_kept_under_its_digest_is_found_there(world):
    pushed = world.image("1")
    info = world.described(pushed)
    world.retag(pushed, str(pushed.digest))
    world.image("1", who="theirs")
    world.publish(info)
    directory = f"team/app/{pushed.digest}"
    assert f"ours is at docker-local/{directory}/manifest.json" in world.notes[0]
    assert world.box.properties("docker-local", f"{directory}/manifest.json")["build.number"] == [info.number]
    world.check_document(info)


def test_of_several_names_of_an_image_the_digest_is_taken_before_tags(world):
    """A tag may move once more; and of tags, the first by name, so that two runs say the same."""
    pushed = world.image("1", "latest", "2")
    info = world.described(replace(pushed, references=pushed.references[:1]))
    world.image("1", who="theirs")
    world.publish(info)
    assert "ours is at docker-local/team/app/2/manifest.json" in world.notes[0]
    world.retag(pushed, str(pushed.digest))
    world.publish(info)
    assert f"ours is at docker-local/team/app/{pushed.digest}/manifest.json" in world.notes[1]


@pytest.mark.parametrize("status", [400, 403, 405])
def test_the_directory_of_the_digest_is_tried_where_no_list_of_files_is_given(world, status):
    pushed = world.image("1")
    info = world.described(pushed)
    world.retag(pushed, str(pushed.digest))
    world.delete("1")
    world.refuse_searches(status)
    world.box.add_fault("GET", r"api/storage/docker-local/team/app\?list", status=status, times=None)
    world.publish(info)
    assert f"ours is at docker-local/team/app/{pushed.digest}/" in world.notes[0]


def test_an_image_that_is_nowhere_any_more_can_be_finished_all_the_same(world):
    info = world.described(world.image("1"))
    world.delete("1")
    with pytest.raises(BuildInfoError, match="does not have") as caught:
        world.publish(info)
    world.publish(load(world.saved(caught.value)).info, fresh=False)
    assert "does not exist any more" in world.notes[0]
    world.check_document(info)
    [stored] = world.box.builds("app")
    assert all(not {"path", "originalDeploymentRepo"} & one.keys() for one in stored["modules"][0]["artifacts"])


def test_a_repository_that_is_gone_is_a_note_when_the_build_info_is_finished(world):
    info = world.described(world.image("1"))
    renamed = replace(
        info,
        modules=tuple(
            replace(module, artifacts=tuple(replace(one, repository="docker-old") for one in module.artifacts))
            for module in info.modules
        ),
    )
    world.publish(renamed, fresh=False)
    assert "docker-old/team/app/1/manifest.json does not exist any more" in world.notes[0]


def test_a_name_that_moves_between_the_look_and_the_property_gets_none_of_ours(world, monkeypatch):
    """No request can be made to depend on a checksum: what was set is taken back."""
    info = world.described(world.image("1"))
    plain, begun, moved = Artifactory.set_properties, [], []

    def set_later(self, key, path, properties, **more):
        if not begun:
            begun.append(True)
            moved.append(world.image("1", who="theirs"))
        return plain(self, key, path, properties, **more)

    monkeypatch.setattr(Artifactory, "set_properties", set_later)
    world.publish(info)
    assert world.box.digest(HOME, "1") == str(moved[0].digest)
    world.check_properties()
    world.check_document(info)


def test_properties_of_another_build_are_not_taken_back_with_ours(world, monkeypatch):
    info = world.described(world.image("1"))
    plain, moved = Artifactory.set_properties, []

    def set_later(self, key, path, properties, **more):
        if not moved:
            moved.append(True)
            theirs = world.described(world.image("1", who="theirs"))
            world.publish(theirs)
            return True
        return plain(self, key, path, properties, **more)

    monkeypatch.setattr(Artifactory, "set_properties", set_later)
    world.publish(info)
    properties = world.box.properties("docker-local", "team/app/1/manifest.json")
    assert properties["build.number"] == [world.pushes[1].number]


@pytest.mark.parametrize("search", [{"status": 403}, {"status": 200, "body": b'{"results": []}'}])
def test_an_account_that_may_not_read_publishes_what_it_pushed(world, search):
    """Robots that only deploy are usual; that a search shows nothing does not mean that there is nothing."""
    info = world.described(world.image("1"))
    world.box.add_fault("POST", "api/search/aql", **search, times=None)
    world.box.add_fault("GET", "api/storage", status=403, times=None)
    world.publish(info)
    [note] = world.notes
    assert "could not be checked" in note
    assert world.waits == []  # nobody will ever say it
    assert "build.name" not in world.box.properties("docker-local", "team/app/1/manifest.json")
    [stored] = world.box.builds("app")
    assert stored["modules"][0]["artifacts"][0]["path"] == "team/app/1/manifest.json"


def test_directories_of_digests_are_ours_without_a_look(world):
    """Nothing else can ever be there."""
    pushed = world.index("1")
    info = world.described(pushed)
    world.refuse_searches()
    world.box.add_fault("GET", "api/storage", status=403, times=None)
    world.publish(info)
    path = f"team/app/{pushed.images[0].digest}/manifest.json"
    assert world.box.properties("docker-local", path)["build.number"] == [info.number]


class Moves(RuleBasedStateMachine):
    """Pushes, moves, deletions, publications that fail and publications that are finished, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self._directory = tempfile.TemporaryDirectory()
        self._box = Sandbox().__enter__()
        self._http = Http(retries=Retries(attempts=1)).__enter__()
        self.world = World(self._box, self._http, Path(self._directory.name), Recipes())
        self.pushed: list = []
        self.waiting: dict[int, Path] = {}  # number of the push: where its document was saved

    def teardown(self) -> None:
        self._http.__exit__(None, None, None)
        self._box.close()
        self._directory.cleanup()

    @rule(tags=st.sets(st.sampled_from(TAGS), min_size=1), index=st.booleans())
    def push(self, tags, index) -> None:
        """Push, and say nothing yet: the document is written where the next run finds it."""
        pushed = (self.world.index if index else self.world.image)(*sorted(tags))
        self.pushed.append(pushed)
        self.world.described(pushed)

    @rule(tag=st.sampled_from(TAGS))
    def somebody_pushes(self, tag) -> None:
        self.world.image(tag, who="theirs")

    @rule(tag=st.sampled_from(TAGS))
    def somebody_deletes(self, tag) -> None:
        self.world.delete(tag)

    @precondition(lambda self: self.pushed)
    @rule(data=st.data(), tag=st.sampled_from((*TAGS, "kept")))
    def somebody_tags_ours(self, data, tag) -> None:
        pushed = data.draw(st.sampled_from(self.pushed))
        if self.world.box.digest(HOME, str(pushed.digest)):
            self.world.retag(pushed, tag)

    @precondition(lambda self: self.pushed)
    @rule(data=st.data(), refused=st.booleans())
    def publish(self, data, refused) -> None:
        number = data.draw(st.integers(0, len(self.pushed) - 1))
        if refused:
            self.world.box.add_fault("PUT", "api/build$", status=403)
        try:
            self.world.publish(self.world.pushes[number])
        except BuildInfoError as error:
            if not refused and "does not have" not in str(error):
                raise
            self.waiting[number] = self.world.saved(error)
        else:
            self.world.check_document(self.world.pushes[number])
        self.world.box.clear_faults()

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def finish(self, data) -> None:
        number = data.draw(st.sampled_from(sorted(self.waiting)))
        self.world.publish(load(self.waiting.pop(number)).info, fresh=False)
        self.world.check_document(self.world.pushes[number])

    @invariant()
    def nobody_else_has_our_properties(self) -> None:
        self.world.check_properties()


TestMoves = Moves.TestCase
TestMoves.settings = settings(max_examples=15, stateful_step_count=12, deadline=None)
