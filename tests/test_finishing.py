"""A build-info whose push was cut off: completed from what the registry holds, whatever it lets us see."""

from __future__ import annotations

import json
import socket
from dataclasses import replace

import pytest

from buildpush.artifactory import Artifactory, Home, describe, moved_home
from buildpush.artifactory.pending import Pending, load, save
from buildpush.credentials.docker import Credential, Keychain
from buildpush.foundation.errors import BuildInfoError, NotPushedError
from buildpush.http.client import Http
from buildpush.http.retry import Retries
from buildpush.images.references import Reference
from buildpush.pipeline.publication import as_pushed, finish
from buildpush.registry.client import Registry
from tests.artifactory.conftest import Desk, Recipes

pytestmark = pytest.mark.sandbox

HOME = "docker-local/team/app"
LAYERS = (b"one layer\n", b"another layer\n")


class Cut(Desk):
    """A push that was cut off, and who finishes it."""

    def __init__(self, box, http, folder) -> None:
        super().__init__(box, http, folder, Recipes())
        keychain = Keychain({box.host: Credential(box.username, box.password, "test")})
        self.registry = Registry(http, keychain, sink=self.events.append)
        self.server = Artifactory(box.artifactory_url, http, self.login)

    def image(self, *tags: str, named: tuple[str, ...], path: str = HOME):
        """Return the build-info of a push to all of *tags*, of which only those were *named*."""
        pushed = self.recipes.image(LAYERS, [], *(self.name(f"{path}:{tag}") for tag in tags))
        self.send_blobs(pushed, LAYERS)
        names = tuple(one for one in pushed.references if str(one.tag) in named)
        if names:
            self.upload(replace(pushed, references=names))
        return describe(pushed, self.recipes.record(name="app"), repository_key="docker-local")

    def finish(self, info):
        pending = Pending(info, self.server.url, pushed=False)
        return finish(
            pending,
            self.server,
            self.registry,
            folder=self.folder,
            sink=self.events.append,
            sleep=self.waits.append,
        )

    def modules(self) -> list[str]:
        [build] = self.box.builds("app")
        return [module["id"] for module in build["modules"]]

    def hide(self, part: str) -> None:
        self.box.add_fault("*", part, status=403, times=None)


@pytest.fixture
def cut(box, tmp_path):
    with Http(retries=Retries(attempts=2, base=0.01)) as http:
        yield Cut(box, http, tmp_path)


@pytest.mark.parametrize("named", [("1", "2"), ("1",), ("2",)])
def test_the_names_that_were_given_are_published(cut, named):
    cut.finish(cut.image("1", "2", named=named))
    assert cut.modules() == [f"app:{tag}" for tag in named]


def test_a_push_that_named_nothing_is_said_to_be_none(cut):
    with pytest.raises(NotPushedError, match="never came to its end"):
        cut.finish(cut.image("1", named=()))
    assert cut.box.builds("app") == []


def test_an_index_of_which_only_a_platform_arrived_is_none(cut):
    alone = cut.recipes.image(LAYERS, [])
    index = cut.recipes.index([alone], cut.name(f"{HOME}:1"))
    cut.send_blobs(replace(alone, references=index.references), LAYERS)
    cut._upload_image(alone, HOME, (str(alone.digest),))
    info = describe(index, cut.recipes.record(name="app"), repository_key="docker-local")
    with pytest.raises(NotPushedError):
        cut.finish(info)
    cut.upload(index)
    cut.finish(info)
    assert cut.modules() == ["app:1", "linux/amd64/app:1"]


def test_a_name_that_moved_since_is_published_by_its_digest(cut):
    info = cut.image("1", "2", named=("1", "2"))
    for tag in ("1", "2"):
        other = cut.recipes.image([b"theirs\n"], [], cut.name(f"{HOME}:{tag}"))
        cut.send_blobs(other, [b"theirs\n"])
        cut.upload(other)
    with pytest.raises(NotPushedError, match="or its image is gone"):  # the sandbox keeps nothing without a name
        cut.finish(info)
    cut.image("kept", named=("kept",))
    cut.finish(info)
    [build] = cut.box.builds("app")
    ours = {one["sha256"] for module in build["modules"] for one in module["artifacts"]}
    assert ours == {one.sha256 for one in info.artifacts}
    assert any("ours is at docker-local/team/app/kept/" in note for note in cut.notes)


def test_a_registry_that_hides_the_image_leaves_its_artifactory_to_ask(cut):
    """Xray blocks what is not scanned yet."""
    info = cut.image("1", named=("1",))
    cut.hide("/v2/.*/manifests/")
    cut.finish(info)
    assert cut.modules() == ["app:1"]


def test_a_registry_that_leads_to_a_store_without_an_answer_leaves_its_artifactory_to_ask(cut):
    info = cut.image("1", named=("1",))
    with socket.create_server(("127.0.0.1", 0)) as closed:
        there = "{}:{}".format(*closed.getsockname())
    cut.box.add_fault("*", "/v2/.*/manifests/", status=307, elsewhere=there, times=None)
    cut.finish(info)
    assert cut.modules() == ["app:1"]


def test_a_registry_that_hides_an_image_that_is_not_there_makes_no_push_of_it(cut):
    info = cut.image("1", named=())
    cut.hide("/v2/.*/manifests/")
    with pytest.raises(NotPushedError):
        cut.finish(info)


def test_where_nobody_says_what_is_there_nothing_is_claimed(cut):
    info = cut.image("1", named=("1",))
    cut.hide("/v2/.*/manifests/")
    cut.hide("api/storage")
    with pytest.raises(BuildInfoError, match="nobody says whether the push"):
        cut.finish(info)
    assert cut.box.builds("app") == []


def test_a_repository_that_was_only_supposed_before_the_push_is_corrected(cut):
    """Behind a port of its own, a repository's key is told by the registry, and not before something is there."""
    info = cut.image("1", named=("1",))
    supposed = moved_home(
        info, Reference.parse(cut.name(f"{HOME}:1")), info.artifacts[0], Home("wrong", "docker-local/team/")
    )
    assert {one.repository for one in supposed.artifacts} == {"wrong"}
    cut.finish(supposed)
    [build] = cut.box.builds("app")
    paths = {(one["originalDeploymentRepo"], one["path"]) for one in build["modules"][0]["artifacts"]}
    assert paths == {(one.repository, one.path) for one in info.artifacts}


def test_a_saved_file_keeps_what_is_known_of_its_push(cut):
    info = cut.image("1", named=())
    for pushed in (True, False):
        pending = Pending(info, cut.server.url, pushed)
        assert load(save(pending, cut.folder / "pending")) == pending


def test_a_build_info_alone_is_one_whose_push_was_confirmed(cut):
    info = cut.image("1", named=())
    (cut.folder / "alone.json").write_text(json.dumps(info.document()))
    assert load(cut.folder / "alone.json") == Pending(info)


def test_a_document_that_names_no_image_was_no_push(cut):
    info = replace(cut.image("1", named=("1",)), modules=())
    with pytest.raises(NotPushedError, match="names no image"):
        as_pushed(info, cut.server, cut.registry, cut.events.append)
