"""The Artifactory Query Language: which rows, in which order, with which fields."""

import hashlib
import json
from datetime import UTC, datetime

import pytest

from buildpush.sandbox import aql
from buildpush.sandbox.answers import RequestRefusedError
from buildpush.sandbox.content import Checksums
from buildpush.sandbox.entries import BuildEntry, RepositoryEntry
from buildpush.sandbox.permissions import RIGHTS, Caller
from buildpush.sandbox.store import Store

AQL = "/artifactory/api/search/aql"
ADMIN = Caller("admin", frozenset(RIGHTS))
NOW = datetime(2026, 11, 28, tzinfo=UTC).timestamp()
# Name in the table of expected rows, repository, path, size, time, properties.
FILES = (
    ("m1", "dk", "team/hello/1.0/manifest.json", 691, "2026-10-01", {"build.name": ["hello"], "build.number": ["42"]}),
    ("a4", "dk", "team/hello/1.0/sha256__a4", 10, "2026-10-01", {"build.name": ["hello"], "build.number": ["42"]}),
    ("m2", "dk", "team/hello/2.0/manifest.json", 700, "2026-10-02", {"qa": ["no", "late"]}),
    ("ff", "dk", "team/hello/_uploads/sha256__ff", 20, "2026-10-01", {}),
    ("rd", "gen", "readme.txt", 5, "2025-05-01", {}),
    ("az", "gen", "pkg/a.zip", 2000, "2026-02-01", {"qa": ["ok"]}),
    ("bz", "gen", "pkg/old/b.zip", 3000, "2025-02-01", {}),
)
NAMES = {(repo, path): name for name, repo, path, *_ in FILES}


def sums(text, size):
    data = text.encode()
    return Checksums(
        hashlib.sha256(data).hexdigest(), hashlib.sha1(data).hexdigest(), hashlib.md5(data).hexdigest(), size
    )


def run(name, number, *files, dependencies=(), started=1, properties=None):
    """Return a run of a build with one module."""
    artifacts = [{"name": one, "type": "json", "sha1": sums(one, 0).sha1} for one in files]
    used = [{"id": one, "sha1": sums(one, 0).sha1} for one in dependencies]
    module = {"id": f"{name}:1", "artifacts": artifacts, "dependencies": used}
    document = {"name": name, "number": number, "url": f"https://ci/{name}", "artifactoryPrincipal": "ann"}
    document |= {"modules": [module], "properties": properties or {}}
    return BuildEntry("artifactory-build-info", name, number, started, document)


def filled(directory):
    """Return a store with the files and three builds."""
    now = [NOW]
    store = Store(directory, lambda: now[0], lasting=False)
    for key, members in (("dk", ()), ("gen", ()), ("all", ("dk", "gen"))):
        store.add_repository(RepositoryEntry(key, "virtual" if members else "local", members=members))
    for name, repo, path, size, day, properties in FILES:
        now[0] = datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()
        store.put(repo, path, sums(name, size), "text/plain", "ann")
        store.set_properties(repo, path, properties)
    now[0] = NOW
    store.put_build(run("hello", "42", "m1", "a4", dependencies=["rd"], properties={"buildInfo.env.OS": "linux"}))
    store.put_build(run("hello", "41", "m2"))
    store.put_build(run("other", "42", "az"))
    return store


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Return a store for tests that only read."""
    store = filled(tmp_path_factory.mktemp("aql"))
    yield store
    store.close()


@pytest.fixture
def own(tmp_path):
    """Return a store of the test's own, to change."""
    store = filled(tmp_path)
    yield store
    store.close()


def ask(store, text, caller=ADMIN):
    return aql.answer(store, text, caller)["results"]


def names(store, criteria, calls=""):
    """Return the names of the rows that *criteria* find, in their order; directories by their own name."""
    rows = ask(store, f'items.find({criteria}).include("repo","path","name"){calls}')
    places = [(row["repo"], row["name"] if row["path"] == "." else f"{row['path']}/{row['name']}") for row in rows]
    return [NAMES.get(place) or place[1].rpartition("/")[2] for place in places]


