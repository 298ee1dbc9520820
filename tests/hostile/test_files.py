"""Uploads and downloads of files that are no image, against servers that fail, lie and break off."""

from __future__ import annotations

import os
from contextlib import suppress

import pytest

import buildpush
from buildpush.artifactory import downloads
from buildpush.foundation.errors import (
    AuthenticationError,
    BuildPushError,
    DigestError,
    PushError,
    RegistryError,
    SettingsError,
)
from buildpush.foundation.events import Note
from buildpush.foundation.files import is_one_name
from tests.hostile.registry import Reply
from tests.hostile.storage import Storage, checksums, problem

pytestmark = pytest.mark.sandbox

TOKEN = "a-planted-token-of-artifactory"


@pytest.fixture
def storage():
    return Storage()


@pytest.fixture
def server(serve, storage):
    return serve(storage)


@pytest.fixture
def call(server, tmp_path, events, monkeypatch):
    """Return a function that uploads or downloads by the Python interface; it waits for nothing."""
    monkeypatch.setattr("buildpush.http.retry.Retries.seconds", lambda *_: 0.0)
    env = {"JF_URL": server.url, "JF_ACCESS_TOKEN": TOKEN}
    return lambda verb, *arguments, **more: getattr(buildpush, verb)(
        *arguments, **{"env": env, "cwd": tmp_path, "sink": events.append, **more}
    )


def write(directory, **files):
    for name, data in files.items():
        path = directory / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data if isinstance(data, bytes) else data.encode())


def notes(events):
    return [event.text for event in events if isinstance(event, Note)]


# ---- where they go: the table of what jf does, and what is better


def test_files_keep_their_directories_below_a_target_unless_flat(call, storage, tmp_path):
    write(tmp_path, sub__x="1", sub__deep__y="2")
    call("upload", "sub/", "generic/t/")
    assert sorted(storage.files) == ["generic/t/sub/deep/y", "generic/t/sub/x"]
    storage.files.clear()
    result = call("upload", "sub/", "generic/t/", flat=True)
    assert sorted(storage.files) == ["generic/t/x", "generic/t/y"]
    assert [file.name for file in result.files] == ["sub/deep/y", "sub/x"]


def test_an_absolute_path_gets_no_empty_directory(call, storage, tmp_path):
    write(tmp_path, sub__x="1")
    call("upload", f"{tmp_path}/sub/*", "generic/t/")
    assert list(storage.files) == [f"generic/t{tmp_path}/sub/x"]


def test_a_target_without_a_slash_is_a_file_and_a_note_says_so(call, storage, tmp_path, events):
    write(tmp_path, **{"a.bin": "1"})
    call("upload", "a.bin", "generic/g/1.0")
    assert list(storage.files) == ["generic/g/1.0"]
    assert any("becomes the file generic/g/1.0" in text for text in notes(events))


def test_a_repository_alone_is_a_directory(call, storage, tmp_path):
    write(tmp_path, **{"a.bin": "1"})
    call("upload", "a.bin", "generic")
    assert list(storage.files) == ["generic/a.bin"]


@pytest.mark.parametrize(
    ("pattern", "target", "says"),
    [
        ("*.bin", "generic/t5", "would both become generic/t5"),
        ("sub", "generic/t/", "sub is a directory"),
        ("*.none", "generic/t/", "no file matches"),
        ("missing.bin", "generic/t/", "no file matches"),
        ("", "generic/t/", "pattern of files is empty"),
        ("a.bin", "/", "does not name a repository"),
        ("a.bin", "generic/../x/", "does not name a repository"),
        ("(*).bin", "generic/{2}", "placeholder {2}"),
    ],
)
def test_what_would_lose_files_is_refused_before_anything_is_sent(
    call, storage, server, tmp_path, pattern, target, says
):
    write(tmp_path, **{"a.bin": "1", "b.bin": "2", "sub/x": "3"})
    with pytest.raises(SettingsError) as caught:
        call("upload", pattern, target)
    assert says in str(caught.value)
    assert caught.value.hint
    assert server.requests == []


