"""The window over a blob's bytes: what is in it, and that moving it anywhere loses nothing."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildpush.registry.parts import Parts


class Blocks:
    """A source of the given blocks that counts how often it was begun."""

    length = None

    def __init__(self, blocks: list[bytes]):
        self.blocks = blocks
        self.begun = 0
        self.result = None

    def __iter__(self):
        self.begun += 1
        self.result = None
        yield from self.blocks
        self.result = "done"


def joined(pieces) -> bytes:
    return b"".join(bytes(piece) for piece in pieces)


@given(
    st.lists(st.binary(max_size=9), max_size=9),
    st.lists(st.tuples(st.integers(0, 60), st.integers(1, 30)), max_size=12),
)
def test_wherever_the_window_moves_it_shows_the_bytes_of_that_place(blocks, moves):
    whole = b"".join(blocks)
    parts = Parts(Blocks(blocks))
    for position, wanted in moves:
        parts.move_to(position)
        parts.fill(wanted)

        assert parts.start == min(position, len(whole))
        assert joined(parts.first(wanted)) == whole[parts.start : parts.start + wanted]
        assert parts.end <= len(whole)


def test_only_a_move_back_begins_the_source_anew():
    source = Blocks([b"abc"] * 4)
    parts = Parts(source)
    parts.fill(6)
    parts.move_to(4)
    assert (source.begun, parts.start, parts.size) == (1, 4, 2)
    parts.move_to(3)
    assert (source.begun, parts.start) == (2, 3)


def test_a_source_that_tells_its_length_is_read_while_its_part_travels():
    source = Blocks([b"abc"] * 4)
    source.length = 12
    parts = Parts(source)
    assert (parts.next_part(7), parts.size) == (7, 0)

    part = parts.first(7)
    assert (bytes(next(part)), parts.size) == (b"abc", 3)
    assert (joined(part), parts.size) == (b"abca", 9)

    parts.move_to(7)
    assert (parts.next_part(7), joined(parts.first(5))) == (5, b"bcabc")
    parts.move_to(12)
    assert (parts.next_part(7), parts.ended) == (0, True)


def test_a_source_that_is_longer_than_it_told_is_read_to_its_end():
    source = Blocks([b"abc"] * 2)
    source.length = 3
    parts = Parts(source)
    parts.move_to(3)
    assert (parts.next_part(7), joined(parts.first(3)), parts.ended) == (3, b"abc", True)


@pytest.mark.parametrize("length", [None, 6])
def test_whether_a_blob_is_one_part_is_known_before_it_is_sent(length):
    source = Blocks([b"abc"] * 2)
    source.length = length
    assert Parts(source).is_within(6)
    assert not Parts(source).is_within(5)


def test_the_end_is_known_once_the_source_gave_everything():
    parts = Parts(Blocks([b"abc", b"", b"d"]))
    parts.fill(4)
    assert (parts.ended, parts.result) == (False, None)
    parts.fill(5)
    assert (parts.ended, parts.result, parts.size) == (True, "done", 4)


def test_an_empty_blob_has_no_part():
    parts = Parts(Blocks([]))
    assert (parts.fill(1), parts.ended, list(parts.first(1))) == (0, True, [])


@pytest.mark.parametrize("blocks", [[b"a" * 3_000_000], [b"a" * 1000] * 3000])
def test_a_blobs_mark_does_not_depend_on_how_it_is_cut(blocks):
    parts, other = Parts(Blocks(blocks)), Parts(Blocks([b"a" * 1_500_000] * 2))
    parts.fill(2_000_000)
    other.fill(1_200_000)

    assert parts.fingerprint() == other.fingerprint()


def test_the_rest_goes_on_where_the_window_is():
    parts = Parts(Blocks([b"abc", b"def", b"gh"]))
    parts.fill(4)
    parts.move_to(2)

    assert joined(parts.rest()) == b"cdefgh"


class Counted:
    """A source of single bytes that knows what was taken of it, and whether it was let go."""

    result = None

    def __init__(self, data: bytes, length: int | None = None):
        self.data, self.length = data, length
        self.opened = self.taken = self.closed = 0

    def __iter__(self):
        self.opened += 1
        try:
            for at in range(len(self.data)):
                self.taken += 1
                yield self.data[at : at + 1]
        finally:
            self.closed += 1


@pytest.mark.parametrize(("length", "taken"), [(None, 6), (9, 0)])
def test_no_more_is_read_than_tells_whether_a_blob_is_one_part(length, taken):
    source = Counted(b"123456789", length)
    parts = Parts(source)

    assert (parts.is_within(5), source.taken, parts.size) == (False, taken, taken)


def test_no_more_is_read_than_is_given():
    source = Counted(b"123456789")
    parts = Parts(source)
    assert (joined(parts.first(3)), source.taken) == (b"123", 3)

    parts.move_to(0)
    parts.move_to(3)
    parts.move_to(5)
    assert (parts.start, parts.size, source.taken, source.opened) == (5, 0, 5, 1)
    assert (bytes(next(parts.rest())), source.taken) == (b"6", 6)


def test_marks_tell_lengths_apart_where_they_are_known():
    marks = [Parts(Counted(b"1234", length)).fingerprint() for length in (None, 4, 5)]
    digest = hashlib.sha256(b"1234").hexdigest()

    assert marks == [f"{digest} ", f"{digest} 4", f"{digest} 5"]


def test_a_source_is_let_go_of():
    source = Counted(b"1234")
    parts = Parts(source)
    parts.fill(2)
    parts.close()
    assert (source.closed, parts.size, list(parts._window)) == (1, 0, [])

    Parts(Blocks([b"a"])).close()
