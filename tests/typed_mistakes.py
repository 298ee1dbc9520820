"""Calls that type checkers must refuse, each with the error in its comment; nobody runs them.

One that is accepted has a comment without use, which is an error as well.
"""

from __future__ import annotations

from collections.abc import Sequence

import buildpush
from buildpush import aio


def misspelled() -> None:
    buildpush.rnu()  # type: ignore[attr-defined]
    print(buildpush.Nonsense)  # type: ignore[attr-defined]
    buildpush.run(tagz=["1"])  # type: ignore[call-arg]
    buildpush.run(connector="connectors.yml")  # type: ignore[call-arg]
    buildpush.build(outputs="oci:out")  # type: ignore[call-arg]
    buildpush.push("oci:app", "acme.jfrog.io/docker-local/app:1", pasword="env:TOKEN")  # type: ignore[call-arg]


def misspelled_about_builds() -> None:
    with buildpush.open_builds() as builds:
        builds.promote("app", "7", "docker-release", stauts="released")  # type: ignore[call-arg]


def of_another_type() -> None:
    buildpush.run(engine="dokcer")  # type: ignore[arg-type]
    buildpush.run(tags="1.4")  # type: ignore[arg-type]
    buildpush.run(tags=[1.4])  # type: ignore[list-item]
    buildpush.run(push="no")  # type: ignore[arg-type]
    buildpush.run(build_args=["A=1"])  # type: ignore[arg-type]
    buildpush.run(build_args={"A": buildpush.Secret("x")})  # type: ignore[dict-item]
    buildpush.check(connectors=1)  # type: ignore[arg-type]
    buildpush.load(timeout=60)  # type: ignore[arg-type]
    buildpush.copy("oci:app", "oci:other", compression="zip")  # type: ignore[arg-type]
    buildpush.push("oci:app", "acme.jfrog.io/docker-local/app:1", insecure="acme.jfrog.io")  # type: ignore[arg-type]


async def in_a_service() -> None:
    await aio.rnu()  # type: ignore[attr-defined]
    await aio.run(engine="dokcer")  # type: ignore[arg-type]
    await aio.push("oci:app", compresion="zstd")  # type: ignore[call-arg]


def in_a_mapping(tags: Sequence[str]) -> list[buildpush.StepSettings]:
    known: buildpush.StepSettings = {"tags": tags}  # type: ignore[typeddict-item]
    unknown: buildpush.StepSettings = {"tagz": ["1"]}  # type: ignore[typeddict-unknown-key]
    return [known, unknown]
