"""JFrog's own commands for files; what is stored is read back, because they end with 0 while they lose data."""

from __future__ import annotations

import json
import os

import pytest

pytestmark = pytest.mark.engines
KEY = "generic-local"


@pytest.fixture
def tree(tmp_path):
    """Return a directory with a few files, one of them large enough to be deployed by checksum."""
    directory = tmp_path / "tree"
    (directory / "sub").mkdir(parents=True)
    (directory / "a.txt").write_text("a")
    (directory / "sub" / "b with blank.txt").write_text("b")
    (directory / "sub" / "large.bin").write_bytes(os.urandom(200_000))
    return directory


@pytest.fixture
def read(box):
    """Return a function that returns a stored file, by its path in the repository."""
    return lambda path: box._store.content.path(box._store.file(KEY, path).checksums.sha256).read_bytes()


def counted(done):
    return json.loads(done.stdout)["totals"]


def names(done):
    return sorted(one["path"] for one in json.loads(done.stdout))


def test_jf_uploads_what_is_stored_flat_and_as_a_tree(jf, box, tree, read):
    flat = jf.run("rt", "upload", "*", f"{KEY}/flat/", "--flat=true", cwd=tree)
    deep = jf.run("rt", "upload", "(*)", f"{KEY}/deep/{{1}}", cwd=tree)
    assert counted(flat) == counted(deep) == {"success": 3, "failure": 0}
    assert box.files(KEY) == [
        *("deep/a.txt", "deep/sub/b with blank.txt", "deep/sub/large.bin"),
        *("flat/a.txt", "flat/b with blank.txt", "flat/large.bin"),
    ]
    for path in ("a.txt", "sub/b with blank.txt", "sub/large.bin"):
        assert read(f"deep/{path}") == (tree / path).read_bytes()


def test_jf_sends_what_is_stored_already_by_its_checksum(jf, box, tree):
    jf.run("rt", "upload", "sub/large.bin", f"{KEY}/one/", cwd=tree)
    before = sum(request.received for request in box.requests)
    jf.run("rt", "upload", "sub/large.bin", f"{KEY}/two/", cwd=tree)
    assert box.files(KEY) == ["one/sub/large.bin", "two/sub/large.bin"]
    assert sum(request.received for request in box.requests) - before < 200_000


def test_jf_uploads_two_hundred_files(jf, box, tmp_path, read):
    directory = tmp_path / "many"
    directory.mkdir()
    for number in range(200):
        (directory / f"{number}.txt").write_text(str(number))
    assert counted(jf.run("rt", "upload", "*.txt", f"{KEY}/many/", "--threads=8", cwd=directory))["success"] == 200
    assert len(box.files(KEY)) == 200
    assert [read(f"many/{number}.txt") for number in range(200)] == [str(number).encode() for number in range(200)]
    jf.run("rt", "download", f"{KEY}/many/", "out/", "--flat", cwd=tmp_path)
    assert {path.name: path.read_text() for path in (tmp_path / "out").iterdir()} == {
        f"{number}.txt": str(number) for number in range(200)
    }


def test_jf_gives_uploaded_files_the_properties_that_it_was_told(jf, box, tree):
    props = r"qa=passed,tested;text=a b;odd=x\;y"
    jf.run(
        "rt", "upload", "a.txt", f"{KEY}/", f"--target-props={props}", "--build-name=shop", "--build-number=7", cwd=tree
    )
    properties = box.properties(KEY, "a.txt")
    assert (properties["qa"], properties["text"], properties["odd"]) == (["passed", "tested"], ["a b"], ["x;y"])
    assert (properties["build.name"], properties["build.number"]) == (["shop"], ["7"])


def test_jf_finds_downloads_and_reads_ranges_of_what_it_uploaded(jf, box, tree, tmp_path):
    jf.run("rt", "upload", "(*)", f"{KEY}/deep/{{1}}", "--target-props=kind=test", cwd=tree)
    everything = [f"{KEY}/deep/{path}" for path in ("a.txt", "sub/b with blank.txt", "sub/large.bin")]
    assert names(jf.run("rt", "search", f"{KEY}/deep/")) == everything
    assert names(jf.run("rt", "search", f"{KEY}/deep/*", "--props=kind=test")) == everything
    assert names(jf.run("rt", "search", f"{KEY}/deep/*", "--props=kind=other")) == []
    assert f"{KEY}/deep/sub" in names(jf.run("rt", "search", f"{KEY}/deep/*", "--include-dirs"))
    split = ("--split-count=4", "--min-split=10")
    jf.run("rt", "download", f"{KEY}/deep/(*)", "out/{1}", *split, cwd=tmp_path)
    for path in ("a.txt", "sub/b with blank.txt", "sub/large.bin"):
        assert (tmp_path / "out" / path).read_bytes() == (tree / path).read_bytes()
    assert [request.method for request in box.requests if request.path.endswith("large.bin")].count("GET") == 4


def test_jf_sets_and_deletes_properties(jf, box, tree):
    jf.run("rt", "upload", "(*)", f"{KEY}/deep/{{1}}", cwd=tree)
    jf.run("rt", "set-props", f"{KEY}/deep/*.txt", r"a=1,2;b=x y;c=one\,value")
    assert box.properties(KEY, "deep/a.txt") == {"a": ["1", "2"], "b": ["x y"], "c": ["one,value"]}
    assert box.properties(KEY, "deep/sub/b with blank.txt")["a"] == ["1", "2"]
    assert box.properties(KEY, "deep/sub/large.bin") == {}
    jf.run("rt", "delete-props", f"{KEY}/deep/a.txt", "a,b")
    assert box.properties(KEY, "deep/a.txt") == {"c": ["one,value"]}


def test_jf_copies_and_moves(jf, box, tree, read):
    jf.run("rt", "upload", "(*)", f"{KEY}/deep/{{1}}", "--target-props=kind=test", cwd=tree)
    jf.run("rt", "copy", f"{KEY}/deep/(*)", "docker-local/copies/{1}", "--dry-run")
    assert box.files("docker-local") == []
    jf.run("rt", "copy", f"{KEY}/deep/(*)", "docker-local/copies/{1}")
    assert box.files("docker-local") == [
        *("copies/a.txt", "copies/sub/b with blank.txt", "copies/sub/large.bin"),
    ]
    assert box.properties("docker-local", "copies/a.txt") == {"kind": ["test"]}
    jf.run("rt", "move", f"{KEY}/deep/a.txt", f"{KEY}/moved/", "--flat")
    assert box.files(KEY) == ["deep/sub/b with blank.txt", "deep/sub/large.bin", "moved/a.txt"]
    assert read("moved/a.txt") == b"a"
    jf.run("rt", "move", f"{KEY}/deep/", f"{KEY}/elsewhere/")
    assert [path for path in box.files(KEY) if path.endswith("large.bin")] == ["elsewhere/deep/sub/large.bin"]


def test_jf_deletes_files_and_directories(jf, box, tree):
    jf.run("rt", "upload", "(*)", f"{KEY}/deep/{{1}}", cwd=tree)
    jf.run("rt", "delete", f"{KEY}/deep/*.bin", "--quiet")
    assert box.files(KEY) == ["deep/a.txt", "deep/sub/b with blank.txt"]
    jf.run("rt", "delete", f"{KEY}/deep/", "--quiet")
    assert box.files(KEY) == []
    assert all(request.status < 500 for request in box.requests)
