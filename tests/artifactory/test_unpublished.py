"""A build-info that cannot be published is saved, and published later."""

from __future__ import annotations

import json
import shlex
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from buildpush.artifactory import Artifactory, BuildInfo, publish
from buildpush.artifactory.publishing import expected_build_info
from buildpush.credentials.docker import Credential
from buildpush.foundation.errors import BuildInfoError, CancelledError, SettingsError
from buildpush.foundation.events import Note
from buildpush.foundation.parallel import in_parallel
from buildpush.foundation.secrets import Secret

pytestmark = pytest.mark.sandbox


def test_a_refused_build_info_is_saved_and_can_be_finished(desk):
    info = desk.hello()
    desk.box.add_fault("PUT", "api/build$", status=403, body=b'{"errors": [{"message": "no right to deploy"}]}')
    with pytest.raises(BuildInfoError, match="no right to deploy") as caught:
        desk.publish(info)
    assert caught.value.exit_code == 6
    assert "the image is pushed" in str(caught.value)
    assert caught.value.hint.startswith("buildpush build-info publish ")
    path = desk.saved(caught.value)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    desk.publish(BuildInfo.load(path))
    assert len(desk.box.builds("hello")) == 1


def test_the_command_that_finishes_can_be_said_by_the_caller(desk):
    desk.box.add_fault("PUT", "api/build$", status=403)
    with pytest.raises(BuildInfoError) as caught:
        desk.publish(desk.hello(), finish=("buildpush", "build-info", "publish", "--connectors", "my file.yml"))
    assert caught.value.hint.startswith("buildpush build-info publish --connectors 'my file.yml' ")


def test_wrong_credentials_after_a_good_push_are_a_build_info_that_can_be_finished(desk):
    with pytest.raises(BuildInfoError, match="refuses the user name or password") as caught:
        desk.publish(desk.hello(), Credential("developer", Secret("changed-meanwhile"), "connector jfrog"))
    assert caught.value.exit_code == 6
    assert desk.saved(caught.value).exists()


def test_a_server_that_is_gone_is_a_build_info_that_can_be_finished(desk, http):
    info = desk.hello()
    desk.box.add_fault("*", "api/", close=True, times=99)
    with pytest.raises(BuildInfoError) as caught:
        desk.publish(info)
    assert desk.saved(caught.value).exists()


def publish_push(desk, pushed, info=None):
    return publish(
        info or expected_build_info(pushed, desk.recipes.record(), desk.client()),
        desk.client(),
        directory=desk.directory / "pending",
        pushed=pushed,
        sink=desk.events.append,
        sleep=desk.waits.append,
    )


def test_a_push_through_a_virtual_repository_names_the_physical_one(desk, recipes):
    desk.hello()
    pushed = recipes.hello(desk.name("docker/team/hello:1.0"))
    publish_push(desk, replace(pushed, repository_key="docker"))
    [stored] = desk.box.builds("hello")
    [module] = stored["modules"]
    assert {artifact["originalDeploymentRepo"] for artifact in module["artifacts"]} == {"docker-local"}
    assert module["artifacts"][0]["path"] == "team/hello/1.0/manifest.json"


def test_a_server_that_is_gone_before_it_was_asked_where_the_image_is_loses_nothing(desk):
    desk.hello()
    pushed = desk.recipes.hello(desk.name("docker-local/team/hello:1.0"))
    desk.box.add_fault("*", "api/repositories", close=True, times=99)
    with pytest.raises(BuildInfoError, match="the image is pushed") as caught:
        publish_push(desk, pushed)
    desk.box.clear_faults()
    desk.publish(BuildInfo.load(desk.saved(caught.value)))
    assert len(desk.box.builds("hello")) == 1


def test_a_cancelled_question_where_the_image_is_loses_nothing(desk, http):
    pushed = desk.recipes.hello(desk.name("docker-local/team/hello:1.0"))
    info = expected_build_info(pushed, desk.recipes.record(), desk.client())
    http.cancel()
    with pytest.raises(CancelledError):
        publish_push(desk, pushed, info)
    assert [event for event in desk.events if isinstance(event, Note)]