def test_a_placeholder_holds_directories(call, storage, tmp_path):
    write(tmp_path, **{"a.bin": "1", "sub/b.bin": "2"})
    call("upload", "(*).bin", "generic/t/{1}-x.bin")
    assert sorted(storage.files) == ["generic/t/a-x.bin", "generic/t/sub/b-x.bin"]


def test_exclusions_and_a_search_that_is_not_recursive_leave_files_out(call, storage, tmp_path):
    write(tmp_path, **{"a.bin": "1", "a.log": "2", "sub/b.bin": "3"})
    call("upload", "*", "generic/", exclusions="*.log", recursive=False)
    assert list(storage.files) == ["generic/a.bin"]


def test_a_link_to_a_directory_is_followed_once(call, storage, tmp_path):
    write(tmp_path, sub__x="1")
    (tmp_path / "sub/up").symlink_to(tmp_path / "sub")
    (tmp_path / "other").symlink_to(tmp_path / "sub")
    call("upload", "*", "generic/")
    assert sorted(storage.files) == ["generic/other/x", "generic/sub/x"]


@pytest.mark.parametrize("kind", ["pipe", "dangling"])
def test_what_is_no_file_is_refused(call, tmp_path, kind):
    write(tmp_path, a="1")
    if kind == "pipe":
        os.mkfifo(tmp_path / "b")
    else:
        (tmp_path / "b").symlink_to("nowhere")
    with pytest.raises(SettingsError, match="'b' is"):
        call("upload", "*", "generic/")


def test_a_dry_run_lists_the_files_and_asks_no_one(call, server, tmp_path):
    write(tmp_path, a="1")
    result = call("upload", "*", "generic/", dry_run=True)
    assert [(file.place, file.fate) for file in result.files] == [("generic/a", "planned")]
    assert server.requests == []


@pytest.mark.parametrize("name", ["a;b=c.bin", "a b+c%20.bin", "ä#?.bin", "a&=,.bin"])
def test_any_name_arrives_as_it_is(call, storage, tmp_path, name):
    write(tmp_path, **{name: "1"})
    call("upload", "*", "generic/", props="a=1,2;b=x y\\;z")
    assert list(storage.files) == [f"generic/{name}"]
    assert list(storage.properties.values()) == [";a=1;a=2;b=x%20y%3Bz"]


@pytest.mark.parametrize("props", ["a", "=1", "a="])
def test_a_property_without_a_name_or_value_is_refused(call, tmp_path, props):
    write(tmp_path, a="1")
    with pytest.raises(SettingsError, match="not a property"):
        call("upload", "*", "generic/", props=props)


# ---- by checksum, again, and refused


def test_a_large_file_that_is_there_is_not_sent_again_and_a_small_one_is_sent_at_once(call, storage, server, tmp_path):
    write(tmp_path, large=b"x" * 20_000, small=b"y")
    first = call("upload", "*", "generic/1/")
    assert {file.name: file.fate for file in first.files} == {"large": "sent", "small": "sent"}
    before = server.received
    again = call("upload", "*", "generic/2/")
    assert {file.name: file.fate for file in again.files} == {"large": "exists", "small": "sent"}
    assert server.received - before == 1
    assert storage.files["generic/2/large"] == b"x" * 20_000


def test_an_upload_that_breaks_off_is_sent_again(call, storage, tmp_path):
    write(tmp_path, large=b"x" * 3_000_000)
    breaks = iter([True, True])

    def quirk(request):
        if request.headers.get("X-Checksum-Deploy") or request.method != "PUT":
            return None
        return Reply(reset=True) if next(breaks, False) else None

    storage.quirks.append(quirk)
    result = call("upload", "large", "generic/")
    assert storage.files["generic/large"] == b"x" * 3_000_000
    assert result.retries == 2


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_busy_server_is_asked_again_also_for_a_streamed_file(call, storage, tmp_path, status):
    write(tmp_path, large=b"x" * 30_000, small="y")
    seen: dict[str, int] = {}

    def quirk(request):
        key = f"{request.path} {request.headers.get('X-Checksum-Deploy')}"
        seen[key] = seen.get(key, 0) + 1
        _ = request.body
        return problem(status, "busy") if request.method == "PUT" and seen[key] == 1 else None

    storage.quirks.append(quirk)
    call("upload", "*", "generic/")
    assert sorted(storage.files) == ["generic/large", "generic/small"]