@pytest.mark.parametrize(
    ("criteria", "rows"),
    [
        ('{"repo":"dk","path":"team/hello/1.0"}', "m1 a4"),
        ('{"repo":"gen"}', "rd az bz"),
        ('{"repo":"gen","path":{"$ne":"."},"type":"any"}', "az bz old"),
        ('{"$or":[{"path":{"$nmatch":"*/_uploads"},"name":{"$nmatch":"*"}}],"repo":"dk"}', "m1 a4 m2"),
        ('{"repo":"dk","$or":[{"path":"team/hello/2.0"}],"$or":[{"name":"manifest.json"}]}', "m2"),
        ('{"@qa":{"$ne":"no"},"name":{"$match":"*.zip"}}', "az bz"),
        ('{"@qa":{"$match":"*"}}', "m2 az"),
        ('{"$msp":[{"@qa":{"$ne":"no"}},{"@qa":{"$match":"l*"}}]}', "m2"),
        (
            '{"$or":[{"$and":[{"artifact.module.build.name":"hello","artifact.module.build.number":"42"}]}]}',
            "m1 a4",
        ),
        ('{"size":{"$gte":"2000"}},{"created":{"$gt":"2026-01"}}', "az"),
        ('{"repo":{"$match":"d*"},"size":"691"}', "m1"),
        # What the table of the reference does not have.
        ("", "m1 a4 m2 ff rd az bz"),
        ("{}", "m1 a4 m2 ff rd az bz"),
        ('{"path":"."}', "rd"),
        ('{"repo":"gen","type":"folder"}', "pkg old"),
        ('{"repo":"gen","type":{"$ne":"folder"}}', "rd az bz"),
        ('{"depth":{"$lte":"1"}}', "rd"),
        ('{"name":"*"}', ""),
        ('{"name":{"$match":"?.zip"}}', "az bz"),
        ('{"name":{"$match":"[ab].zip"}}', ""),
        ('{"@qa":"*"}', "m2 az"),
        ('{"@*":"late"}', "m2"),
        ('{"@*":{"$match":"4*"}}', "m1 a4"),
        ('{"property.key":"qa","property.value":"ok"}', "az"),
        ('{"property.key":{"$ne":"qa"},"repo":"gen"}', "rd bz"),
        ('{"@qa":{"$nmatch":"n*"},"repo":"dk"}', "m1 a4 ff"),
        ('{"$msp":[{"property.key":"qa"},{"$or":[{"property.value":"late"},{"property.value":"ok"}]}]}', "m2 az"),
        ('{"dependency.module.build.name":"hello"}', "rd"),
        ('{"artifact.module.build.@buildInfo.env.OS":"linux"}', "m1 a4"),
        ('{"artifact.module.name":"other:1"}', "az"),
        # Both of one build: other/42 has no file of hello's.
        ('{"artifact.module.build.name":"hello"},{"artifact.module.build.number":"41"}', "m2"),
        ('{"artifact.module.build.name":"other","artifact.module.build.number":"41"}', ""),
        ('{"repo":"all","name":{"$match":"*.zip"}}', "az bz"),
        ('{"repo":{"$ne":"all"}}', ""),
        ('{"repo":{"$match":"al*"},"size":{"$lt":20}}', "rd a4"),
        ('{"repo":{"$nmatch":"dk"},"size":{"$lt":20}}', "rd"),
        ('{"created":{"$last":"2mo"}}', "m1 a4 m2 ff"),
        ('{"created":{"$before":"52w"}}', "rd bz"),
        ('{"created":"2026-10-02T00:00:00.000Z"}', "m2"),
        ('{"modified":{"$lt":"2025-05-01T02:00:00+02:00"}}', "bz"),
        ('{"actual_md5":null}', ""),
        (f'{{"actual_sha1":"{sums("az", 0).sha1}"}}', "az"),
        (f'{{"sha256":"{sums("az", 0).sha256}"}}', "az"),
        ('\n{ "repo" :\t"gen" ,\n "name": { "$match" : "a*" } }\n', "az"),
    ],
)
def test_a_query_finds_these_files_and_no_others(store, criteria, rows):
    assert sorted(names(store, criteria)) == sorted(rows.split())


