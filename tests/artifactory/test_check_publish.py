"""What is found out before the build: names, logins, and numbers that are taken."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from buildpush.artifactory import Artifactory, BuildInfo, check_publish
from buildpush.credentials.docker import Credential
from buildpush.foundation.errors import AuthenticationError, BuildInfoError, SettingsError, UnreachableError
from buildpush.foundation.events import Note
from buildpush.foundation.secrets import Secret

pytestmark = pytest.mark.sandbox


@pytest.mark.parametrize(("name", "number", "setting"), [(".x", "42", "build_name"), ("x", ".42", "build_number")])
def test_a_name_or_number_that_is_refused_is_named_by_its_setting(desk, name, number, setting):
    with pytest.raises(SettingsError) as caught:
        check_publish(desk.client(), name, number)
    assert caught.value.setting == setting
    assert desk.box.requests == []


def test_a_wrong_password_is_found_before_the_build(desk):
    login = Credential("developer", Secret("not-the-password"), "PLUGIN_PASSWORD")
    with pytest.raises(AuthenticationError) as caught:
        check_publish(desk.client(login), "hello", "42")
    assert desk.box.host in str(caught.value)
    assert "PLUGIN_PASSWORD" in str(caught.value)
    assert "not-the-password" not in str(caught.value)


def test_a_wrong_token_is_found_before_the_build(desk):
    login = Credential("", Secret("not-the-token"), "JF_ACCESS_TOKEN", "access")
    with pytest.raises(AuthenticationError) as caught:
        check_publish(desk.client(login), "hello", "42")
    assert str(caught.value).startswith(f"{desk.box.host} refuses the token for Artifactory (from JF_ACCESS_TOKEN): ")


def test_no_credentials_are_found_before_the_build(desk):
    with pytest.raises(AuthenticationError, match="none were given") as caught:
        check_publish(Artifactory(desk.box.artifactory_url, desk.http), "hello", "42")
    assert "JF_ACCESS_TOKEN" in caught.value.hint
    assert "expired" not in caught.value.hint


@pytest.mark.parametrize("kind", ["password", "token"])
def test_good_credentials_of_either_kind_pass_the_check(desk, kind):
    token = Credential("", desk.box.token, "test", "access")
    check_publish(desk.client(token if kind == "token" else None), "hello", "42", sink=desk.events.append)
    assert desk.events == []


def test_a_number_that_was_published_before_is_noted(desk):
    desk.publish(desk.hello())
    check_publish(desk.client(), "hello", "42", sink=desk.events.append)
    [note] = [event for event in desk.events if isinstance(event, Note)]
    assert "hello 42 was published before" in note.text


def test_how_often_a_number_was_published_and_when_it_was_last_is_told(desk):
    info = desk.hello()
    desk.publish(info)
    check_publish(desk.client(), "hello", "42", sink=desk.events.append)
    assert "published before (once, at 2026-10-01T12:00:00.123+0000); this" in desk.notes[-1]
    desk.publish(replace(info, started=info.started + timedelta(hours=1)))
    check_publish(desk.client(), "hello", "42", sink=desk.events.append)
    assert "published before (2 times, last at 2026-10-01T13:00:00.123+0000); this" in desk.notes[-1]


def test_what_was_kept_for_a_virtual_repository_is_published_in_the_one_behind_it(desk):
    """Where the file was written, nobody could be asked; a virtual repository takes no properties."""
    info = desk.hello()
    [module] = info.modules
    kept = replace(module, artifacts=tuple(replace(one, repository="docker") for one in module.artifacts))
    desk.publish(replace(info, modules=(kept,)), fresh=False)
    [stored] = desk.box.builds("hello")
    assert BuildInfo.parse(stored).modules == info.modules
    assert desk.box.properties("docker-local", info.artifacts[0].path)["build.number"] == ["42"]


def test_another_number_of_a_known_build_is_no_news(desk):
    desk.publish(desk.hello())
    check_publish(desk.client(), "hello", "43", sink=desk.events.append)
    assert desk.events == []


def test_a_page_of_a_proxy_is_not_taken_for_an_answer(desk):
    desk.box.add_fault("GET", "api/build", status=200, body=b"<html>please log in</html>")
    with pytest.raises(SettingsError, match="not a JSON object") as caught:
        check_publish(desk.client(), "hello", "42")
    assert "proxy" in caught.value.hint


@pytest.mark.parametrize(("status", "kind"), [(400, SettingsError), (501, UnreachableError)])
def test_what_fails_before_the_build_does_not_say_that_the_image_is_pushed(desk, status, kind):
    """The exit code 6 means: the image is there, and only its build-info is missing."""
    desk.box.add_fault("GET", "api/build", status=status, body=b"no")
    with pytest.raises(kind) as caught:
        check_publish(desk.client(), "hello", "42")
    assert caught.value.exit_code != BuildInfoError.exit_code


def test_an_account_that_may_not_read_builds_may_publish_all_the_same(desk):
    """Reading is not deciding: robots that only deploy are usual."""
    desk.box.add_fault("GET", "api/build", status=403, body=b"no", times=None)
    check_publish(desk.client(), "hello", "42", sink=desk.events.append)
    assert len(desk.notes) == 1
    desk.publish(desk.hello())
    assert "could not be read back and compared" in desk.notes[1]
    assert len(desk.box.builds("hello")) == 1
