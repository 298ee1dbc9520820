"""Calls that mypy checks and nobody runs: the types that importers see."""

from __future__ import annotations

from pathlib import Path

import buildpush
from buildpush.foundation.events import Event, Progress
from buildpush.images.model import PushedImage
from buildpush.sandbox import Sandbox


def watch(event: Event) -> None:
    if isinstance(event, Progress):
        done: int = event.done
        print(done, event.total)


def main_job() -> str | None:
    result: buildpush.RunResult = buildpush.run("step.yml", connectors=Path("connectors.yml"), tags=["1"], sink=watch)
    images: tuple[PushedImage, ...] = result.images
    seconds: dict[str, float] = dict(result.seconds)
    url: str = result.published.url if result.published else ""
    print(images, seconds, url)
    return result.digest


def without_a_push() -> str | None:
    return buildpush.build(repo="acme.jfrog.io/docker-local/app", output="oci:out").output


def without_a_build() -> tuple[str | None, tuple[str, ...]]:
    pushed = buildpush.push("docker-daemon:app:1", "acme.jfrog.io/docker-local/app:1", compression="zstd", sink=watch)
    copied: buildpush.RunResult = buildpush.copy("oci:out", "oci-archive:out.tar:1", platform="linux/arm64")
    merged = buildpush.merge("acme.jfrog.io/docker-local/app:1", "oci:amd", "oci:arm", media_types="docker")
    print(merged.digest)
    named = buildpush.tag("acme.jfrog.io/docker-local/app:1", "2", password=buildpush.Secret("x", "here"))
    return pushed.digest or copied.digest, named.references


def plan_first() -> None:
    loaded: buildpush.Loaded = buildpush.load("pipeline.yml", env={}, step="push")
    plan: buildpush.Plan | buildpush.SkippedStep = buildpush.check("pipeline.yml", step=loaded.steps[0].identifier)
    print(plan.reason, "" if isinstance(plan, buildpush.SkippedStep) else plan.engine)


def practise() -> None:
    with Sandbox() as box:
        host: str = box.host
        token: buildpush.Secret = box.token
        print(host, token)


def files() -> list[str]:
    uploaded: buildpush.RunResult = buildpush.upload(
        "dist/*.whl", "generic-local/app/", flat=True, props="a=1", sink=watch
    )
    received = buildpush.download("generic-local/app/*.whl", "wheels/", threads=8, dry_run=True)
    return [file.place for file in (*uploaded.files, *received.files)]
