"""A disk that is full: 507, nothing half written, and room again at once or at the next start."""

import os
import subprocess
import time

import pytest

from buildpush.foundation.errors import SettingsError
from buildpush.sandbox import Sandbox

pytestmark = pytest.mark.engines

APP = "docker-local/app"
MEGABYTES = 16
MEGABYTE = 1024 * 1024
TWO_DAYS = 2 * 24 * 3600


@pytest.fixture
def disk(tmp_path):
    """Yield a directory on a small disk of its own."""
    directory = tmp_path / "disk"
    directory.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={MEGABYTES}m,mode=700", "tmpfs", str(directory)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("needs root, to mount a disk")
    yield directory
    subprocess.run(["umount", str(directory)], check=True)


def fill(directory, rest=0):
    """Leave *rest* bytes, and return what takes the room."""
    facts = os.statvfs(directory)
    filling = directory / "filling"
    with filling.open("ab") as file:
        file.write(bytes(max(facts.f_bavail * facts.f_frsize - rest, 0)))
    return filling


def push_until_full(client):
    """Push blobs until one is refused; return the digests of those that were not, and the refusal."""
    digests = []
    while True:
        data = os.urandom(2 * MEGABYTE)
        digest = client.digest_of(data)
        answer = client.send("POST", f"/v2/{APP}/blobs/uploads/?digest={digest}", body=data)
        if answer.status != 201:
            return digests, answer
        digests.append(digest)


def test_a_blob_without_room_is_refused_and_leaves_room_for_others(disk, connect):
    with Sandbox(disk) as box:
        digests, refusal = push_until_full(connect(box))
        assert refusal.status == 507
        assert len(digests) > 3
        assert list((disk / "incoming").iterdir()) == []
        connect(box).push(APP, "1", b"small")
        assert not box.failures
    with Sandbox(disk) as box:
        assert all(connect(box).digest_of(box.blob(digest)) == digest for digest in digests)


def test_a_manifest_without_room_is_refused_and_its_tag_stays(disk, connect):
    with Sandbox(disk) as box:
        client = connect(box)
        before = client.push(APP, "1", b"small")
        manifest = client.make_manifest(APP, b"other")
        filling = fill(disk)
        assert client.put_manifest(APP, "1", manifest).status == 507
        assert box.digest(APP, "1") == before
        filling.unlink()
        assert client.put_manifest(APP, "1", manifest).status == 201
        assert not box.failures


def test_a_blob_that_cannot_be_written_down_takes_no_room(disk, connect):
    with Sandbox(disk) as box:
        client = connect(box)
        data = os.urandom(MEGABYTE)
        location = client.send("POST", f"/v2/{APP}/blobs/uploads/").headers["Location"]
        assert client.send("PATCH", location, body=data).status == 202
        fill(disk)
        assert client.send("PUT", f"{location}?digest={client.digest_of(data)}").status == 507
        assert [path for path in (disk / "content").rglob("*") if path.is_file()] == []
        assert not box.failures


def test_a_start_on_a_full_disk_frees_what_was_abandoned(disk, connect):
    with Sandbox(disk) as box:
        client = connect(box)
        location = client.send("POST", f"/v2/{APP}/blobs/uploads/").headers["Location"]
        client.send("PATCH", location, body=os.urandom(MEGABYTE))
    filling = fill(disk)
    with pytest.raises(SettingsError, match=r"disk is full|No space left"), Sandbox(disk):
        pass
    with Sandbox(disk, clock=lambda: time.time() + TWO_DAYS) as box:
        assert list((disk / "incoming").iterdir()) == []
        connect(box).push(APP, "1", b"small")
    assert filling.exists()