@pytest.mark.parametrize(("status", "code"), [(401, 5), (403, 5), (500, 4)])
@pytest.mark.parametrize("pattern", ["generic/x", "generic/*"])
def test_a_download_that_is_refused_ends_with_the_code_of_its_cause(call, storage, status, code, pattern):
    storage.files["generic/x"] = b"x"
    storage.quirks.append(lambda _: problem(status, f"no {TOKEN}"))
    with pytest.raises(BuildPushError) as caught:
        call("download", pattern)
    assert caught.value.exit_code == code
    assert TOKEN not in f"{caught.value} {caught.value.hint}"


@pytest.mark.parametrize(
    ("status", "error", "code"),
    [(401, AuthenticationError, 5), (403, AuthenticationError, 5), (404, RegistryError, 4), (409, RegistryError, 4)],
)
def test_a_refusal_ends_with_the_code_of_its_cause_and_never_shows_the_token(
    call, storage, tmp_path, status, error, code
):
    write(tmp_path, a="1", b=b"2" * 20_000)
    storage.quirks.append(lambda request: problem(status, f"no {TOKEN}") if request.method == "PUT" else None)
    for name in ("a", "b"):
        with pytest.raises(error) as caught:
            call("upload", name, "generic/")
        assert caught.value.exit_code == code
        assert TOKEN not in f"{caught.value} {caught.value.hint}"
        assert caught.value.hint
        assert "JF_ACCESS_TOKEN" not in caught.value.hint  # a token was given


def test_what_was_uploaded_before_a_refusal_is_said(call, storage, tmp_path):
    write(tmp_path, a="1", b="2", c="3")
    storage.quirks.append(lambda request: problem(403, "no") if request.path.endswith("/c") else None)
    with pytest.raises(AuthenticationError) as caught:
        call("upload", "*", "generic/", threads=1)
    assert [[file.name for file in result.files] for result in caught.value.results] == [["a", "b"]]


def test_other_bytes_on_the_server_are_an_error(call, storage, tmp_path):
    write(tmp_path, a="1")

    def lie(request):
        if request.method != "PUT":
            return None
        storage.files["generic/a"] = b"other"
        return storage.confirm("generic/a")

    storage.quirks.append(lie)
    with pytest.raises(DigestError, match="other bytes"):
        call("upload", "a", "generic/")


def test_a_page_in_place_of_an_answer_confirms_nothing(call, storage, tmp_path):
    write(tmp_path, a="1")
    page = Reply(200, {"Content-Type": "text/html"}, b"<html>Log in</html>")
    storage.quirks.append(lambda request: page if request.method == "PUT" else None)
    with pytest.raises(PushError, match="generic/a"):
        call("upload", "a", "generic/")


def test_a_thousand_files_arrive_in_order_of_their_names(call, storage, tmp_path):
    write(tmp_path, **{f"d/{at:04}": str(at) for at in range(300)})
    result = call("upload", "d/", "generic/")
    assert [file.name for file in result.files] == sorted(file.name for file in result.files)
    assert len(storage.files) == 300
    assert "and 290 more" in str(result)


# ---- downloads


def test_a_download_arrives_whole_and_is_left_alone_the_next_time(call, storage, server, tmp_path):
    storage.files |= {"generic/a/x.zip": b"x" * 5000, "generic/a/b/y.zip": b"y", "generic/z.txt": b"z"}
    result = call("download", "generic/a/*.zip", "out/")
    assert (tmp_path / "out/a/x.zip").read_bytes() == b"x" * 5000
    assert (tmp_path / "out/a/b/y.zip").read_bytes() == b"y"
    assert not (tmp_path / "out/z.txt").exists()
    assert {file.fate for file in result.files} == {"received"}
    again = call("download", "generic/a/*.zip", "out/")
    assert {file.fate for file in again.files} == {"unchanged"}
    assert oct((tmp_path / "out/a/x.zip").stat().st_mode & 0o777) == "0o644"


