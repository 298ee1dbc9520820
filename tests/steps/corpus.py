"""Step files as people write them, and what of each is planned: ``NAME.yml`` and ``NAME.txt`` beside this module.

One more is two more files.
A line ``# var NAME=VALUE`` of a file is what ``--var`` would give, ``# step ID`` what ``--step`` would choose,
``# inputs NAME`` the input set ``inputs/NAME`` of ``--inputs``, and ``# templates`` gives all of ``templates``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from shutil import copytree

from buildpush.credentials.connectors_file import read_connectors
from buildpush.credentials.vault import Vault
from buildpush.expressions.evaluate import LaterError
from buildpush.expressions.facts import Counter, Facts, Git
from buildpush.foundation.errors import BuildPushError
from buildpush.foundation.events import Note
from buildpush.pipeline.conditions import StatusSoFar
from buildpush.pipeline.kept import KeptImages
from buildpush.pipeline.outcomes import Outcome
from buildpush.pipeline.step_values import StepValues
from buildpush.pipeline.steps import Walk
from buildpush.places import CommandResult, Recorded
from buildpush.settings.evaluate import check_known, evaluate
from buildpush.settings.model import BuildAndPush
from buildpush.settings.resolve import resolve
from buildpush.settings.resolved import ResolvedStep
from buildpush.settings.sources import CompanionFiles, read
from buildpush.settings.tree import Step

DIRECTORY = Path(__file__).parent
NAMES = sorted(path.stem for path in DIRECTORY.glob("*.yml"))
ENV = {
    "DRONE_COMMIT_SHA": "0123456789abcdef0123456789abcdef01234567",
    "DRONE_COMMIT_BRANCH": "feature/oak",
    "DRONE_BUILD_NUMBER": "7",
    "DRONE_TAG": "v1.4.2",
    "HARNESS_EXECUTION_ID": "run-7",
    **{f"BUILDPUSH_SECRET_{name}": f"s3cret-{name.lower()}" for name in ("HUB", "JFROG", "USER", "TOKEN", "ORG_TOKEN")},
}
CONNECTORS = """\
connectors:
  - connector:
      {name: Hub, identifier: hub, type: DockerRegistry, spec: {dockerRegistryUrl: "https://index.docker.io/v2/",
      auth: {type: UsernamePassword, spec: {username: timber, passwordRef: hub}}}}
  - connector:
      {name: JFrog, identifier: jfrog, type: DockerRegistry, spec: {dockerRegistryUrl: "https://timber.jfrog.io",
      auth: {type: UsernamePassword, spec: {username: saw, passwordRef: jfrog}}}}
  - connector:
      {name: Nexus, identifier: nexus, type: DockerRegistry, spec: {dockerRegistryUrl: "https://nexus.timber.example:8443",
      auth: {type: UsernamePassword, spec: {username: saw, passwordRef: jfrog}}}}
  - connector:
      {name: Lab, identifier: lab, type: DockerRegistry, spec: {dockerRegistryUrl: "http://lab.timber.example:5000",
      auth: {type: UsernamePassword, spec: {username: saw, passwordRef: jfrog}}}}