def test_ctrl_c_while_asking_where_the_image_is_loses_nothing(desk, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    pushed = desk.recipes.hello(desk.name("docker-local/team/hello:1.0"))
    info = expected_build_info(pushed, desk.recipes.record(), desk.client())
    monkeypatch.setattr(Artifactory, "locate", interrupted)
    with pytest.raises(KeyboardInterrupt):
        publish_push(desk, pushed, info)
    [note] = desk.events
    saved = BuildInfo.load(Path(shlex.split(note.text)[-1]))
    assert saved.artifacts[0].path == "team/hello/1.0/manifest.json"


def test_a_cancelled_publication_is_saved_and_stays_cancelled(desk, http):
    info = desk.hello()
    http.cancel()
    with pytest.raises(CancelledError):
        desk.publish(info)
    [note] = [event for event in desk.events if isinstance(event, Note)]
    assert "buildpush build-info publish" in note.text
    assert Path(shlex.split(note.text)[-1]).exists()


def test_ctrl_c_does_not_wait_and_loses_nothing(desk):
    info = desk.hello()

    def interrupt(_seconds):
        raise KeyboardInterrupt

    desk.refuse_properties(status=404)
    with pytest.raises(KeyboardInterrupt):
        publish(info, desk.client(), directory=desk.directory, sink=desk.events.append, sleep=interrupt)
    [note] = [event for event in desk.events if isinstance(event, Note)]
    assert BuildInfo.load(Path(shlex.split(note.text)[-1])) == info


def test_ctrl_c_among_several_requests_comes_through():
    def interrupted(number):
        if number == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        in_parallel(interrupted, [0, 1, 2])


def test_where_nothing_can_be_saved_the_error_says_that_too(desk):
    (desk.directory / "pending").write_text("a file, no folder", encoding="utf-8")
    desk.box.add_fault("PUT", "api/build$", status=403)
    with pytest.raises(BuildInfoError) as caught:
        desk.publish(desk.hello())
    assert "it cannot be saved either" in caught.value.hint


def test_a_directory_in_which_others_may_replace_what_is_saved_is_named_in_the_hint(desk):
    shared = desk.directory / "shared"
    shared.mkdir(mode=0o777)
    shared.chmod(0o777)
    desk.box.add_fault("PUT", "api/build$", status=403)
    with pytest.raises(BuildInfoError) as caught:
        publish(desk.hello(), desk.client(), directory=shared / "pending")
    assert f"it cannot be saved either, in {shared / 'pending'}: " in caught.value.hint
    assert str(shared) in caught.value.hint.partition(": ")[2]


def test_a_servers_echo_of_a_secret_is_hidden(desk):
    Secret("planted-and-echoed")
    desk.box.add_fault("PUT", "api/build$", status=400, body=b"bad planted-and-echoed", times=None)
    with pytest.raises(BuildInfoError) as caught:
        desk.publish(desk.hello())
    assert "planted-and-echoed" not in str(caught.value)


@pytest.mark.parametrize("path", ["../../api/system/configuration", "a//b", "./a"])
def test_a_saved_path_cannot_lead_out_of_the_repository(desk, path):
    info = desk.hello()
    [module] = info.modules
    bad = replace(module.artifacts[0], path=path, sha1="")
    with pytest.raises(BuildInfoError, match="is not a path in a repository"):
        desk.publish(replace(info, modules=(replace(module, artifacts=(bad,)),)))
    assert desk.box.builds("hello") == []


def test_a_saved_document_with_an_impossible_name_is_refused_before_anything_is_sent(desk):
    info = replace(desk.hello(), name="..")
    with pytest.raises(SettingsError, match="begins with a dot"):
        desk.publish(info)
    assert not [request for request in desk.box.requests if "/artifactory/" in request.path]


def test_no_planted_secret_is_published_or_saved(desk):
    for planted in (desk.box.password.reveal(), desk.box.token.reveal()):
        record = desk.recipes.record(environment={"BUILD_NOTE": planted}, url=f"https://u:{planted}@ci.example.com")
        info = desk.hello(record=record)
        desk.publish(info)
        desk.box.add_fault("PUT", "api/build$", status=403)
        with pytest.raises(BuildInfoError) as caught:
            desk.publish(info)
        assert planted not in json.dumps(desk.box.builds())
        assert planted not in desk.saved(caught.value).read_text(encoding="utf-8")
