"""Calls that mypy checks and nobody runs: the types that importers see."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Unpack

import buildpush
from buildpush import aio
from buildpush.images.model import PushedImage
from buildpush.sandbox import Sandbox
from buildpush.settings.contents import ContentsEntry


def watch(event: buildpush.Event) -> None:
    if isinstance(event, buildpush.Progress):
        done: int = event.done
        print(done, event.total)


def main_job(sink: buildpush.Sink = watch) -> str:
    result: buildpush.RunResult = buildpush.run("step.yml", connectors=Path("connectors.yml"), tags=["1"], sink=sink)
    images: tuple[PushedImage, ...] = result.images
    seconds: dict[str, float] = dict(result.seconds)
    url: str = result.build_info_url
    print(images, seconds, url)
    return result.digest


def without_a_push() -> str:
    return buildpush.build(repo="acme.jfrog.io/docker-local/app", output="oci:out").output


def without_a_build() -> tuple[str, tuple[str, ...]]:
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


def settings_of_a_team(**more: Unpack[buildpush.StepSettings]) -> buildpush.StepSettings:
    shared: buildpush.StepSettings = {"platforms": ["linux/amd64"], "timeout": "10m", "dockerfile": Path("Dockerfile")}
    return {**shared, **more}


async def in_a_service() -> tuple[str, str, tuple[ContentsEntry, ...]]:
    pushed = aio.push("oci:app", "acme.jfrog.io/docker-local/app:1", media_types="oci", sink=watch)
    ran, copied = await asyncio.gather(aio.run("step.yml", **settings_of_a_team(tags=["1"])), pushed)
    return ran.digest, copied.digest, await aio.list_pipeline("pipeline.yml")


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
