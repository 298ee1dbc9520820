"""The scripts in the pod of a build that receive its context and wait for it, as shells run them."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from io import BytesIO
from itertools import count

import pytest

from buildpush.cluster import manifest
from buildpush.images.compression import Compressor
from buildpush.images.tar import Entry, write

pytestmark = pytest.mark.programs


@pytest.fixture(params=["GNU", "busybox"])
def receive(request, tmp_path):
    """Return the function that gives bytes to the receiver, and returns status, output and what is in its place."""
    places = count()
    path = "/usr/bin:/bin"
    if request.param == "busybox":
        program, directory = shutil.which("busybox") or pytest.skip("no busybox"), tmp_path / "bin"
        directory.mkdir()
        for name in ("sh", "gzip", "tar", "mv", "rm"):
            (directory / name).symlink_to(program)
        path = str(directory)

    def act(content: bytes, *, compressed: bool = True, work=None):
        if work is None:
            work = tmp_path / f"wo rk {next(places)}"
            work.mkdir()
        script = manifest.receiving(shlex.quote(str(work)), compressed=compressed)
        ran = subprocess.run(
            [shutil.which("sh", path=path), "-c", script],
            input=content,
            env={"PATH": path},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            check=False,
        )
        return ran.returncode, ran.stdout.decode(), tree(work)

    return act


def tree(directory):
    """Return the files below *directory* with their text; of the one that has a process, its name only."""
    files = [path for path in directory.rglob("*") if path.is_file()]
    named = {str(path.relative_to(directory)): path for path in files}
    return {name: "" if name == ".received" else path.read_bytes() for name, path in named.items()}


def packed(text: bytes) -> bytes:
    return b"".join(Compressor(BytesIO(text), "gzip"))


TEXT = b"FROM scratch\n" * 9
ENTRIES = [Entry("context", "directory"), Entry("context/a", "file", 0o644, size=len(TEXT), content=TEXT)]
PACKED = packed(b"".join(write(ENTRIES)))
PLAIN = b"".join(write([*ENTRIES, Entry(manifest.WHOLE, "file", 0o644)]))
END_OF_LAST = 4 * 512  # three heads and a text
ARRIVED = (0, "received\n", {".received": "", "context/a": TEXT})
# All of the head and of the checksum and length at the end, and places between.
PLACES = [*range(12), *range(12, len(PACKED) - 12, 9), *range(len(PACKED) - 12, len(PACKED))]


def test_a_context_that_arrives_whole_is_unpacked(receive):
    assert receive(PACKED) == ARRIVED
    assert receive(PLAIN, compressed=False) == ARRIVED


def test_a_tar_that_ends_anywhere_before_its_last_entry_is_broken(receive):
    """It ends like a whole one where the next entry would begin."""
    places = sorted({*range(0, END_OF_LAST, 97), *range(0, END_OF_LAST, 512), END_OF_LAST - 1})
    ends = [receive(PLAIN[:place], compressed=False)[:2] for place in places]
    assert ends == [(75, "broken\n")] * len(places)


def test_what_an_attempt_before_has_left_does_not_make_a_broken_stream_whole(receive, tmp_path):
    work = tmp_path / "twice"
    work.mkdir()
    assert receive(packed(b"not a tar" * 99), work=work)[:2] == (75, "broken\n")
    (work / manifest.WHOLE).touch()
    assert receive(PACKED[:-8], work=work)[:2] == (75, "broken\n")
    (work / manifest.WHOLE).touch()
    assert receive(PLAIN[: END_OF_LAST - 512], work=work, compressed=False)[:2] == (75, "broken\n")


def test_a_stream_that_ends_anywhere_too_early_is_broken(receive):
    """It ends like a whole one, as if the context ended there."""
    ends = [receive(PACKED[:place])[:2] for place in PLACES]
    assert ends == [(75, "broken\n")] * len(PLACES)


def test_a_byte_that_is_another_one_is_broken_or_changes_nothing(receive):
    """What changes nothing is the time, the system and such in the head of the gzip, and its padding."""
    whole = []
    for place in PLACES:
        changed = bytearray(PACKED)
        changed[place] ^= 1 << place % 8
        status, said, found = receive(bytes(changed))
        if status:
            assert (status, said) == (75, "broken\n")
        else:
            assert found == ARRIVED[2]
            whole.append(place)
    assert len(whole) < len(PLACES) / 4
    assert max(whole) < len(PACKED) - 8


def test_a_context_that_cannot_be_unpacked_is_broken(receive):
    assert receive(packed(b"not a tar" * 99))[:2] == (75, "broken\n")


def test_nobody_else_may_rename_what_is_in_the_volume_where_its_owner_receives_the_context(tmp_path):
    tmp_path.chmod(0o777)
    (tmp_path / ".received").write_text("no number", encoding="ascii")
    subprocess.run(["/bin/sh", "-c", manifest.waiting(shlex.quote(str(tmp_path)))], check=True, timeout=20)
    assert tmp_path.stat().st_mode & 0o7777 == 0o1777


def test_the_receiver_waits_for_the_context_and_for_who_received_it(tmp_path):
    waiting = subprocess.Popen(["/bin/sh", "-c", manifest.waiting(shlex.quote(str(tmp_path)))])
    other = subprocess.Popen(["sleep", "1"])
    try:
        with pytest.raises(subprocess.TimeoutExpired):
            waiting.wait(0.5)
        (tmp_path / ".received").write_text(str(other.pid), encoding="ascii")
        other.wait()
        assert waiting.wait(20) == 0
    finally:
        waiting.kill()
        other.kill()
