"""What build-info and uploads cost, beside JFrog's own commands; each command is a whole process.

``jf`` here is the program of ``.ci/jf``: JFrog's own library with a ``main`` around it.
"""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.partner import running_sandbox
from benchmarks.pushing.commands import run, run_all
from benchmarks.pushing.figures import Entry, Figures
from benchmarks.turns import Figure, in_turns

OURS = [sys.executable, "-P", "-m", "buildpush"]
PLATFORMS = ("amd64", "arm64", "arm/v7", "arm/v6", "386", "ppc64le", "s390x", "riscv64")
SMALL_FILES, SMALL_SIZE = 1000, 2000
FASTER, AS_FAST = 5.0, 1.0
WITHIN_RUN = 0.05  # seconds
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_INDEX = "application/vnd.oci.image.index.v1+json"


class Layout:
    """An OCI layout whose layers are small; what is measured is not the push."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._blobs = directory / "blobs" / "sha256"
        self._blobs.mkdir(parents=True)
        (directory / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}', encoding="utf-8")

    def _add(self, content: bytes, media_type: str) -> dict[str, Any]:
        digest = hashlib.sha256(content).hexdigest()
        (self._blobs / digest).write_bytes(content)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(content)}

    def _add_json(self, document: Mapping[str, Any], media_type: str) -> dict[str, Any]:
        return self._add(json.dumps(document).encode(), media_type)

    def image(self, layers: int, architecture: str = "amd64") -> dict[str, Any]:
        """Add an image and return its descriptor."""
        contents = [f"{architecture} {number}\n".encode() for number in range(layers)]
        diff_ids = [f"sha256:{hashlib.sha256(content).hexdigest()}" for content in contents]
        platform = dict(zip(("architecture", "variant"), architecture.split("/"), strict=False)) | {"os": "linux"}
        history = [{"created_by": f"COPY {number}"} for number in range(layers)]
        config = platform | {"rootfs": {"type": "layers", "diff_ids": diff_ids}, "history": history}
        head = {"schemaVersion": 2, "mediaType": _MANIFEST}
        stored = [self._add(content, "application/vnd.oci.image.layer.v1.tar") for content in contents]
        kept = self._add_json(config, "application/vnd.oci.image.config.v1+json")
        return self._add_json({**head, "config": kept, "layers": stored}, _MANIFEST) | {"platform": platform}

    def close(self, listed: Sequence[Mapping[str, Any]]) -> str:
        """Name the images, as an index if there are several, and return the source as buildpush has it."""
        head = {"schemaVersion": 2, "mediaType": _INDEX}
        top = self._add_json({**head, "manifests": listed}, _INDEX) if len(listed) > 1 else listed[0]
        (self.directory / "index.json").write_text(json.dumps({**head, "manifests": [top]}), encoding="utf-8")
        return f"oci:{self.directory}"


IMAGES: Mapping[str, Callable[[Layout], list[dict[str, Any]]]] = {
    "3 layers": lambda layout: [layout.image(3)],
    "120 layers": lambda layout: [layout.image(120)],
    "8 platforms": lambda layout: [layout.image(3, name) for name in PLATFORMS],
}


@dataclass(frozen=True)
class Work:
    """A sandbox, a directory, and both programs logged in."""

    box: Mapping[str, Any]
    directory: Path
    env: Mapping[str, str]

    def push(self, name: str) -> tuple[str, str]:
        """Push one of :data:`IMAGES`, and return its reference and digest."""
        layout = Layout(self.directory / name.replace(" ", "-"))
        source = layout.close(IMAGES[name](layout))
        reference = f"{self.box['host']}/docker-local/{layout.directory.name}:1"
        pushed = json.loads(run([*OURS, "push", source, reference, "--json"], self.env).out)
        return reference, pushed["steps"][0]["digest"]


def measure(kept: Figures, rounds: int) -> None:
    """Add what both take for each image, and for uploads."""
    if shutil.which("jf") is None:
        print("  left out: jf is not here; .ci/clients.sh builds it")
        return
    with tempfile.TemporaryDirectory() as name, running_sandbox() as box, _work(Path(name), box) as work:
        for image in IMAGES:
            kept.add("publish-" + image.replace(" ", "-"), "sandbox", _publish(work, image, rounds))
        kept.add("publish-in-run", "sandbox", _within_run(work, rounds))
        kept.add("upload-small", "sandbox", _upload(work, _small_files, rounds, 2.0))
        kept.add("upload-large", "sandbox", _upload(work, _large_file, max(1, rounds // 2), AS_FAST))


@contextmanager
def _work(directory: Path, box: Mapping[str, Any]) -> Iterator[Work]:
    url, login = f"http://{box['host']}", {"user": box["username"], "password": box["password"]}
    server = {"serverId": "box", "url": f"{url}/", "artifactoryUrl": f"{url}/artifactory/", "isDefault": True}
    (directory / "jf").mkdir()
    written = json.dumps({"servers": [server | login], "version": "6"})
    (directory / "jf" / "jfrog-cli.conf.v6").write_text(written, encoding="utf-8")
    auths = {"auths": {box["host"]: {"username": box["username"], "password": box["password"]}}}
    (directory / "config.json").write_text(json.dumps(auths), encoding="utf-8")
    env = {
        "HOME": str(directory),
        "XDG_STATE_HOME": str(directory / "state"),
        "DOCKER_CONFIG": str(directory),
        "JF_URL": url,
        "JF_USER": box["username"],
        "JF_PASSWORD": box["password"],
        "JFROG_CLI_HOME_DIR": str(directory / "jf"),
        "JFROG_CLI_TEMP_DIR": str(directory / "jf"),
        "JFROG_CLI_AVOID_NEW_VERSION_WARNING": "true",
        "JFROG_CLI_REPORT_USAGE": "false",
        "CI": "true",
    }
    yield Work(box, directory, env)


def _publish(work: Work, image: str, rounds: int) -> list[Entry]:
    reference, digest = work.push(image)
    file = work.directory / "image"
    file.write_text(f"{reference}@{digest}\n", encoding="utf-8")

    def ours(number: int) -> float:
        build = ["--build-name", "ours", "--build-number", str(number)]
        return run([*OURS, "build-info", "collect", reference, *build, "--publish"], work.env).seconds

    def theirs(number: int) -> float:
        create = ["jf", "rt", "build-docker-create", "docker-local", f"--image-file={file}"]
        build = ["--build-name=theirs", f"--build-number={number}"]
        return run_all([[*create, *build], ["jf", "rt", "build-publish", "theirs", str(number)]], work.env).seconds

    names = ("buildpush build-info collect --publish", "jf rt build-docker-create, build-publish")
    return _entries(in_turns(dict(zip(names, (ours, theirs), strict=True)), rounds), FASTER)


def _within_run(work: Work, rounds: int) -> list[Entry]:
    """Return what a run takes longer for publishing; it pushes the same image each time."""
    layout = Layout(work.directory / "within")
    context = layout.directory / "context"
    context.mkdir()
    (context / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n", encoding="utf-8")
    words = [*OURS, "run", "--context", str(context), "--dockerfile", str(context / "Dockerfile"), "--engine", "native"]
    words += ["--repo", f"{work.box['host']}/docker-local/within", "--tags", "1", "--build-name", "within"]
    login = {"PLUGIN_USERNAME": work.box["username"], "PLUGIN_PASSWORD": work.box["password"]}

    def act(number: int, switch: str) -> float:
        return run([*words, "--build-number", str(number), switch], {**work.env, **login}).seconds

    figures = in_turns(
        {one: partial(act, switch=one) for one in ("--publish-build-info", "--no-publish-build-info")}, rounds
    )
    more, without = figures.values()
    over = more.over(without)
    name = "buildpush run, longer with build-info"
    return [Entry(name, over, spread=more.spread, aim="50 ms", kept=over <= WITHIN_RUN)]


def _upload(work: Work, make: Callable[[Path, int], None], rounds: int, aim: float) -> list[Entry]:
    directory = work.directory / make.__name__

    def act(number: int, program: str) -> float:
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir()
        make(directory, hash((program, number)) % 1000 * 10 + number)  # what no round before had
        target = f"generic-local/{program}/{number}/"
        words = ["jf", "rt", "upload"] if program == "jf" else [*OURS, "upload"]
        return run([*words, f"{directory}/*", target, *(["--flat=true"] if program == "jf" else [])], work.env).seconds

    acts = {f"{name} upload": partial(act, program=name.split()[0]) for name in ("buildpush", "jf rt")}
    return _entries(in_turns(acts, rounds), aim)


def _small_files(directory: Path, seed: int) -> None:
    draw = random.Random(seed)
    for number in range(SMALL_FILES):
        (directory / f"{number}.bin").write_bytes(draw.randbytes(SMALL_SIZE))


def _large_file(directory: Path, seed: int) -> None:
    block = random.Random(seed).randbytes(1_000_000)
    with (directory / "large.bin").open("wb") as file:
        for number in range(2000):
            file.write(number.to_bytes(8, "big") + block)


def _entries(figures: Mapping[str, Figure], aim: float) -> list[Entry]:
    ours, theirs = figures.values()
    words = f"{aim:.0f} times faster" if aim > 1 else "not slower"
    return [
        Entry(ours.name, ours.median, spread=ours.spread, aim=words, kept=theirs.ratio(ours) >= aim),
        Entry(theirs.name, theirs.median, spread=theirs.spread, ratio=theirs.ratio(ours)),
    ]
