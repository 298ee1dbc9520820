"""One blob and what a registry's answer tells of it."""

from __future__ import annotations

from contextlib import contextmanager

import pytest

from buildpush.foundation.errors import AuthenticationError, ElsewhereError, RegistryError
from buildpush.http.client import Answer
from buildpush.images.references import Digest, Repository
from buildpush.registry.blobs import Bytes, MountResult, StoredBlob, find, mount

DIGEST = Digest(f"sha256:{'a' * 64}")
OTHER = f"sha256:{'b' * 64}"
HERE, THERE = Repository("r.example", "team/app"), Repository("r.example", "team/base")


class Told:
    """A registry that gives one answer, or fails, and keeps what it was asked and what is to be remembered."""

    def __init__(self, answer, headers=None, hidden=False) -> None:
        self.answer = Answer(answer, headers or {}, b"", "u") if isinstance(answer, int) else answer
        self.hidden, self.asked, self.kept = hidden, [], []

    def is_hidden(self, repository):
        return self.hidden

    def request(self, repository, method, path, **more):
        self.asked.append((repository, method, path, more))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def hide(self, repository, why):
        self.kept.append(("hidden", repository, why))

    def note_once(self, key, text):
        self.kept.append(("noted", key, text))

    def learn_part_size(self, answer, host):
        self.kept.append(("heeded", answer, host))

    def resolve_location(self, repository, answer, location):
        return f"{repository.host}: {location}"


@pytest.mark.parametrize(
    ("headers", "size", "found"),
    [
        ({}, None, StoredBlob(DIGEST, None)),
        ({}, 5, StoredBlob(DIGEST, None)),
        ({"Content-Length": "5"}, None, StoredBlob(DIGEST, 5)),
        ({"Content-Length": "5"}, 5, StoredBlob(DIGEST, 5)),
        ({"Content-Length": "4"}, 5, None),
        ({"Content-Length": "5 bytes"}, 4, StoredBlob(DIGEST, None)),
        ({"Docker-Content-Digest": str(DIGEST)}, None, StoredBlob(DIGEST, None)),
        ({"Docker-Content-Digest": OTHER}, None, None),
        ({"Docker-Content-Digest": f"sha512:{'b' * 128}"}, None, StoredBlob(DIGEST, None)),
        ({"X-Checksum-Sha1": "1", "X-Checksum-Md5": "2"}, None, StoredBlob(DIGEST, None, "1", "2")),
    ],
)
def test_a_blob_is_there_where_nothing_that_is_said_speaks_against_it(headers, size, found):
    registry = Told(200, headers)
    assert find(registry, HERE, DIGEST, size) == found
    assert registry.asked == [(HERE, "HEAD", f"blobs/{DIGEST}", {})]
    assert registry.kept == []


@pytest.mark.parametrize(
    ("status", "kept"),
    [
        (404, []),
        (403, [("noted", HERE, f"{HERE} does not say whether it has {DIGEST}: status 403")]),
        (204, [("noted", HERE, f"{HERE} does not say whether it has {DIGEST}: status 204")]),
        (499, [("noted", HERE, f"{HERE} does not say whether it has {DIGEST}: status 499")]),
        (500, [("hidden", HERE, "status 500")]),
        (503, [("hidden", HERE, "status 503")]),
    ],
)
def test_what_an_answer_does_not_tell_is_remembered(status, kept):
    registry = Told(status, {"Content-Length": "5"})
    assert find(registry, HERE, DIGEST, 5) is None
    assert registry.kept == kept


@pytest.mark.parametrize("error", [AuthenticationError("who are you"), ElsewhereError("the store is silent")])
def test_a_repository_that_lets_nobody_look_is_asked_once(error):
    registry = Told(error)
    assert find(registry, HERE, DIGEST) is None
    assert registry.kept == [("hidden", HERE, str(error))]
    hidden = Told(200, hidden=True)
    assert find(hidden, HERE, DIGEST) is None
    assert hidden.asked == []


@pytest.mark.parametrize(("status", "there"), [(200, True), (404, False)])
def test_where_only_the_bytes_can_be_asked_for_they_are(status, there):
    registry, opened = Told(405), []

    @contextmanager
    def give(repository, path):
        opened.append((repository, path))
        yield Answer(status, {"Content-Length": "5"}, b"", "u")

    registry.open = give
    assert find(registry, HERE, DIGEST, 5) == (StoredBlob(DIGEST, 5) if there else None)
    assert opened == [(HERE, f"blobs/{DIGEST}")]


def test_a_mount_names_the_blob_and_where_it_is_and_asks_for_the_right_to_read_there():
    registry = Told(201)
    assert mount(registry, HERE, DIGEST, THERE) == MountResult(done=True)
    query = f"mount=sha256%3A{'a' * 64}&from=team%2Fbase"
    more = {"also": "repository:team/base:pull", "body": b"", "repeatable": True}
    assert registry.asked == [(HERE, "POST", f"blobs/uploads/?{query}", more)]


def test_an_upload_that_was_begun_instead_of_a_mount_is_gone_on_with():
    registry = Told(202, {"Location": "/up/1"})
    assert mount(registry, HERE, DIGEST, THERE) == MountResult(done=False, location="r.example: /up/1")
    assert registry.kept == [("heeded", registry.answer, "r.example")]


@pytest.mark.parametrize("status", [200, 202, 204, 400, 403, 404, 405])
def test_any_other_answer_to_a_mount_is_no_mount(status):
    headers = {} if status == 202 else {"Location": "/up/1"}
    assert mount(Told(status, headers), HERE, DIGEST, THERE) == MountResult(done=False)


@pytest.mark.parametrize("error", [AuthenticationError("no"), RegistryError("no", status=400), ElsewhereError("no")])
def test_a_mount_that_fails_is_none(error):
    assert mount(Told(error), HERE, DIGEST, THERE) == MountResult(done=False)


@pytest.mark.parametrize(("checksums", "algorithm"), [(False, "sha256"), (True, "sha256"), (False, "sha512")])
def test_bytes_in_memory_know_what_they_are(checksums, algorithm):
    small = Bytes(b"abc", checksums=checksums, algorithm=algorithm)
    assert (b"".join(small), small.length, small.result) == (b"abc", 3, small.known)
    known = small.known
    assert (known.digest, known.diff_id, known.size) == (known.diff_id, known.digest, 3)
    assert str(known.digest).startswith(f"{algorithm}:{'ba7816bf' if algorithm == 'sha256' else 'ddaf35a1'}")
    sums = ("a9993e364706816aba3e25717850c26c9cd0d89d", "900150983cd24fb0d6963f7d28e17f72")
    assert (known.sha1, known.md5) == (sums if checksums else (None, None))
