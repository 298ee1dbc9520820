"""A build-info whose push was cut off: completed from what the registry holds, whatever it lets us see."""

from __future__ import annotations

import json
import shlex
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from buildpush.artifactory import Artifactory, Home, describe, moved_home
from buildpush.artifactory.pending import Pending, load, save
from buildpush.credentials.docker import Credential, Keychain
from buildpush.foundation.errors import (
    AuthenticationError,
    BuildInfoError,
    BuildPushError,
    CancelledError,
    NotPushedError,
    PushError,
    RegistryError,
    UnreachableError,
)
from buildpush.foundation.secrets import Secret
from buildpush.foundation.state import State
from buildpush.http.client import Http
from buildpush.http.retry import Retries
from buildpush.images.references import Reference
from buildpush.pipeline.context import RunContext
from buildpush.pipeline.finishing import as_pushed, finish, finish_command
from buildpush.pipeline.publication import Publication
from buildpush.pipeline.run_builds import RunBuild
from buildpush.pipeline.runlog import RunLog
from buildpush.registry.client import Registry
from tests.artifactory.conftest import Desk, Recipes

pytestmark = pytest.mark.sandbox

HOME = "docker-local/team/app"
LAYERS = (b"one layer\n", b"another layer\n")


class Cut(Desk):
    """A push that was cut off, and who finishes it."""

    def __init__(self, box, http, directory) -> None:
        super().__init__(box, http, directory, Recipes())
        keychain = Keychain({box.host: Credential(box.username, box.password, "test")})
        self.registry = Registry(http, keychain, sink=self.events.append)
        self.server = Artifactory(box.artifactory_url, http, self.credential)

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
            directory=self.directory,
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
    with pytest.raises(NotPushedError, match="was never completed"):
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


def test_of_several_names_the_one_that_moved_since_is_left_out(cut):
    info = cut.image("1", "2", named=("1", "2"))
    other = cut.recipes.image([b"theirs\n"], [], cut.name(f"{HOME}:2"))
    cut.send_blobs(other, [b"theirs\n"])
    cut.upload(other)
    cut.finish(info)
    assert cut.modules() == ["app:1"]
    digest = f"sha256:{info.artifacts[0].sha256}"
    assert cut.notes == [f"{cut.name(HOME)}:2 does not name {digest}, and is left out of the build-info"]


def test_the_key_that_the_registry_names_says_where_the_image_is(cut, monkeypatch):
    told = []

    def locate(_repository, key=None):
        told.append(key)
        return Home("docker-local", "docker-local/")

    monkeypatch.setattr(cut.server, "locate", locate)
    cut.finish(cut.image("1", named=("1",)))
    assert told == ["docker-local"]


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
    cut.hide("api/s(torage|earch)")
    with pytest.raises(BuildInfoError, match="it is not known whether the push"):
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
        assert load(save(pending, cut.directory / "pending")) == pending


def test_a_build_info_alone_is_one_whose_push_was_confirmed(cut):
    info = cut.image("1", named=())
    (cut.directory / "alone.json").write_text(json.dumps(info.document()))
    assert load(cut.directory / "alone.json") == Pending(info)


def test_a_document_that_names_no_image_was_no_push(cut):
    info = replace(cut.image("1", named=("1",)), modules=())
    with pytest.raises(NotPushedError, match="names no image"):
        as_pushed(info, cut.server, cut.registry, cut.events.append)


# ---- what is written down before a push, and what becomes of it


class Step(Cut):
    """One step of a run, with a state directory of its own."""

    def __init__(self, box, http, directory) -> None:
        super().__init__(box, http, directory)
        state = State(directory / "state", directory / "scratch")
        log = RunLog(self.events.append)
        self.context = RunContext(env={}, cwd=directory / "work", home=None, state=state, log=log)
        self.number = 6

    def publication(self) -> Publication:
        self.number += 1
        record = self.recipes.record(name="app", number=str(self.number))
        return Publication(self.server, self.registry, self.context, lambda: record, build=RunBuild(record.started))

    def receipt(self, *tags: str, layers=LAYERS):
        pushed = self.recipes.image(layers, [], *(self.name(f"{HOME}:{tag}") for tag in tags or ("1",)))
        self.send_blobs(pushed, layers)
        return pushed

    def left(self) -> list:
        return [load(path) for path in sorted(self.context.state.pending.glob("*.json"))]

    def keep(self, *numbers: str) -> None:
        """Write down pushes of earlier runs of which nobody knows the end."""
        info = describe(self.receipt(), self.recipes.record(name="app"), repository_key="docker-local")
        for number in numbers:
            pending = Pending(replace(info, number=number), self.server.url, pushed=False)
            save(pending, self.context.state.pending)

    def break_off(self, error: BaseException | None, receipt=None) -> None:
        """Let a step end with *error* right before its push is confirmed."""
        try:
            with self.publication() as publication:
                publication.announce(receipt or self.receipt())
                if error:
                    raise error
        except (BuildPushError, KeyboardInterrupt):
            assert error


