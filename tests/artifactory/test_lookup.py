"""Files that are not where they were pushed to, found by what they are."""

from __future__ import annotations

import json
from fnmatch import fnmatchcase
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildpush.artifactory.answers import FileFacts, RepositoryFacts, StoredFile
from buildpush.artifactory.aql import LONGEST, file_queries, inside
from buildpush.artifactory.directories import Presence, groups_of
from buildpush.artifactory.document import Artifact
from buildpush.artifactory.lookup import find_files
from buildpush.foundation.errors import BuildInfoError

MANIFEST, BLOB, OTHER = "a" * 64, "b" * 64, "c" * 64


def row(place: str, sha256: str) -> StoredFile:
    repository, _, path = place.partition("/")
    return StoredFile(repository, path, FileFacts(f"sha1 of {sha256[0]}", f"md5 of {sha256[0]}", sha256))


def image_at(place: str, manifest: str = "manifest.json", head: str = MANIFEST) -> list[StoredFile]:
    return [row(f"{place}/{manifest}", head), row(f"{place}/sha256__{BLOB}", BLOB)]


class Shelf:
    """A client of a server that has these files, and takes its criteria at their word."""

    def __init__(self, *files: StoredFile, virtual: dict[str, tuple[str, ...]] | None = None) -> None:
        self.files, self.virtual = files, virtual or {}
        self.requests: list[str] = []

    def search(self, alternatives):
        criteria = list(alternatives)
        self.requests += ["search"] * bool(criteria)
        return tuple(one for one in self.files if any(self._has(one, each) for each in criteria))

    def _has(self, file, criteria) -> bool:
        directory, _, name = file.path.rpartition("/")
        values = {"path": directory, "name": name, "sha256": file.facts.sha256}
        return all(
            file.repository in self.virtual.get(wanted, (wanted,))
            if key == "repo"
            else fnmatchcase(values[key], wanted["$match"])
            if isinstance(wanted, dict)
            else values[key] == wanted
            for key, wanted in criteria.items()
        )

    def file(self, key, path):
        self.requests.append("file")
        keys = self.virtual.get(key, (key,))
        return next((one.facts for one in self.files if one.repository in keys and one.path == path), None)

    def repository(self, key):
        members = self.virtual.get(key, ())
        kind, deploys_to = ("virtual", members[-1]) if members else ("local", "")
        return RepositoryFacts(key, kind, "docker", deploys_to, members)


def pushed(place: str, manifest: str = "manifest.json"):
    """Return the files of an image whose build-info names *place*; its blob has no sha1 and md5 yet."""
    key, _, path = place.partition("/")
    head = Artifact(manifest, f"{path}/{manifest}", key, MANIFEST)
    others = [Artifact(f"sha256__{BLOB}", f"{path}/sha256__{BLOB}", key, BLOB)] if manifest == "manifest.json" else []
    [directory] = groups_of([head, *others])
    return directory


def test_an_image_that_is_where_it_was_pushed_to_takes_one_search():
    shelf = Shelf(*image_at("dev/app/1"), *image_at("prod/app/1"))
    [finding] = find_files([pushed("dev/app/1")], shelf)
    assert (finding.presence, finding.stays, finding.whole) == (Presence.OURS, True, True)
    assert [one.md5 for one in finding.actual.files] == ["md5 of a", "md5 of b"]
    assert shelf.requests == ["search"]


@pytest.mark.parametrize(
    ("named", "stored"),
    [
        (f"dev/app/sha256:{MANIFEST}", ["dev/app/1"]),  # by digest, pushed by tag
        (f"dev/app/sha256:{MANIFEST}", [f"dev/app/sha256__{MANIFEST}", "dev/app/1"]),
        ("dev/app/1", [f"dev/app/sha256:{MANIFEST}", "dev/app/0"]),  # kept under its digest, before other tags
        ("dev/app/1", ["prod/app/1", "dev-two/app/0"]),  # promoted, by the same name before another
        ("dev/app/1", ["dev/app/2", "prod/app/1"]),  # in the same repository before another
        ("dev/app/1", ["dev/team/app/1"]),  # a proxy leaves the beginning of the path out
        ("dev/docker/app/1", ["dev/app/1"]),  # or puts one before it
        ("hub/alpine/3", ["hub-cache/library/alpine/3"]),  # a remote repository keeps files in its cache
        ("hub/team/app/3", ["hub-cache/team/app/3"]),
    ],
)
def test_an_image_that_is_elsewhere_is_found_by_the_digest_of_its_manifest(named, stored):
    shelf = Shelf(*[file for place in reversed(stored) for file in image_at(place)])
    [finding] = find_files([pushed(named)], shelf)
    assert finding.presence is Presence.NOTHING
    assert finding.actual.place == f"{stored[0]}/manifest.json"
    assert [one.md5 for one in finding.actual.files] == ["md5 of a", "md5 of b"]


def test_a_copy_under_another_image_is_somebody_elses():
    [finding] = find_files([pushed("dev/app/1")], Shelf(*image_at("dev/other/1"), *image_at("dev/my-app/1")))
    assert (finding.presence, finding.actual) == (Presence.NOTHING, None)


def test_a_manifest_that_waits_among_the_uploads_is_no_image():
    [finding] = find_files([pushed("dev/app/1")], Shelf(row(f"dev/app/_uploads/sha256__{MANIFEST}", MANIFEST)))
    assert finding.actual is None