@pytest.mark.parametrize(
    ("pattern", "target", "more", "place"),
    [
        ("generic/a/x.zip", "", {}, "a/x.zip"),
        ("generic/a/x.zip", "", {"flat": True}, "x.zip"),
        ("generic/a/x.zip", "new.zip", {}, "new.zip"),
        ("generic/a/x.zip", "there", {"flat": True}, "there/x.zip"),  # a directory that exists
        ("generic/(*)/(*).zip", "out/{2}-{1}.zip", {}, "out/x-a.zip"),
        ("generic/", "out/", {}, "out/a/x.zip"),
    ],
)
def test_a_download_goes_where_its_target_says(call, storage, tmp_path, pattern, target, more, place):
    (tmp_path / "there").mkdir()
    storage.files["generic/a/x.zip"] = b"x"
    call("download", pattern, target, **more)
    assert (tmp_path / place).read_bytes() == b"x"


def test_a_download_that_breaks_off_continues_where_it_stopped(call, storage, server, tmp_path):
    data = os.urandom(3_000_000)
    storage.files["generic/x"] = data
    broken = iter([True])

    def quirk(request):
        if request.path != "/artifactory/generic/x" or not next(broken, False):
            return None
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(data)}\r\n\r\n".encode()
        return Reply(raw=head + data[:2_000_000], close=True)

    storage.quirks.append(quirk)
    call("download", "generic/x")
    assert (tmp_path / "x").read_bytes() == data
    ranges = [request.headers.get("Range") for request in server.asked("GET", "/generic/x")]
    assert [one for one in ranges if one] == ["bytes=2000000-"]


def test_a_server_that_ignores_ranges_sends_the_file_again(call, storage, tmp_path):
    data = os.urandom(3_000_000)
    storage.files["generic/x"] = data
    broken = iter([True])

    def quirk(request):
        if request.path != "/artifactory/generic/x":
            return None
        if next(broken, False):
            head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(data)}\r\n\r\n".encode()
            return Reply(raw=head + data[:1_000_000], close=True)
        return Reply(200, {}, data)

    storage.quirks.append(quirk)
    call("download", "generic/x")
    assert (tmp_path / "x").read_bytes() == data


def test_other_bytes_than_the_checksum_says_leave_the_old_file(call, storage, tmp_path):
    storage.files["generic/x"] = b"right"
    write(tmp_path, x="old")
    wrong = {"X-Checksum-Sha256": checksums(b"right")["sha256"]}
    storage.quirks.append(
        lambda request: Reply(200, wrong, b"wrong") if request.path == "/artifactory/generic/x" else None
    )
    with pytest.raises(DigestError):
        call("download", "generic/x")
    assert (tmp_path / "x").read_text() == "old"
    assert list(tmp_path.iterdir()) == [tmp_path / "x"]


@pytest.mark.parametrize("name", ["../../evil", "a/../../evil", "/etc/evil", "a\\..\\evil", "a/./b", "a\nb"])
def test_no_name_of_a_server_leads_out_of_the_target(call, storage, tmp_path, name):
    storage.files |= {f"generic/d/{name}": b"x"}
    (tmp_path / "in").mkdir()
    with suppress(BuildPushError):
        call("download", "generic/d/*", "in/deep/")
    outside = [path for path in tmp_path.rglob("*") if path.is_file() and not path.is_relative_to(tmp_path / "in/deep")]
    assert outside == []


