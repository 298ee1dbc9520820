"""``jf rt search`` on the sandbox: JFrog's own queries find the files that they describe, and no others."""

import hashlib
import json

import pytest
import urllib3

pytestmark = pytest.mark.engines

FILES = {
    "lib/app-1.zip": "qa=ok;os=linux",
    "lib/app-2.zip": "qa=no",
    "lib/old/app-0.zip": "qa=ok",
    "lib/readme.txt": "",
}


@pytest.fixture
def put(box):
    """Return a function that sends a PUT to the sandbox."""
    login = urllib3.make_headers(basic_auth=f"{box.username}:{box.password.reveal()}")
    with urllib3.PoolManager(headers=login) as pool:

        def put(path, body=b""):
            answer = pool.request("PUT", f"{box.artifactory_url}{path}", body=body)
            assert answer.status in {201, 204}, answer.data

        yield put


@pytest.fixture
def search(jf, put):
    """Return a function that searches among four files, and returns the paths found without the repository."""
    for path, properties in FILES.items():
        put(f"generic-local/{path};{properties}", path.encode())

    def search(*words):
        rows = json.loads(jf.run("rt", "search", *words).stdout)
        return [row["path"].removeprefix("generic-local/") for row in rows]

    return search


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["generic-local/lib/*"], "lib/app-1.zip lib/app-2.zip lib/old/app-0.zip lib/readme.txt"),
        (["generic-local/lib/*", "--recursive=false"], "lib/app-1.zip lib/app-2.zip lib/readme.txt"),
        (["generic-local/lib/app-1.zip"], "lib/app-1.zip"),
        (["generic-*/*app-?.zip"], "lib/app-1.zip lib/app-2.zip lib/old/app-0.zip"),
        (["*/lib/*.zip", "--props=qa=ok"], "lib/app-1.zip lib/old/app-0.zip"),
        (["generic-local/*", "--props=qa=ok;os=linux"], "lib/app-1.zip"),
        (["generic-local/*.zip", "--exclude-props=qa=ok"], "lib/app-2.zip"),
        (["generic-local/*", "--exclusions=*/old/*;*.txt"], "lib/app-1.zip lib/app-2.zip"),
        (["generic-local/lib/*", "--include-dirs", "--exclusions=*.zip;*.txt"], "lib/old"),
    ],
)
def test_jf_finds_what_it_asks_for(search, words, found):
    assert sorted(search(*words)) == found.split()


def test_jf_sorts_and_limits(search):
    words = ("generic-local/lib/*.zip", "--sort-by=name", "--sort-order=desc")
    assert search(*words, "--limit=2") == ["lib/app-2.zip", "lib/app-1.zip"]
    assert search(*words, "--limit=2", "--offset=2") == ["lib/old/app-0.zip"]


def test_jf_shows_properties_and_checksums(search, jf):
    assert search("generic-local/lib/app-1.zip")
    (row,) = json.loads(jf.run("rt", "search", "generic-local/lib/app-1.zip").stdout)
    sha256 = hashlib.sha256(b"lib/app-1.zip").hexdigest()
    assert (row["sha256"], row["size"], row["props"]) == (sha256, 13, {"os": ["linux"], "qa": ["ok"]})


def test_jf_finds_the_files_of_a_build(search, put):
    sums = {name: hashlib.new(name, b"lib/app-2.zip").hexdigest() for name in ("sha1", "md5")}
    module = {"id": "lib", "artifacts": [{"name": "app-2.zip", **sums}]}
    build = {"name": "lib", "number": "7", "started": "2026-10-01T12:00:00.123+0000", "modules": [module]}
    put("api/build", json.dumps(build).encode())
    marks = "?properties=build.name=lib;build.number=7;build.timestamp=1790856000123"
    put(f"api/storage/generic-local/lib/app-2.zip{marks}")
    assert search("generic-local/*", "--build=lib/7") == ["lib/app-2.zip"]
    assert search("--build=lib/7") == ["lib/app-2.zip"]
    assert search("--build=lib") == ["lib/app-2.zip"]