def test_sort_and_limit_answer_the_newest(store):
    query = 'items.find({"name":"manifest.json"}).include("name","path","created").sort({"$desc":["created"]}).limit(1)'
    assert [row["path"] for row in ask(store, query)] == ["team/hello/2.0"]


def test_offset_and_limit_go_through_all_rows_once(store):
    pages = [names(store, "", f".offset({start}).limit(3)") for start in range(0, 9, 3)]
    assert sorted(name for page in pages for name in page) == sorted(NAMES.values())


def test_rows_without_a_sort_are_in_no_order_that_a_client_could_depend_on(own):
    for number in range(20):
        own.put("gen", f"many/{number:02}", sums(str(number), 1), "text/plain", "ann")
    order = names(own, '{"path":"many"}')
    assert order == names(own, '{"path":"many"}')
    assert order not in (sorted(order), sorted(order, reverse=True))


def test_the_range_says_what_part_is_answered(store):
    answered = aql.answer(store, 'items.find({"repo":"dk"}).offset(1).limit(2)', ADMIN)
    assert answered["range"] == {"start_pos": 1, "end_pos": 3, "total": 2, "limit": 2}
    assert "limit" not in aql.answer(store, "items.find()", ADMIN)["range"]


def test_without_include_the_usual_fields_are_answered(store):
    (row,) = ask(store, 'items.find({"name":"readme.txt"})')
    assert row == {
        "repo": "gen",
        "path": ".",
        "name": "readme.txt",
        "type": "file",
        "size": 5,
        "created": "2025-05-01T00:00:00.000Z",
        "created_by": "ann",
        "modified": "2025-05-01T00:00:00.000Z",
        "modified_by": "ann",
        "updated": "2025-05-01T00:00:00.000Z",
    }


def test_a_star_includes_checksums_and_depth(store):
    (row,) = ask(store, 'items.find({"name":"a.zip"}).include("*")')
    assert (row["sha256"], row["actual_sha1"], row["depth"]) == (sums("az", 0).sha256, sums("az", 0).sha1, 2)


def test_property_includes_every_value_of_every_property(store):
    query = 'items.find({"repo":"dk","path":"team/hello/2.0"}).include("name","property")'
    assert ask(store, query) == [
        {"name": "manifest.json", "properties": [{"key": "qa", "value": "no"}, {"key": "qa", "value": "late"}]}
    ]


def test_a_key_includes_that_property_alone(store):
    query = 'items.find({"repo":{"$match":"d*"},"size":"691"}).include("name","@build.number")'
    assert ask(store, query) == [{"name": "manifest.json", "properties": [{"key": "build.number", "value": "42"}]}]


def test_a_file_without_properties_has_none_in_the_answer_and_the_usual_fields(store):
    (row,) = ask(store, 'items.find({"name":"readme.txt"}).include("property")')
    assert ("properties" in row, row["path"]) == (False, ".")


def test_equal_rows_are_answered_once_unless_distinct_is_false(store):
    query = 'items.find({"name":"manifest.json"}).include("name")'
    assert len(ask(store, query)) == 1
    assert len(ask(store, f"{query}.distinct(false)")) == 2


def test_a_property_that_is_removed_or_replaced_is_not_found_any_more(own):
    own.set_properties("gen", "pkg/a.zip", {"qa": ["bad"]})
    assert (names(own, '{"@qa":"ok"}'), names(own, '{"@qa":"bad"}')) == ([], ["az"])
    own.set_properties("gen", "pkg/a.zip", {"qa": None})
    assert names(own, '{"@qa":"bad"}') == []
    own.remove([own.file("dk", "team/hello/2.0/manifest.json")])
    assert names(own, '{"@qa":"*"}') == []


