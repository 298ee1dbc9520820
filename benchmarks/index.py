"""What a sandbox takes to list and to find when it has 100,000 files and 10,000 builds."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from itertools import chain
from pathlib import Path

import urllib3

from benchmarks.pushing.figures import Entry, Figures
from benchmarks.turns import Figure, in_turns
from buildpush.sandbox import Sandbox
from buildpush.sandbox.entries import BUILD_INFO
from buildpush.sandbox.store import Store

Row = dict[str, object]

FILES = 100_000
BUILDS = 10_000
FILES_IN_TAG = 5
TAGS_IN_IMAGE = 2000
AIM = 0.1
REPOSITORY = "docker-local"
IMAGES = FILES // FILES_IN_TAG // TAGS_IN_IMAGE
RUNS_OF_BUILD = 100
FILES_OF_BUILD = FILES // BUILDS


def measure(kept: Figures, rounds: int) -> None:
    """Add what each request takes, beside the aim; the sandbox is filled before."""
    with tempfile.TemporaryDirectory() as name:
        data = Path(name) / "data"
        began = time.perf_counter()
        _fill(data)
        seconds = time.perf_counter() - began
        print(
            f"sandbox with {FILES:,} files and {BUILDS:,} builds, filled in {seconds:.0f} s; median of {rounds} rounds"
        )
        with Sandbox(data) as box:
            figures = in_turns({label: _act(box, *what) for label, what in _REQUESTS.items()}, rounds)
        kept.add("index", "sandbox", [_entry(label, figure) for label, figure in figures.items()])


def _entry(label: str, figure: Figure) -> Entry:
    return Entry(label, figure.median, spread=figure.spread, aim=f"{AIM * 1000:.0f} ms", kept=figure.median <= AIM)


def _fill(data: Path) -> None:
    """Write the rows themselves: through the store, it takes minutes."""
    Store(data, time.time).close()
    with closing(sqlite3.connect(data / "index.sqlite")) as index, index:
        for table, rows in (
            ("files", map(_file, range(FILES))),
            ("directories", _directories()),
            ("properties", chain.from_iterable(map(_properties, range(FILES)))),
            ("builds", map(_build, range(BUILDS))),
            ("build_files", chain.from_iterable(map(_files_of_build, range(BUILDS)))),
        ):
            first = next(rows)
            insert = f"INSERT INTO {table} ({', '.join(first)}) VALUES ({', '.join('?' * len(first))})"
            index.executemany(insert, (tuple(row.values()) for row in chain([first], rows)))


def _sums(number: int) -> dict[str, str]:
    """Return the checksums of a file; every tenth is a layer that a hundred tags share."""
    data = str(number if number % 10 else number // 1000).encode()
    return {name: hashlib.new(name, data, usedforsecurity=False).hexdigest() for name in ("sha256", "sha1", "md5")}


def _path(number: int) -> str:
    tag, part = divmod(number, FILES_IN_TAG)
    name = f"sha256__{part}{_sums(number)['sha256'][1:]}" if part else "manifest.json"
    return f"team/app{tag // TAGS_IN_IMAGE}/1.{tag % TAGS_IN_IMAGE}/{name}"


def _item(path: str, number: int) -> Row:
    moment = 1_790_000_000 + number
    times = {"created": moment, "modified": moment, "created_by": "ci", "modified_by": "ci"}
    return {"repo": REPOSITORY, "path": path, **times}


def _file(number: int) -> Row:
    more = {"size": number, "media_type": "application/octet-stream"}
    return {**_item(_path(number), number), **_sums(number), **more}


def _directories() -> Iterator[Row]:
    yield _item("team", 0)
    for image in range(IMAGES):
        yield _item(f"team/app{image}", 0)
        for tag in range(TAGS_IN_IMAGE):
            yield _item(f"team/app{image}/1.{tag}", 0)


def _properties(number: int) -> Iterator[Row]:
    run = number // FILES_OF_BUILD
    for key, value in (("build.name", _name(run)), ("build.number", str(run % RUNS_OF_BUILD))):
        yield {"repo": REPOSITORY, "path": _path(number), "key": key, "listed": json.dumps([value])}


def _name(run: int) -> str:
    return f"build-{run // RUNS_OF_BUILD}"


def _build(run: int) -> Row:
    name, number = _name(run), str(run % RUNS_OF_BUILD)
    variables = {f"buildInfo.env.VARIABLE_{index}": "value of a variable" for index in range(50)}
    document = {"name": name, "number": number, "modules": [{"id": name}], "properties": variables}
    started = {"number": number, "started_ms": 1_790_000_000_000 + run}
    return {"repo": BUILD_INFO, "name": name, **started, "document": json.dumps(document)}


def _files_of_build(run: int) -> Iterator[Row]:
    identity = {key: value for key, value in _build(run).items() if key in {"repo", "number", "started_ms"}}
    for number in range(run * FILES_OF_BUILD, (run + 1) * FILES_OF_BUILD):
        sums = {name: value for name, value in _sums(number).items() if name != "sha256"}
        named = {"kind": "artifact", "module": "module", "name": f"layer {number}", "type": "layer"}
        yield {**identity, "build": _name(run), **named, **sums}


_API = "/artifactory/api"
_TAG = f"team/app1/1.{TAGS_IN_IMAGE // 2}"
_INCLUDE = '.include("repo","path","name","sha256","actual_sha1","actual_md5","size","property")'
_BOTH = f'"repo":"{REPOSITORY}","path":"{_TAG}"'
_SUMS = ",".join(f'{{"sha256":"{_sums(number)["sha256"]}"}}' for number in range(1, 40, 2))
_NEWEST = '.sort({"$desc":["created"]}).limit(10)'
_QUERIES = {
    "repository and path": f"items.find({{{_BOTH}}}){_INCLUDE}",
    "the same as jf writes it": 'items.find({"path":{"$ne":"."},"$or":[{"$and":[{'
    + _BOTH
    + ',"name":{"$match":"*"}}]}]})'
    + _INCLUDE,
    "the same through the virtual repository": f'items.find({{"repo":"docker","path":"{_TAG}"}}){_INCLUDE}',
    "sha256": f'items.find({{"sha256":"{_sums(4711)["sha256"]}"}}){_INCLUDE}',
    "20 times sha256, in $or": f'items.find({{"$or":[{_SUMS}]}}){_INCLUDE}',
    "@build.name and @build.number": f'items.find({{"@build.name":"build-7","@build.number":"42"}}){_INCLUDE}',
    "@build.name, 1000 files": f'items.find({{"repo":"{REPOSITORY}","@build.name":"build-7"}}){_INCLUDE}',
    "artifact.module.build.name and number": 'items.find({"artifact.module.build.name":"build-7",'
    f'"artifact.module.build.number":"42"}}){_INCLUDE}',
    "newest 10 of the repository": f'items.find({{"repo":"{REPOSITORY}"}}){_NEWEST}',
    "newest 10 with a * in the name": f'items.find({{"repo":"{REPOSITORY}","name":{{"$match":"mani*"}}}}){_NEWEST}',
    "a * in the path, 100 of 10,000": f'items.find({{"repo":"{REPOSITORY}","path":{{"$match":"team/app1/*"}}}})'
    ".limit(100)",
    "directories, 100 of 2000": f'items.find({{"repo":"{REPOSITORY}","path":"team/app1","type":"any"}}).limit(100)',
    "builds by name, newest": 'builds.find({"name":"build-7"}).sort({"$desc":["started"]}).limit(1)',
}
_REQUESTS: Mapping[str, tuple[str, str, str]] = {
    "GET api/build": ("GET", f"{_API}/build", ""),
    "GET api/build/NAME": ("GET", f"{_API}/build/build-7", ""),
    "GET api/build/NAME/NUMBER": ("GET", f"{_API}/build/build-7/42", ""),
    "GET api/storage/REPO/TAG?list": ("GET", f"{_API}/storage/{REPOSITORY}/{_TAG}?list&deep=1", ""),
    "GET api/storage/REPO/IMAGE": ("GET", f"{_API}/storage/{REPOSITORY}/team/app1", ""),
    f"GET tags/list ({TAGS_IN_IMAGE} tags)": ("GET", f"/v2/{REPOSITORY}/team/app1/tags/list", ""),
    f"GET _catalog ({IMAGES} images)": ("GET", "/v2/_catalog", ""),
    "GET api/search/artifact?name=": ("GET", f"{_API}/search/artifact?name=1.777", ""),
    "GET api/search/checksum?sha1=": ("GET", f"{_API}/search/checksum?sha1={_sums(4711)['sha1']}", ""),
    "GET api/search/prop?build.name=": ("GET", f"{_API}/search/prop?build.name=build-7&build.number=42", ""),
    "GET api/storageinfo": ("GET", f"{_API}/storageinfo", ""),
} | {f"AQL: {label}": ("POST", f"{_API}/search/aql", query) for label, query in _QUERIES.items()}


def _act(box: Sandbox, method: str, path: str, body: str) -> Callable[[int], float]:
    pool = urllib3.PoolManager(headers=urllib3.make_headers(basic_auth=f"{box.username}:{box.password.reveal()}"))

    def act(_number: int) -> float:
        began = time.perf_counter()
        answer = pool.request(method, f"{box.url}{path}", body=body or None)
        seconds = time.perf_counter() - began
        if answer.status != 200:  # noqa: PLR2004
            message = f"{method} {path} was answered with {answer.status}: {answer.data[:500]!r}"
            raise SystemExit(message)
        return seconds

    return act