@pytest.fixture
def step(box, tmp_path):
    with Http(retries=Retries(attempts=2, base=0.01)) as http:
        yield Step(box, http, tmp_path)


def test_what_is_foreseen_is_kept_as_a_push_without_its_end(step):
    receipt = step.receipt("1", "2")
    base = {receipt.layers[0].digest}
    with step.publication() as publication:
        publication.announce(receipt, base)
        [kept] = step.left()
    assert (kept.pushed, kept.server) == (False, step.server.url)
    assert [module.id for module in kept.info.modules] == ["app:1", "app:2"]
    assert {one.sha256 for one in kept.info.modules[0].dependencies} == {digest.hex for digest in base}
    assert kept.info.artifacts[0].repository == "docker-local"


def test_what_is_published_is_kept_no_more(step):
    receipt = step.receipt()
    with step.publication() as publication:
        publication.announce(receipt)
        step.upload(receipt)
        published = publication.publish(receipt)
        assert step.left() == []
    assert (published.name, published.number) == ("app", "7")
    assert [build["number"] for build in step.box.builds("app")] == ["7"]
    assert step.notes == []


def test_a_push_that_came_to_its_end_is_kept_as_one_before_its_build_info_is_sent(step, monkeypatch):
    plain, seen = Artifactory.put_build, []

    def put_build(self, info):
        seen.extend(step.left())
        plain(self, info)

    monkeypatch.setattr(Artifactory, "put_build", put_build)
    receipt = step.receipt()
    with step.publication() as publication:
        publication.announce(receipt)
        step.upload(receipt)
        publication.publish(receipt)
    assert [kept.pushed for kept in seen] == [True]


def test_a_base_stands_in_what_is_published(step):
    receipt = step.receipt()
    with step.publication() as publication:
        step.upload(receipt)
        publication.publish(receipt, {receipt.layers[0].digest})
    [build] = step.box.builds("app")
    assert [one["sha256"] for one in build["modules"][0]["dependencies"]] == [receipt.layers[0].digest.hex]


def test_what_cannot_be_published_is_kept_as_a_push_with_its_end(step):
    receipt = step.receipt()
    base = {receipt.layers[0].digest}
    step.hide("api/build$")
    with step.publication() as publication:
        publication.announce(receipt, base)
        step.upload(receipt)
        with pytest.raises(BuildInfoError) as caught:
            publication.publish(receipt, base)
    [kept] = step.left()
    assert kept.pushed
    assert [one.sha256 for one in kept.info.modules[0].dependencies] == [receipt.layers[0].digest.hex]
    command = ["buildpush", "build-info", "publish", "--artifactory-url", step.server.url]
    assert shlex.split(caught.value.hint)[:-1] == [*command, "--username", step.box.username]
    assert load(step.saved(caught.value)) == kept


def test_a_step_that_ends_after_its_push_says_nothing_of_a_registry(step):
    """What was published or refused has said it itself."""
    receipt = step.receipt()
    step.hide("api/build$")
    step.upload(receipt)
    publication = step.publication()
    publication.announce(receipt)
    with pytest.raises(BuildInfoError), publication:
        publication.publish(receipt)
    assert step.notes == []


@pytest.mark.parametrize(
    "error", [PushError("refused"), AuthenticationError("refused"), RegistryError("no", status=400)]
)
def test_a_push_that_was_refused_before_it_named_anything_is_forgotten(step, error):
    step.break_off(error)
    assert step.left() == []
    assert step.notes == []


def test_a_push_whose_last_answer_is_lost_is_kept_with_the_way_on(step):
    step.break_off(UnreachableError("gone"))
    [note] = step.notes
    words, _, command = note.partition(": ")
    assert words == "if the registry has the image, this command publishes its build-info"
    *command, path = shlex.split(command)
    assert command == [*finish_command(step.server)]
    assert [load(Path(path))] == step.left()


def test_a_push_that_named_something_before_it_was_refused_is_kept(step):
    error = PushError("refused")
    error.pushed = (Reference.parse(step.name(f"{HOME}:1")),)
    step.break_off(error)
    assert len(step.left()) == 1
    assert "this command publishes its build-info" in step.notes[0]