def test_a_build_that_is_published_again_has_only_its_new_files(own):
    own.put_build(run("other", "42", "bz"))
    assert names(own, '{"artifact.module.build.name":"other"}') == ["bz"]


def test_builds_are_found_by_name_and_by_what_they_made(store):
    query = 'builds.find({"name":"hello"}).include("number","url","started").sort({"$desc":["number"]})'
    assert ask(store, query) == [
        {"build.number": number, "build.url": "https://ci/hello", "build.started": "1970-01-01T00:00:00.001Z"}
        for number in ("42", "41")
    ]
    by_file = 'builds.find({"module.artifact.item.name":"a.zip"}).include("name")'
    assert ask(store, by_file) == [{"build.name": "other"}]
    by_variable = 'builds.find({"@buildInfo.env.OS":{"$match":"lin*"}}).include("number","property")'
    listed = [{"key": "buildInfo.env.OS", "value": "linux"}]
    assert ask(store, by_variable) == [{"build.number": "42", "properties": listed}]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("items.find({}", "syntax error near the following sub-query: "),
        ('items.find({}).limit(1).sort({"$asc":["name"]})', 'sub-query: sort({"$asc":["name"]})'),
        ('items.find({"dsdsdsd":"1"})', "sub-query: dsdsdsd"),
        ('items.find({"@a":{"$not":"1"}})', 'sub-query: "$not"'),
        ('items.find({"repo":"a" "b":"c"})', 'sub-query: "b"'),
        ('archive.entries.find({"archive.item.name":"a.jar"})', "sub-query: archive.entries"),
        ('items.find({"archive.entry.name":"A.class"})', "sub-query: archive.entry.name"),
        ('items.find().include("stat.downloads")', "sub-query: stat.downloads"),
        ('items.find({"artifact.nothing":"1"})', "sub-query: nothing"),
        ('items.find({"$msp":[{"name":"a"}]})', "sub-query: name"),
        ("items.find().limit(99999999999999999999)", "sub-query: 99999999999999999999"),
        ("items.find(" + '{"$and":[' * 50, "syntax error"),
        (f'items.find({{"name":"{"a" * 6000}"}})', "less than 6000 chars"),
        ('items.find({"created":{"$last":"3 days"}})', "Invalid relative date format for: 3 days"),
        ('items.find({"created":"yesterday"})', "not a time"),
        ('items.find({"created":{"$gt":"2026-13"}})', "not a time"),
        ('items.find({"size":"big"})', "not a number"),
        ('items.find({"size":{"$match":"1*"}})', "only for texts"),
        ('items.find({"name":{"$last":"1d"}})', "only for times"),
        ('items.find().include("name").sort({"$asc":["size"]})', "Only the result fields are allowed"),
        ('items.find().sort({"$asc":["size","size"]})', "Duplicate fields"),
        ('items.find({"repo":"dk"}).transitive().offset(1)', "offset is not supported"),
        ("builds.find().transitive()", "Only the items domain"),
        ("items.find().transitive()", "the repo property has to be specified"),
    ],
)
def test_what_is_no_query_is_refused_in_artifactorys_words(store, query, words):
    with pytest.raises(RequestRefusedError) as refused:
        ask(store, query)
    assert (refused.value.status, words in refused.value.message) == (400, True), refused.value.message


def test_a_user_who_is_no_administrator_sees_what_he_may_read(store):
    caller = Caller("ann", frozenset({"read"}), repositories={"gen"})
    assert {row["repo"] for row in ask(store, "items.find()", caller)} == {"gen"}


def test_a_user_who_is_no_administrator_must_ask_for_repository_path_and_name(store):
    caller = Caller("ann", frozenset({"read"}))
    with pytest.raises(RequestRefusedError) as refused:
        ask(store, 'items.find().include("repo","name")', caller)
    assert refused.value.message == "For permissions reasons AQL demands the following fields: repo, path and name."