"""


@dataclass
class Shown:
    """What is planned for a file, as lines."""

    name: str
    cwd: Path
    lines: list[str] = field(default_factory=list)

    def text(self) -> str:
        """Return the plan of all steps, or until the first that is refused."""
        try:
            self.file()
        except BuildPushError as error:
            self.lines.append(f"error: {error}")
            self.lines += [f"hint: {error.hint}"] if error.hint else []
        return "".join(f"{line}\n" for line in self.lines)

    def file(self) -> None:
        self.prepare()
        written = (DIRECTORY / f"{self.name}.yml").read_text()
        given = dict(line.partition("=")[::2] for line in re.findall(r"^# var (.*)", written, re.MULTILINE))
        step = next(iter(re.findall(r"^# step (.*)", written, re.MULTILINE)), None)
        inputs = tuple(Path("inputs", name) for name in re.findall(r"^# inputs (.*)", written, re.MULTILINE))
        companions = CompanionFiles(
            Path("templates") if re.search("^# templates$", written, re.MULTILINE) else None, inputs
        )
        file = Path(f"{self.name}.yml")
        loaded = read(file, env=ENV, flags={}, keywords={}, cwd=self.cwd, step=step, companions=companions)
        connectors = read_connectors(self.cwd / "connectors.yml")
        vault = Vault(ENV, self.cwd, None, connectors.references)
        git = Git(Recorded(lambda _: CommandResult(128)), self.cwd)
        values = StepValues(loaded.tree)
        counter = Counter(self.cwd / "state")
        facts = Facts(ENV, git, counter, 0.0, vault.secret, written=given, inputs=given, steps=values)

        kept = KeptImages.of(loaded.steps)

        def run(step: Step) -> Outcome:
            notes: list[str] = []
            settings = evaluate(step, facts, sink=lambda event: isinstance(event, Note) and notes.append(event.text))
            around = facts.within(step.scope, around=step.around)
            order = resolve(settings, cwd=self.cwd, facts=around, vault=vault, connectors=connectors, step=step)
            order = kept.with_builder(order)
            kept.add_builder(order, step)
            self.lines += [f"step {step.identifier} ({step.where})", *map("  ".__add__, self.order(order))]
            self.lines += [f"  note {note}" for note in (*notes, *order.notes)]
            return Outcome(step, "planned")

        def planned(step: Step, progress: StatusSoFar) -> Outcome:
            self.lines += [f"open {step.identifier}: {reason}" for reason in progress.open]
            try:
                return run(step)
            except LaterError:
                wait(step, "; ".join(map(str, check_known(step, facts).values())))
                return Outcome(step, "planned")

        def wait(step: Step, reason: str) -> None:
            self.lines.append(f"later {step.identifier} ({step.where}): {reason}")

        def skip(step: Step, reason: str) -> None:
            self.lines.append(f"skip {step.identifier} ({step.where}): {reason}")

        for outcome in Walk(planned, facts, skip, wait, values=values).over(loaded.tree):
            if outcome.error:
                raise outcome.error
        self.lines += [f"not run: {other}" for other in loaded.others]
        self.lines += [f"note: {note}" for note in loaded.notes]

    def prepare(self) -> None:
        """Make the directory that the file is run in."""
        (self.cwd / f"{self.name}.yml").write_bytes((DIRECTORY / f"{self.name}.yml").read_bytes())
        for directory in ("inputs", "templates"):
            copytree(DIRECTORY / directory, self.cwd / directory)
        for directory in (".", "services/auth", "services/web"):
            (self.cwd / directory).mkdir(parents=True, exist_ok=True)
            (self.cwd / directory / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
        (self.cwd / "image.tar").write_bytes(b"")
        (self.cwd / "connectors.yml").write_text(CONNECTORS)

    def order(self, order: ResolvedStep) -> Iterator[str]:
        """Yield what is to be done, but for what is usual."""
        if isinstance(order.settings, BuildAndPush) and order.request:
            yield from self.request(order)
        if order.source:
            yield f"from {order.source}".replace(str(self.cwd), ".")
        if order.tar:
            yield f"write {order.tar.relative_to(self.cwd)}"
        verb = "push" if order.push and (order.request or order.source) else "image"
        yield from (f"{verb} {reference}" for reference in order.references)
        for host, login in order.credentials.items():
            yield f"login {login.username or 'by a token'} at {host}, from {login.source}"
        yield from (f"plain {host}" for host, scheme in sorted(order.schemes.items()) if scheme == "http")
        yield from (f"insecure {host}" for host in sorted(order.insecure))
        if order.upload and order.artifactory:
            files, login = order.upload, order.artifactory.credential
            yield f"upload {files.source} to {files.target} at {order.artifactory.host}{', flat' * files.flat}"
            yield from (f"property {one}" for one in files.properties)
            yield f"login {login.username or 'by a token' if login else 'of no one'}"
        if order.build.publish and order.artifactory:
            yield f"build {order.build.name} {order.build.number} at {order.artifactory.url}"

    def request(self, order: ResolvedStep) -> Iterator[str]:
        request = order.request
        assert request
        yield f"build {request.dockerfile.relative_to(self.cwd)} in {request.context.relative_to(self.cwd)}"
        pairs: Mapping[str, object] = {
            "target": request.target,
            "platforms": " ".join(map(str, request.platforms)),
            "arguments": dict(request.build_args),
            "labels": dict(request.labels),
            "secrets": " ".join(request.build_secrets),
            "caching": request.caching,
            "cache from": " ".join(str(spec) for spec in request.cache_from),
            "cache to": " ".join(str(spec) for spec in request.cache_to),
            "cache repository": request.cache_repository,
            "ssh": " ".join(request.ssh),
            "no cache": request.no_cache,
        }
        yield from (f"{name} {value}" for name, value in pairs.items() if value)
