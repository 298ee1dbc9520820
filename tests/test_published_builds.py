"""Published builds: listed, compared, promoted, deleted; what the server says is not taken for what it did."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta

import pytest

import buildpush
from buildpush.artifactory.answers import PublishedRun
from buildpush.artifactory.promotion import Promotion
from buildpush.artifactory.retention import Retention
from buildpush.cli import run_command
from buildpush.foundation.errors import BuildInfoError, SettingsError

pytestmark = pytest.mark.sandbox
NOW = datetime.now(UTC)
FILE = b"hello"


def sums(content):
    return {name: hashlib.new(name, content).hexdigest() for name in ("sha1", "md5", "sha256")}


@pytest.fixture
def builds(box, monkeypatch):
    monkeypatch.setenv("PASSWORD", box.password.reveal())
    with buildpush.open_builds(box.artifactory_url, username=box.username, password="env:PASSWORD") as found:
        yield found


@pytest.fixture
def put(box):
    """Return a function that publishes a run of the build app, which made one file."""
    from buildpush.http.client import Http

    def put(number: str, *, days: int = 0, content: bytes = FILE, **more):
        artifact = {"name": "a.txt", "path": f"app/{number}/a.txt", "originalDeploymentRepo": "generic-local"}
        started = (NOW - timedelta(days=days)).isoformat(timespec="milliseconds").replace("+00:00", "+0000")
        module = {"id": "files", "type": "generic", "artifacts": [artifact | sums(content)]}
        document = {"name": "app", "number": number, "started": started, "modules": [module], **more}
        token = f"Bearer {box.token.reveal()}"
        with Http() as http:
            for path, body in ((f"generic-local/{artifact['path']}", content), ("api/build", json.dumps(document))):
                data = body if isinstance(body, bytes) else body.encode()
                url = f"{box.artifactory_url}{path}"
                assert http.request("PUT", url, body=data, authorization=token).ok

    return put


def numbers(runs):
    return [run.number for run in runs]


def test_builds_and_their_runs_are_listed(builds, put):
    put("1", days=1)
    put("2")
    assert [build.name for build in builds.list()] == ["app"]
    assert numbers(builds.runs("app")) == ["2", "1"]


def test_a_run_is_compared_with_the_one_before(builds, put):
    put("1", days=1)
    put("2", content=b"other")
    [change] = [change for change in builds.diff("app", "2").changes if change.part == "file" and change.old == ""]
    assert change.name == "app/2/a.txt"


@pytest.mark.parametrize("pair", [("1", "2"), ("2", "1")])
def test_two_runs_are_compared_from_the_earlier_to_the_later(builds, put, pair):
    put("1", days=1)
    put("2")
    found = builds.diff("app", *pair)
    assert (found.old.split()[1], found.new.split()[1]) == ("1", "2")


def test_the_first_run_has_none_before_it(builds, put):
    put("1")
    with pytest.raises(SettingsError, match="first run"):
        builds.diff("app", "1")


@pytest.mark.parametrize("act", [lambda b: b.show("app", "9"), lambda b: b.promote("app", "9", "generic-local")])
def test_a_run_that_does_not_exist_is_an_error(builds, put, act):
    put("1")
    with pytest.raises(SettingsError, match="does not have the build app 9"):
        act(builds)


@pytest.fixture
def release(box):
    """Return the key of a second repository for files."""
    from buildpush.sandbox.entries import RepositoryEntry

    box._store.add_repository(RepositoryEntry("generic-release", package_type="generic"))
    return "generic-release"


def test_a_promotion_copies_the_files_and_counts_them(builds, put, box, release):
    put("1")
    promoted = builds.promote("app", "1", release, status="released", comment="tested")
    assert (promoted.files, promoted.target) == (1, release)
    assert box.files(release) == ["app/1/a.txt"]
    assert box.files("generic-local") == ["app/1/a.txt"]
    [status] = builds.show("app", "1").others["statuses"]
    assert (status["status"], status["comment"]) == ("released", "tested")


@pytest.mark.parametrize("word", ["token", "password"])
def test_the_login_may_be_a_secret_itself(put, box, word):
    put("1")
    login = (
        {"artifactory_token": box.token} if word == "token" else {"username": box.username, "password": box.password}
    )
    with buildpush.open_builds(box.artifactory_url, **login) as builds:
        assert [run.number for run in builds.runs("app")] == ["1"]


def test_a_promotion_from_one_repository_leaves_the_files_of_others_with_a_note(put, box, release, monkeypatch):
    monkeypatch.setenv("TOKEN", box.token.reveal())
    module = {"id": "other", "artifacts": [{"name": "b", "path": "b", "originalDeploymentRepo": "elsewhere-local"}]}
    files = {"name": "a.txt", "path": "app/1/a.txt", "originalDeploymentRepo": "generic-local"}
    put("1", modules=[{"id": "files", "artifacts": [files | sums(FILE)]}, module])
    events = []
    with buildpush.open_builds(box.artifactory_url, artifactory_token="env:TOKEN", sink=events.append) as builds:
        promoted = builds.promote("app", "1", release, source="generic-local")
    assert promoted.files == 1
    assert box.files(release) == ["app/1/a.txt"]
    assert "1 file in elsewhere-local: not promoted, because only those in generic-local are" in [
        e.text for e in events
    ]


def test_a_move_is_tried_before_it_is_done(builds, put, box, release):
    put("1")
    builds.promote("app", "1", release, move=True)
    asked = [request for request in box.requests if "/promote/" in request.path]
    assert len(asked) == 2
    assert box.files("generic-local") == []


def test_a_dry_run_changes_nothing(builds, put, box, release):
    put("1")
    assert builds.promote("app", "1", release, status="released", dry_run=True).files is None
    assert box.files(release) == []
    assert "statuses" not in builds.show("app", "1").others


def test_a_server_that_promotes_nothing_and_says_that_it_did_is_found_out(builds, put, box, release):
    put("1")
    box.add_fault("POST", "/api/build/promote/", status=200, body=b'{"messages":[]}', times=2)
    with pytest.raises(BuildInfoError, match="1 of 1 files of build app 1 are not in generic-release"):
        builds.promote("app", "1", release)


@pytest.mark.parametrize("level", ["error", "ERROR"])
def test_an_error_among_the_messages_is_an_error(builds, put, box, release, level):
    put("1")
    body = json.dumps({"messages": [{"level": level, "message": "no room\x1b[31m"}]}).encode()
    box.add_fault("POST", "/api/build/promote/", status=200, body=body)
    with pytest.raises(BuildInfoError, match="no room") as caught:
        builds.promote("app", "1", release)
    assert "\x1b" not in str(caught.value)


def test_a_promotion_of_nothing_is_refused(builds, put):
    put("1")
    with pytest.raises(SettingsError, match="needs a repository"):
        builds.promote("app", "1")


def test_old_runs_are_discarded_and_promoted_ones_stay(builds, put):
    for number, days in (("1", 3), ("2", 2), ("3", 1), ("4", 0)):
        put(number, days=days)
    builds.promote("app", "2", status="released")
    assert numbers(builds.discard("app", count=1, keep=["1"])) == ["3"]
    assert numbers(builds.runs("app")) == ["4", "2", "1"]


def test_promoted_runs_do_not_count(builds, put):
    for number, days in (("1", 3), ("2", 2), ("3", 1)):
        put(number, days=days)
    builds.promote("app", "3", status="released")
    assert numbers(builds.discard("app", count=1)) == ["1"]
    assert numbers(builds.discard("app", count=1)) == []
    assert numbers(builds.runs("app")) == ["3", "2"]


def test_a_server_that_discards_nothing_is_found_out(builds, put, box):
    put("1", days=1)
    put("2")
    box.add_fault("POST", "/api/build/retention/", status=204)
    with pytest.raises(BuildInfoError, match="still has 1"):
        builds.discard("app", count=1)


def test_every_run_of_a_number_is_deleted(builds, put):
    put("1", days=1)
    put("1")
    put("2")
    assert numbers(builds.delete("app", "1")) == ["1", "1"]
    assert numbers(builds.runs("app")) == ["2"]


def test_an_unknown_number_deletes_nothing(builds, put):
    put("1")
    with pytest.raises(SettingsError, match="no run 9 of build app; nothing is deleted"):
        builds.delete("app", "1", "9")
    assert numbers(builds.runs("app")) == ["1"]


def test_an_account_without_the_right_to_delete_is_told(box, put, monkeypatch):
    put("1")
    account = box.add_account("reader", ["read"])
    monkeypatch.setenv("PASSWORD", account.password.reveal())
    with (
        buildpush.open_builds(box.artifactory_url, username="reader", password="env:PASSWORD") as builds,
        pytest.raises(BuildInfoError, match="403"),
    ):
        builds.delete("app", "1")


def test_the_commands_print_what_was_done(box, put, capsys, monkeypatch, release):
    put("1", days=1)
    put("2")
    for name, value in {"JF_URL": box.url, "JF_ACCESS_TOKEN": box.token.reveal()}.items():
        monkeypatch.setenv(name, value)
    for words, shown in (
        (["list"], "app"),
        (["list", "app"], "2"),
        (["diff", "app", "2", "1"], "app/2/a.txt"),
        (["promote", "app", "1", release, "--status", "released"], "1 files are there"),
        (["show", "app", "1"], "status released"),
        (["discard", "app", "--max-builds", "1"], "no run is deleted"),
        (["delete", "app", "2"], "deleted app 2"),
    ):
        assert run_command(["build-info", *words]) == 0
        assert shown in capsys.readouterr().out
        if words[0] != "delete":
            assert run_command(["build-info", *words, "--json"]) == 0
            assert json.loads(capsys.readouterr().out)


def test_properties_are_written_as_for_an_upload(builds, put, box, release, monkeypatch):
    put("1")
    monkeypatch.setenv("JF_URL", box.url)
    monkeypatch.setenv("JF_USER", box.username)
    monkeypatch.setenv("JF_PASSWORD", box.password.reveal())
    words = ["promote", "app", "1", release, "--props", "stage=prod;team=web,api", "--props", "team=db"]
    assert run_command(["build-info", *words]) == 0
    properties = box.properties(release, "app/1/a.txt")
    assert (properties["stage"], properties["team"]) == (["prod"], ["web", "api", "db"])
    assert run_command(["build-info", *words, "--props", "stage"]) == 2


def test_a_list_of_nothing_says_so(box, capsys, monkeypatch):
    for name, value in {"JF_URL": box.url, "JF_ACCESS_TOKEN": box.token.reveal()}.items():
        monkeypatch.setenv(name, value)
    for words, note in ((["list"], "note: there are no builds\n"), (["list", "app"], "note: there is no run of app\n")):
        assert run_command(["build-info", *words]) == 0
        assert capsys.readouterr() == ("", note)
    assert run_command(["build-info", "list", "app", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"runs": []}


def test_an_interrupt_does_not_say_that_nothing_has_happened(box, capsys, monkeypatch):
    def interrupted(*_args, **_named):
        raise KeyboardInterrupt

    monkeypatch.setenv("JF_URL", box.url)
    monkeypatch.setenv("JF_ACCESS_TOKEN", box.token.reveal())
    monkeypatch.setattr("buildpush.pipeline.builds.promote", interrupted)
    assert run_command(["build-info", "promote", "app", "1", "generic-release"]) == 130
    assert "interrupted: what Artifactory was asked for may still happen" in capsys.readouterr().err


def test_a_repository_that_does_not_exist_is_what_the_hint_is_about(builds, put):
    put("1")
    with pytest.raises(BuildInfoError, match="'nowhere'") as caught:
        builds.promote("app", "1", "nowhere")
    assert "key of the repository" in caught.value.hint


RUNS = [PublishedRun(str(number), (NOW - timedelta(days=number)).isoformat()) for number in range(5)]


@pytest.mark.parametrize(
    ("retention", "gone"),
    [
        (Retention(count=2), ["2", "3", "4"]),
        (Retention(days=3), ["3", "4"]),
        (Retention(count=1, days=3), ["1", "2", "3", "4"]),
        (Retention(count=2, keep=("0", "4")), ["3"]),
    ],
)
def test_it_is_known_which_runs_a_rule_keeps(retention, gone):
    assert numbers(retention.outdated(RUNS, NOW)) == gone


def test_a_rule_without_a_limit_has_none():
    assert Retention(days=1).rule(NOW).keys() == {"deleteBuildArtifacts", "minimumBuildDate"}
    assert Promotion(status="x").request(dry_run=False, fail_fast=True) == {
        "status": "x",
        "copy": True,
        "dependencies": False,
        "dryRun": False,
        "failFast": True,
    }