def test_ctrl_c_during_a_push_leaves_the_way_on(step):
    step.break_off(KeyboardInterrupt())
    assert len(step.left()) == 1
    assert "this command publishes its build-info" in step.notes[0]


def test_a_step_that_pushed_nothing_and_ended_well_says_nothing(step):
    step.break_off(None)
    assert step.notes == []
    with step.publication():
        pass
    assert step.notes == []


def test_what_an_earlier_run_left_is_published_before_the_next_push(step):
    """The next push may take its names away."""
    receipt = step.receipt()
    step.break_off(UnreachableError("gone"), receipt)
    step.upload(receipt)
    step.events.clear()
    with step.publication() as publication:
        publication.announce(step.receipt(layers=(b"something else\n",)))
        assert [build["number"] for build in step.box.builds("app")] == ["7"]
        assert [kept.info.number for kept in step.left()] == ["8"]
    [note] = step.notes
    assert note.startswith("the build-info app 7 of an earlier run is published: ")
    assert "/ui/builds/app/7/" in note


def test_what_an_earlier_run_never_pushed_is_forgotten(step):
    step.break_off(UnreachableError("gone"))
    step.events.clear()
    with step.publication() as publication:
        publication.announce(step.receipt(layers=(b"something else\n",)))
        assert [kept.info.number for kept in step.left()] == ["8"]
    assert step.notes[0].startswith(
        "the build-info app 7 of an earlier run is discarded: the push of app 7 was never completed"
    )


def test_what_still_cannot_be_published_waits_on_and_the_next_is_tried(step):
    step.keep("1", "2")
    step.hide("/v2/.*/manifests/")
    step.hide("api/storage")
    step.break_off(None)
    for number, note in zip(("1", "2"), step.notes, strict=True):
        assert note.startswith(
            f"the build-info app {number} of an earlier run is not published yet: it is not known whether "
        )
        assert shlex.split(note.rpartition("to publish it, run ")[2])[:-1] == [*finish_command(step.server)]
    assert [kept.info.number for kept in step.left()] == ["1", "2", "7"]


@pytest.mark.parametrize("other", ["server", "name", "project"])
def test_what_is_not_of_the_same_build_on_the_same_server_is_left_alone(step, other):
    info = describe(step.receipt(), step.recipes.record(name="app"), repository_key="docker-local")
    changes = {"name": {"name": "apps"}, "project": {"project": "web"}, "server": {}}
    server = "https://other.example/artifactory/" if other == "server" else step.server.url
    kept = Pending(replace(info, **changes[other]), server, pushed=False)
    save(kept, step.context.state.pending)
    with step.publication() as publication:
        publication.announce(step.receipt())
        assert kept in step.left()
    assert step.notes == []


def test_of_many_earlier_runs_ten_are_finished_at_once(step):
    step.keep(*(f"{number:02}" for number in range(12)))
    with step.publication() as publication:
        publication.announce(step.receipt())
    assert len(step.notes) == 10
    assert {kept.info.number for kept in step.left()} == {"10", "11", "7"}


def test_where_nothing_can_be_kept_the_push_goes_on_without_a_word(step):
    """That nothing is kept at all is said once by the run."""
    step.directory.joinpath("state").write_text("a file, no folder")
    with step.publication() as publication:
        publication.announce(receipt := step.receipt())
        step.upload(receipt)
        publication.publish(receipt)
    assert step.notes == []
    assert len(step.box.builds("app")) == 1


def test_a_place_for_what_waits_that_cannot_be_used_is_a_note(step):
    step.directory.joinpath("state").mkdir(mode=0o700)
    step.directory.joinpath("state", "pending").write_text("a file, no folder")
    with step.publication() as publication:
        publication.announce(step.receipt())
    [note] = step.notes
    assert note.startswith("the build-info is not kept on this machine during the push: ")


def test_a_step_that_is_cancelled_while_it_foresees_ends(step):
    receipt = step.receipt()
    step.http.cancel()
    with pytest.raises(CancelledError), step.publication() as publication:
        publication.announce(receipt)


BOT = Credential("bot", Secret("pw-of-bot"), "connector jfrog")


@pytest.mark.parametrize(("credential", "user"), [(BOT, ["--username", "bot"]), (None, [])])
def test_the_command_that_finishes_names_server_and_user_and_no_secret(step, credential, user):
    server = Artifactory(step.box.artifactory_url, step.http, credential)
    command = ["buildpush", "build-info", "publish", "--artifactory-url", server.url]
    assert [*finish_command(server)] == [*command, *user]
