"""One way to bring an image into an empty registry: the command lines of ours, and of the clients that people know."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.pushing import commands, layouts, registries
from benchmarks.pushing.commands import Ran
from benchmarks.pushing.material import Context
from benchmarks.pushing.registries import Target

Commands = Callable[[Target], Sequence[Sequence[str]]]
OURS = [sys.executable, "-m", "buildpush"]


def nothing(_target: Target) -> list[list[str]]:
    return []


@dataclass
class Trial:
    """Commands that are measured, those that prepare them, and those that tidy up; each time in a new registry."""

    kind: str
    commands: Commands
    before: Commands = nothing
    after: Commands = nothing
    env: Mapping[str, str] = field(default_factory=dict)
    ran: list[Ran] = field(default_factory=list)

    def __call__(self, _number: int) -> float:
        with registries.ALL[self.kind]() as target:
            env = {**target.env, **self.env}
            commands.run_all(self.before(target), env)
            try:
                self.ran.append(commands.run_all(self.commands(target), env))
            finally:
                commands.run_all(self.after(target), env)
        return self.ran[-1].seconds


def run_words(context: Context, target: Target, dockerfile: Path | None = None) -> list[str]:
    """Return what ``buildpush run`` and ``buildpush check`` are told."""
    words = [*layouts.build_words(context, dockerfile), "--repo", f"{target.host}/{target.path}", "--tags", "1"]
    return [*words, "--no-publish-build-info"]  # others publish none


def build_and_push(kind: str, context: Context, *more: str) -> Trial:
    return Trial(kind, lambda target: [[*OURS, "run", *run_words(context, target), *more]])


def push(kind: str, source: str, *more: str, env: Mapping[str, str] | None = None) -> Trial:
    return Trial(kind, lambda target: [[*OURS, "push", source, target.reference, *more]], env=env or {})


def skopeo(kind: str, source: str) -> Trial:
    return Trial(kind, lambda target: [_skopeo(source, target)])


def _skopeo(source: str, target: Target) -> list[str]:
    words = ["skopeo", "--insecure-policy", "copy", "--quiet", "--dest-tls-verify=false"]
    return [*words, source, f"docker://{target.reference}"]


def crane(kind: str, layout: Path) -> Trial:
    return Trial(kind, lambda target: [["crane", "push", str(layout), target.reference]])


class Docker:
    """What people do with a daemon."""

    def __init__(self, host: str, kind: str) -> None:
        self._env = {"DOCKER_HOST": host}
        self._kind = kind

    def push(self, image: str) -> Trial:
        tag = lambda target: [["docker", "tag", image, target.reference]]  # noqa: E731
        send = lambda target: [["docker", "push", "--quiet", target.reference]]  # noqa: E731
        return Trial(self._kind, send, tag, self._untag, self._env)

    def save_and_copy(self, image: str, archive: Path) -> Trial:
        save = ["docker", "save", "--output", str(archive), image]
        return Trial(self._kind, lambda target: [save, _skopeo(f"docker-archive:{archive}", target)], env=self._env)

    def build_and_push(self, context: Context) -> Trial:
        return Trial(
            self._kind,
            lambda target: [
                ["docker", "build", "--quiet", "--no-cache", "--tag", target.reference, str(context.directory)],
                ["docker", "push", "--quiet", target.reference],
            ],
            after=self._forget,
            env=self._env,
        )

    def buildx(self, context: Context) -> Trial:
        words = ["docker", "buildx", "build", "--quiet", "--no-cache", "--provenance=false", "--push"]
        return Trial(
            self._kind,
            lambda target: [[*words, "--tag", target.reference, str(context.directory)]],
            after=self._forget,
            env=self._env,
        )

    @staticmethod
    def _untag(target: Target) -> list[list[str]]:
        return [["docker", "image", "rm", "--force", "--no-prune", target.reference]]

    def _forget(self, target: Target) -> list[list[str]]:
        return [
            ["docker", "image", "rm", "--force", target.reference],
            ["docker", "builder", "prune", "--force", "--all"],
        ]