def test_a_link_in_the_target_does_not_lead_out_of_it(call, storage, tmp_path):
    storage.files["generic/d/x"] = b"x"
    (tmp_path / "in").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "in/d").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SettingsError, match="outside"):
        call("download", "generic/d/x", "in/")
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.parametrize(
    ("pattern", "target", "says"),
    [
        ("generic/*.none", "", "has no file that matches"),
        ("generic/none", "", "has no file that matches"),
        ("generic/a/*", "one", "would both become one"),
        ("generic", "", "does not name a repository"),
        ("*/x", "", "does not name a repository"),
    ],
)
def test_a_download_that_cannot_be_meant_is_refused(call, storage, tmp_path, pattern, target, says):
    storage.files |= {"generic/a/x": b"x", "generic/a/y": b"y"}
    with pytest.raises((SettingsError, PushError), match=says):
        call("download", pattern, target)
    assert list(tmp_path.iterdir()) == []


def test_names_that_differ_by_case_are_refused_where_they_are_one(call, storage, tmp_path, monkeypatch):
    storage.files |= {"generic/a/Read": b"x", "generic/a/read": b"y", "generic/a/other": b"z"}
    asked = []
    monkeypatch.setattr(downloads, "is_one_name", lambda *words: asked.append(words) is None)
    with pytest.raises(SettingsError, match="generic/a/Read and generic/a/read would both become a/read"):
        call("download", "generic/a/*", "in/")
    assert asked == [(tmp_path / "in", "a/Read", "a/read")]
    assert not (tmp_path / "in").exists()


def test_names_that_differ_by_case_are_what_the_file_system_says(call, storage, tmp_path):
    storage.files |= {"generic/a/Read": b"x", "generic/a/read": b"y"}
    (tmp_path / "Probe").touch()
    if (tmp_path / "probe").exists():
        with pytest.raises(SettingsError, match="would both become"):
            call("download", "generic/a/*", "in/")
    else:
        call("download", "generic/a/*", "in/")
        assert [(tmp_path / "in/a" / name).read_bytes() for name in ("Read", "read")] == [b"x", b"y"]
        assert sorted(one.name for one in (tmp_path / "in").iterdir()) == ["a"]


def test_the_file_system_says_whether_two_names_are_one_and_nothing_stays_there(tmp_path):
    missing = tmp_path / "not" / "there"
    (tmp_path / "Probe").touch()
    same = (tmp_path / "probe").exists()
    assert is_one_name(missing, "a/Read", "A/read") == same
    assert is_one_name(missing, "a/read", "a/read")
    assert not is_one_name(missing, "a/read", "a/write")
    assert not is_one_name(missing, "a" * 300, "A" * 300)  # no file can have such a name
    assert [one.name for one in tmp_path.iterdir()] == ["Probe"]


def test_names_that_differ_by_case_are_two_in_artifactory(call, storage, tmp_path):
    write(tmp_path, **{"x/Read": "1", "x/read": "2", "y/read": "3"})
    call("upload", "x/*", "generic/t/", flat=True)
    assert set(storage.files) == {"generic/t/Read", "generic/t/read"}
    with pytest.raises(SettingsError, match="x/read and y/read would both become generic/t/read"):
        call("upload", "*/?ead", "generic/t/", flat=True)


def test_a_redirect_to_other_storage_gets_no_credentials(call, storage, server, serve, tmp_path):
    storage.files["generic/x"] = b"x"
    other = serve(lambda request, _: Reply(200, {}, b"x"), address="127.0.0.2")

    def quirk(request):
        is_file = request.path.endswith("generic/x") and "storage" not in request.path
        return Reply(302, {"Location": f"{other.url}/x"}) if is_file else None

    storage.quirks.append(quirk)
    key = "AKCp8" + "k" * 68
    for login in ({"JF_ACCESS_TOKEN": TOKEN}, {"JF_ACCESS_TOKEN": key}):
        (tmp_path / "x").unlink(missing_ok=True)
        call("download", "generic/x", env={"JF_URL": server.url, **login})
        assert (tmp_path / "x").read_bytes() == b"x"
    secrets = ("Authorization", "X-JFrog-Art-Api")
    assert not any(request.headers.get(name) for request in other.requests for name in secrets)