@pytest.mark.parametrize(
    ("stored", "home"),
    [
        ([("old", OTHER), ("new", MANIFEST)], "new"),
        ([("old", MANIFEST), ("new", OTHER)], "old"),  # an image earlier in the order does not hide ours
        ([("old", MANIFEST), ("new", MANIFEST)], "new"),  # where what is pushed is stored, if both are ours
    ],
)
def test_of_the_members_of_a_virtual_repository_the_one_that_has_ours_is_named(stored, home):
    shelf = Shelf(*[file for key, head in stored for file in image_at(f"{key}/app/1", head=head)])
    shelf.virtual = {"all": ("old", "new")}
    [finding] = find_files([pushed("all/app/1")], shelf)
    assert finding.presence is Presence.OURS
    assert {one.repository for one in finding.actual.files} == {home}


def test_platforms_of_an_index_that_have_tags_of_their_own_are_found_there():
    index = pushed("dev/app/1", "list.manifest.json")
    platform = pushed(f"dev/app/sha256:{MANIFEST}")
    stored = [*image_at("dev/app/1", "list.manifest.json")[:1], *image_at("dev/app/1-amd64")]
    findings = find_files([index, platform], Shelf(*stored))
    assert [one.actual.place for one in findings] == [
        "dev/app/1/list.manifest.json",
        "dev/app/1-amd64/manifest.json",
    ]


def test_a_tag_that_is_another_image_now_is_not_ours():
    [finding] = find_files([pushed("dev/app/1")], Shelf(*image_at("dev/app/1", head=OTHER)))
    assert (finding.presence, finding.actual) == (Presence.THEIRS, None)


def test_a_file_that_is_not_beside_its_manifest_is_absent():
    [finding] = find_files([pushed("dev/app/1")], Shelf(row("dev/app/1/manifest.json", MANIFEST)))
    assert [one.sha256 for one in finding.absent] == [BLOB]


def test_a_blob_that_a_cache_has_only_a_marker_for_is_not_absent():
    stored = [row("hub-cache/app/1/manifest.json", MANIFEST), row(f"hub-cache/app/1/sha256__{BLOB}.marker", OTHER)]
    [finding] = find_files([pushed("hub-cache/app/1")], Shelf(*stored))
    assert (finding.absent, finding.whole) == ((), False)


@pytest.mark.parametrize("more", ["dev/app/1/leftover", "dev/app/1/sub/2/manifest.json"])
def test_a_directory_that_has_more_than_our_files_is_not_marked_as_a_whole(more):
    [finding] = find_files([pushed("dev/app/1")], Shelf(*image_at("dev/app/1"), row(more, OTHER)))
    assert finding.stays
    assert not finding.whole


def test_files_of_no_image_are_looked_up_each_by_its_path():
    files = [Artifact(name, f"x/{name}", "generic", digest) for name, digest in (("a.zip", MANIFEST), ("b.zip", BLOB))]
    shelf = Shelf(row("generic/x/a.zip", MANIFEST), row("generic/x/b.zip", OTHER), row("generic/x/c.zip", BLOB))
    findings = find_files(groups_of(files), shelf)
    assert [one.presence for one in findings] == [Presence.OURS, Presence.THEIRS]
    assert [one.whole for one in findings] == [False, False]


# ---- the text of the queries


def criteria_of(query: str) -> list:
    text, _, fields = query.partition(").include(")
    assert fields == '"repo", "path", "name", "actual_sha1", "actual_md5", "sha256")'
    document = json.loads(text.removeprefix("items.find("))
    assert document["type"] == "file"
    return [criteria for each in document["$or"] for criteria in each["$and"]]


@given(st.lists(st.tuples(st.text(min_size=1, max_size=300), st.text(max_size=900)), max_size=30))
def test_whatever_a_path_contains_stays_inside_its_quotes_and_no_query_is_too_long(places):
    wanted = [criteria for place in places for criteria in inside(*place)]
    queries = list(file_queries(wanted))
    assert [one for query in queries for one in criteria_of(query)] == wanted
    assert all(len(query) <= LONGEST or len(criteria_of(query)) == 1 for query in queries)
    for first, second in pairwise(queries):  # as few as possible
        assert len(first) + len(json.dumps(criteria_of(second)[0], ensure_ascii=False)) > LONGEST - 30


def test_an_index_of_eight_platforms_with_attestations_is_one_query():
    digests = (f"{number:064x}" for number in range(17))
    places = [criteria for digest in digests for criteria in inside("docker-local", f"team/app/sha256:{digest}")]
    assert len(list(file_queries(places))) == 1


@pytest.mark.sandbox
@pytest.mark.parametrize(
    ("directory", "name"), [("a/../../x", "f"), ("a", ".."), ("a", "../f"), ("./a", "f"), (".", ".")]
)
def test_a_row_that_leads_out_of_its_repository_is_no_answer(desk, directory, name):
    """Requests name what a row names, and a client in between may take ``..`` out of their addresses."""
    row = {"repo": "docker-local", "path": directory, "name": name, "sha256": "a" * 64}
    desk.box.add_fault("POST", "api/search/aql", status=200, body=json.dumps({"results": [row]}).encode())
    listed = {"files": [{"uri": f"/{directory}/{name}", "sha1": "a" * 40}]}
    desk.box.add_fault("GET", "api/storage", status=200, body=json.dumps(listed).encode())
    with pytest.raises(BuildInfoError, match="should be a path inside the repository"):
        desk.client().search(inside("docker-local", "a"))
    with pytest.raises(BuildInfoError, match="should be a path inside the repository"):
        desk.client().files_below("docker-local", "")
