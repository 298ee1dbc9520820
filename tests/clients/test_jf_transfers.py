"""Uploads and downloads beside those of ``jf``: the same patterns give the same files, or a refusal where it errs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import buildpush
from buildpush.foundation.errors import SettingsError

pytestmark = [pytest.mark.engines, pytest.mark.sandbox]

FILES = ["a.bin", "b.bin", "x.txt", "sub/c.bin", "sub/deep/d.bin", "sub/deep/e f.txt", "report (1).txt", ".hidden.bin"]


@pytest.fixture
def both(jf, box, tmp_path):
    """Return a function that uploads with both programs, and returns the paths that each has made below its target."""
    work = tmp_path / "work"
    for name in FILES:
        path = work / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name * 3000)
    env = {"JF_URL": box.url, "JF_ACCESS_TOKEN": box.token.reveal()}

    def paths(whose):
        return sorted(one.removeprefix(f"generic-local/{whose}") for one in stored(box) if f"-local/{whose}" in one)

    def upload(pattern, target, *, flat=False, recursive=True, exclusions="", props=""):
        pattern = pattern.replace("WORK", str(work))
        flags = [f"--flat={str(flat).lower()}", f"--recursive={str(recursive).lower()}"]
        flags += [f"--exclusions={exclusions}"] if exclusions else []
        flags += [f"--target-props={props}"] if props else []
        jf.run("rt", "upload", *flags, pattern, f"generic-local/jf{target}", cwd=work)
        how = {"flat": flat, "recursive": recursive, "exclusions": exclusions or (), "props": props or ()}
        buildpush.upload(pattern, f"generic-local/us{target}", **how, env=env, cwd=work)
        return paths("jf"), paths("us")

    upload.work, upload.env = work, env
    return upload


def stored(box) -> list[str]:
    with buildpush_http() as http:
        answer = http.request(
            "GET",
            f"{box.artifactory_url}api/storage/generic-local?list&deep=1&listFolders=0",
            authorization=f"Basic {box.password.basic(box.username)}",
        )
    return [f"generic-local{one['uri']}" for one in json.loads(answer.body)["files"]]


def buildpush_http():
    from buildpush.http.client import Http

    return Http()


@pytest.mark.parametrize(
    ("pattern", "target", "how"),
    [
        ("a.bin", "/t/", {}),
        ("a.bin", "/t/new.bin", {}),
        ("*.bin", "/t/", {}),
        ("*.bin", "/t/", {"flat": True}),
        ("*.bin", "/t/", {"recursive": False}),
        ("*", "/t/", {"exclusions": "*.bin"}),
        ("*", "/t/", {"exclusions": "sub;a.bin"}),
        ("*", "/t/", {"exclusions": "sub/*;a.bin"}),
        ("sub/", "/t/", {}),
        ("sub/", "/t/", {"flat": True}),
        ("./sub/*.bin", "/t/", {}),
        ("sub/*", "/t/", {"recursive": False}),
        ("(*).bin", "/t/{1}-x.bin", {}),
        ("sub/(*)/(*).bin", "/t/{2}/{1}.bin", {}),
        ("(*)/(*).bin", "/t/{1}/{2}.dat", {"flat": True}),
        ("report (1).txt", "/t/", {}),
        ("report (1)*", "/t/", {}),
        ("sub/deep/e f.txt", "/t/", {"props": "a=1,2;b=x y"}),
    ],
)
def test_a_pattern_uploads_the_files_that_jf_uploads(both, box, pattern, target, how):
    theirs, ours = both(pattern, target, **how)
    assert ours == theirs
    assert ours
    if "props" in how:
        key, place = "generic-local", "t/sub/deep/e f.txt"
        assert (
            box.properties(key, f"us/{place}") == box.properties(key, f"jf/{place}") == {"a": ["1", "2"], "b": ["x y"]}
        )


def test_an_absolute_path_keeps_its_directories_without_an_empty_one(both):
    theirs, ours = both("WORK/sub/*.bin", "/t/")
    assert [one.replace("//", "/") for one in theirs] == ours


@pytest.mark.parametrize(("pattern", "target"), [("*.bin", "/t5"), ("sub", "/t/"), ("*.none", "/t/")])
def test_what_loses_files_with_jf_is_refused(both, jf, box, pattern, target):
    jf.run("rt", "upload", pattern, f"generic-local/jf{target}", cwd=both.work)  # which ends with 0
    assert len([one for one in stored(box) if "/jf" in one]) <= 1
    with pytest.raises(SettingsError):
        buildpush.upload(pattern, f"generic-local/us{target}", env=both.env, cwd=both.work)


@pytest.mark.parametrize(
    ("pattern", "target", "flat"),
    [
        ("t/*", "out/", False),
        ("t/*", "out/", True),
        ("t/sub/*.bin", "out/", False),
        ("t/a.bin", "", True),
        ("t/(*).bin", "out/{1}.dat", True),
        ("t/sub/", "out/", False),
    ],
)
def test_a_pattern_downloads_the_files_that_jf_downloads(both, jf, tmp_path, pattern, target, flat):
    both("*", "/t/")
    found = []
    for whose in ("jf", "us"):
        place = tmp_path / whose / "place"
        place.mkdir(parents=True)
        if whose == "jf":
            words = ["rt", "download", f"--flat={str(flat).lower()}", f"generic-local/us/{pattern}"]
            jf.run(*words, *([target] if target else []), cwd=place)
        else:
            buildpush.download(f"generic-local/us/{pattern}", target, flat=flat, env=both.env, cwd=place)
        found.append(contents(place))
    assert found[0] == found[1]
    assert found[1]


def contents(place: Path) -> dict[str, bytes]:
    return {str(path.relative_to(place)): path.read_bytes() for path in place.rglob("*") if path.is_file()}