def test_as_many_conditions_as_fit_are_answered(store):
    many = ",".join('{"@a":{"$ne":"b"}}' for _ in range(300))
    assert len(ask(store, f"items.find({many})")) == len(FILES)
    some = ",".join('{"path":"x"}' for _ in range(450))
    assert ask(store, f'items.find({{"$or":[{some}]}})') == []


def test_a_directory_of_an_earlier_version_is_searched_as_well(own, tmp_path):
    for table in ("property_values", "build_files"):
        own.rows(f"DROP TABLE {table}")
    for trigger in ("property_set", "property_removed"):
        own.rows(f"DROP TRIGGER IF EXISTS {trigger}")
    own.rows("PRAGMA user_version = 0")
    own.close()
    again = Store(tmp_path, lambda: NOW, lasting=False)
    try:
        assert names(again, '{"@qa":"ok"}') == ["az"]
        assert names(again, '{"artifact.module.build.name":"other"}') == ["az"]
    finally:
        again.close()


# Over HTTP


@pytest.mark.sandbox
def test_a_pushed_image_is_found_through_the_virtual_repository_where_it_is(client):
    client.push("docker/team/hello", "1")
    query = b'items.find({"repo":"docker","path":"team/hello/1","name":{"$match":"*"}}).include("repo","name")'
    rows = client.send("POST", AQL, body=query).json()["results"]
    assert {row["repo"] for row in rows} == {"docker-local"}
    assert "manifest.json" in {row["name"] for row in rows}


@pytest.mark.sandbox
def test_a_published_build_is_a_file_in_its_repository(client):
    build = {"name": "team/hello: 1", "number": "4/2", "started": "2026-10-01T12:00:00.123+0000"}
    client.send("PUT", "/artifactory/api/build", body=json.dumps(build).encode())
    query = (
        'items.find({"repo":"artifactory-build-info","name":{"$match":"*-1790856000123.json"}}).include("path","name")'
    )
    rows = client.send("POST", AQL, body=query.encode()).json()["results"]
    assert rows == [{"path": "team%2Fhello%3A 1", "name": "4%2F2-1790856000123.json"}]


@pytest.mark.sandbox
def test_the_query_may_be_in_the_address(client):
    assert client.send("POST", f"{AQL}?query=items.find()").json()["results"] == []


@pytest.mark.sandbox
@pytest.mark.parametrize("body", [b"", b" \n", b"\xff\xfe", b"items.find({", b"items.find(" + b"\0" * 500_000])
def test_what_is_no_query_is_answered_as_a_bad_request(client, body):
    assert client.send("POST", AQL, body=body).status in {400, 413}


@pytest.mark.sandbox
def test_a_stranger_may_not_search(client):
    assert client.send("POST", AQL, body=b"items.find()", authorization=None).status == 401


@pytest.mark.sandbox
def test_an_account_without_read_finds_nothing(box, client, client_of):
    client.push("docker-local/app", "1")
    other = client_of(box.add_account("writer", ["deploy"]))
    assert other.send("POST", AQL, body=b"items.find()").json()["results"] == []


def test_alternatives_for_files_are_looked_up_and_not_compared_with_every_file(store, monkeypatch):
    """This is how clients find the files of an image; a sandbox may have a hundred thousand others."""
    plans, rows = [], store.rows

    def explained(query, *values):
        plans.append(rows(f"EXPLAIN QUERY PLAN {query}", *values))
        return rows(query, *values)

    monkeypatch.setattr(store, "rows", explained)
    places = (
        '{"$and":[{"repo":"dk","path":"team/hello/1.0"}]},{"$and":[{"repo":"dk","path":{"$match":"team/hello/1.0/*"}}]}'
    )
    found = aql.answer(store, f'items.find({{"type":"file","$or":[{places}]}})', ADMIN)
    assert {row["name"] for row in found["results"]} == {"manifest.json", "sha256__a4"}
    assert not [step for plan in plans for *_, step in plan if step == "SCAN files"]
