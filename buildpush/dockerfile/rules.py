"""Finds traps in a Dockerfile before anything is built, by a table of rules about its instructions.

A rule with a name of BuildKit's reports exactly what BuildKit does; ``# check=skip=NAME`` silences the other rules as
well.  Notes name variables and paths as they are written, never a value.

Source: BuildKit 0.34, frontend/dockerfile/linter/ruleset.go and dockerfile2llb/validations.go.
"""

# Flags of other programs in this module's texts: --from --mount --platform

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from buildpush.dockerfile import dockerignore
from buildpush.dockerfile import parse as reading
from buildpush.dockerfile.model import Dockerfile, Instruction
from buildpush.dockerfile.request import BuildRequest
from buildpush.dockerfile.stages import find_base, find_source
from buildpush.dockerfile.walk import BuildWalk, ExpandedInstruction, walk
from buildpush.foundation.errors import BadNameError, BuildPushError, DockerfileError
from buildpush.foundation.records import dataclass
from buildpush.foundation.regex import regex
from buildpush.images.model import Platform
from buildpush.images.references import Reference

# Features that a Dockerfile may need, and that not every engine supports.
HEREDOCS: Final = "heredocs"
OLD_HEREDOCS: Final = "heredocs, in old versions"
MOUNTS: Final = "mounts"
SOME_MOUNTS: Final = "mounts of other kinds than cache and secret"
RUN_INTO_VOLUMES: Final = "RUN into volumes"
COPY_INTO_VOLUMES: Final = "COPY into volumes"

# Builders that do not support each feature, for the documentation; an engine reports what its installed version lacks.
BUILDERS_WITHOUT: Final = MappingProxyType(
    {
        HEREDOCS: "docker without buildx, buildah before 1.33",
        OLD_HEREDOCS: "kaniko before 1.25.4",
        MOUNTS: "docker without buildx",
        SOME_MOUNTS: "kaniko",
        RUN_INTO_VOLUMES: "docker without buildx, buildah before 1.37, kaniko",
        COPY_INTO_VOLUMES: "kaniko",
    }
)

_ARGUMENT: Final = "BUILDKIT_DOCKERFILE_CHECK"
_DENIED: Final = "apikey|auth|credential|credentials|key|password|pword|passwd|secret|token"
_SECRET: Final = regex(rf"(?:_|\A)(?:{_DENIED})(?:_|\Z)", re.IGNORECASE)
_HARMLESS: Final = regex(r"(?:_|\A)(?:public|file|version)(?:_|\Z)", re.IGNORECASE)
_WEB: Final = regex(r"(https?|git|ssh)://|git@", re.IGNORECASE)
_WRITER: Final = regex(r"\b(?:mkdir|touch|chown|chmod|cp|mv|install|ln|tee|tar|rm)\b")
_DIRECTIVE: Final = regex(r"check\s*=\s*(\S+)", re.IGNORECASE)
_TRUE: Final = frozenset({"1", "t", "T", "true", "TRUE", "True"})
_FALSE: Final = frozenset({"0", "f", "F", "false", "FALSE", "False"})

Findings = Iterator[tuple[Instruction, str]]


@dataclass(frozen=True, slots=True)
class Rule:
    """One kind of trap.

    Attributes:
        name: BuildKit's name for it, if BuildKit has the rule.
        sentence: what it finds, for the documentation.
        find: yields each instruction with the trap, and a text that says what to do.
        buildkit: whether BuildKit has the rule.
        needs: the feature that the instruction needs; it is a trap only for builders without it. If empty, for all.
        whole: whether it is about the whole file, so that a comment above an instruction does not silence it.
    """

    name: str
    sentence: str
    find: Callable[[BuildWalk], Findings]
    buildkit: bool = True
    needs: str = ""
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Trap:
    """A trap that was found; *words* say where it is, what it is, and what to do."""

    rule: str
    line: int
    words: str
    buildkit: bool

    def __str__(self) -> str:
        return self.words


@dataclass(frozen=True, slots=True)
class DockerfileAdvice:
    """The traps of a Dockerfile.

    Attributes:
        errors: broken rules that the file itself declares to be errors, with ``# check=error=true``.
    """

    traps: tuple[Trap, ...] = ()
    errors: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CheckDirective:
    """The options of a ``check`` directive."""

    everything: bool = False
    skipped: frozenset[str] = frozenset()
    error: bool = False

    @classmethod
    def parse(cls, text: str) -> CheckDirective | None:
        """Return the options in *text*, such as ``skip=RuleA,RuleB;error=true``; ``None`` if BuildKit refuses it."""
        options: dict[str, str] = {}
        for part in text.strip().split(";", 2) if text.strip() else ():
            key, equals, value = part.partition("=")
            if not equals or key.strip() not in {"skip", "experimental", "error"}:
                return None
            options[key.strip()] = value.strip()
        if options.get("error", "0") not in _TRUE | _FALSE:
            return None
        names = frozenset(name.strip() for name in options.get("skip", "").split(","))
        return cls(names == {"all"}, names - {"all"}, options.get("error", "0") in _TRUE)

    def silences(self, rule: str) -> bool:
        """Return whether *rule* is to be skipped."""
        return self.everything or rule in self.skipped


def advise(request: BuildRequest, missing: Callable[[], frozenset[str]]) -> DockerfileAdvice:
    """Return the traps of what *request* builds; none where only the engine can read the Dockerfile.

    Args:
        request: its target, arguments, contexts and Dockerfile matter.
        missing: returns the features that the engine does not support; called only if the Dockerfile needs one that not
            every engine has.
    """
    try:
        file = reading.read(request.dockerfile)
        if not file.stages:
            return DockerfileAdvice()
        build = walk(file, request)
        check = _check(file, request)
        traps = tuple(sorted(_traps(build, check, missing), key=lambda trap: trap.line))
    except DockerfileError:
        return DockerfileAdvice()  # the engine reports it itself, or can read it
    errors = dict.fromkeys(trap.rule for trap in traps if trap.buildkit) if check.error else ()
    return DockerfileAdvice(traps, tuple(errors))


def _check(file: Dockerfile, request: BuildRequest) -> CheckDirective:
    """Return the options of the file's directive, or of the build argument, which takes precedence."""
    options = request.build_args.get(_ARGUMENT, (file.check or "").partition(" ")[0])
    return (
        CheckDirective.parse(options) or CheckDirective()
    )  # BuildKit refuses malformed options, other builders ignore them


def _traps(build: BuildWalk, check: CheckDirective, missing: Callable[[], frozenset[str]]) -> Iterator[Trap]:
    for rule in RULES:
        if check.silences(rule.name):
            continue
        notes = dict.fromkeys(
            (instruction.line, words)
            for instruction, words in rule.find(build)
            if rule.whole or not _check_above(instruction).silences(rule.name)
        )
        if notes and rule.needs and rule.needs not in missing():
            continue
        for line, words in notes:
            yield Trap(rule.name, line, f"{build.dockerfile.where(line)}: {rule.name}: {words}", rule.buildkit)


def _check_above(instruction: Instruction) -> CheckDirective:
    """Return the options in a comment above the instruction; the first directive counts."""
    matches = (_DIRECTIVE.match(comment) for comment in instruction.comments)
    options = next((match[1] for match in matches if match), "")
    return CheckDirective.parse(options) or CheckDirective()


def _steps_of(build: BuildWalk, *names: str) -> Iterator[ExpandedInstruction]:
    return (step for step in build.steps if step.instruction.name in names)


def _duplicate_stage_name(build: BuildWalk) -> Findings:
    seen: set[str] = set()
    for stage in build.dockerfile.stages:
        if stage.name and stage.name in seen:
            yield (
                stage.from_instruction,
                f"an earlier stage is called {stage.name} too, and is hidden from here on; rename one",
            )
        seen |= {stage.name or ""}


def _reserved_stage_name(build: BuildWalk) -> Findings:
    for stage in build.dockerfile.stages:
        if stage.name in {"context", "scratch"}:
            yield stage.from_instruction, f"{stage.name} means something else to builders; give the stage another name"


def _undefined_in_from(build: BuildWalk) -> Findings:
    for stage in build.dockerfile.stages:
        for text in filter(None, (stage.base, stage.platform)):
            word, _ = build.word(text, stage.line)
            for name in sorted(word.unset - build.declared):
                yield (
                    stage.from_instruction,
                    f"no ARG before the first FROM declares {name}; write ARG {name}=VALUE there",
                )


def _relative_workdir(build: BuildWalk) -> Findings:
    for step in _steps_of(build, "WORKDIR"):
        word = step.words[0]
        if step.is_first_workdir and word.certain and not word.text.startswith("/"):
            yield step.instruction, f"WORKDIR {word.raw} depends on the base image; write it as an absolute path"


def _undefined(build: BuildWalk) -> Findings:
    for step in build.steps:
        if not step.known:
            continue  # the base image may set it
        for name in sorted(step.unset if step.instruction.name != "EXPOSE" else ()):  # as BuildKit
            yield step.instruction, _how_to_define(build, name)


def _how_to_define(build: BuildWalk, name: str) -> str:
    if any(name == one for instruction in build.dockerfile.arguments for one, _ in instruction.pairs):
        return f"${name} is set before the first FROM only; repeat ARG {name} in this stage"
    return f"nothing sets ${name}; declare it before, with ARG or ENV, or write \\${name} if it is not a variable"


def _several(build: BuildWalk) -> Findings:
    before: dict[tuple[int, str], Instruction] = {}
    for step in _steps_of(build, "CMD", "ENTRYPOINT", "HEALTHCHECK"):
        name = step.instruction.name
        earlier = before.get((step.stage.number, name))
        if earlier:  # as in BuildKit, a comment above the later one silences it
            words = f"a later {name} of this stage replaces it; remove one"
            yield replace(earlier, comments=step.instruction.comments), words
        before[step.stage.number, name] = step.instruction


def _constant_platform(build: BuildWalk) -> Findings:
    for stage in build.dockerfile.stages:
        if not stage.platform:
            continue
        word, used = build.word(stage.platform, stage.line)
        if not used and not word.unset and not _names_platform(stage.name or "", word.text):
            words = "builds for other platforms use it as well; use $BUILDPLATFORM or $TARGETPLATFORM, or leave it out"
            yield stage.from_instruction, f"--platform={stage.platform} is fixed: {words}"


def _names_platform(stage: str, text: str) -> bool:
    """Return whether the stage's name contains its platform, or *text* is not a platform."""
    try:
        platform = Platform.parse(text)
    except BadNameError:
        return True
    return platform.os in stage or platform.architecture in stage


def _secrets(build: BuildWalk) -> Findings:
    for step in _steps_of(build, "ARG", "ENV"):
        raw = [name for name, _ in step.instruction.pairs]
        names = [word.text for word in step.words[::2]] if step.instruction.name == "ENV" else raw
        for name, written in zip(names, raw, strict=True):
            if _SECRET.search(name) and not _HARMLESS.search(name):
                remedy = "use RUN --mount=type=secret and the setting env_docker_secrets"
                yield step.instruction, f"{step.instruction.name} {written} stays readable in the image; {remedy}"


def _ignored(build: BuildWalk) -> Findings:
    try:
        yield from _find_ignored(build, dockerignore.read(build.request.context, build.request.dockerfile))
    except BuildPushError:
        return  # the engine reports it itself


def _find_ignored(build: BuildWalk, ignore: dockerignore.Ignore) -> Findings:
    if not ignore.patterns or ignore.patterns.has_exceptions:
        return  # an exception may keep what is in an ignored directory
    for step in _steps_of(build, "ADD", "COPY"):
        if "from" not in step.instruction.flags:
            for word in step.sources:
                if word.certain and not _WEB.match(word.text) and _hides(ignore, word.text):
                    yield (
                        step.instruction,
                        f"{ignore.path} leaves out {word.raw}; copy something else, or correct that file",
                    )


def _hides(ignore: dockerignore.Ignore, source: str) -> bool:
    path = posixpath.normpath(source)
    if path in {".", "/"}:
        return any(pattern.text in {"*", "**", "**/*"} for pattern in ignore.patterns.patterns)
    return ignore.hides(path)


def _unpinned(build: BuildWalk) -> Findings:
    for stage in build.stages:
        image = find_base(build.dockerfile, stage, build.globals, build.request.build_contexts).image
        if image and _is_latest(image):
            yield (
                stage.from_instruction,
                f"FROM {stage.base} may be another image tomorrow; name a version, or a digest",
            )
    for step in _steps_of(build, "COPY"):
        name = step.instruction.flags.get("from", "$")
        image = None if "$" in name else _image(build, step, name)
        if image and _is_latest(image):
            yield step.instruction, f"COPY --from={name} may be another image tomorrow; name a version, or a digest"


def _later_stage(build: BuildWalk) -> Findings:
    for stage in build.stages:
        image = find_base(build.dockerfile, stage, build.globals, build.request.build_contexts).image
        later = build.dockerfile.stage(image) if image else None
        if later and later.number > stage.number:
            words = f"FROM {stage.base} is an image: the stage of that name begins only at line {later.line}"
            yield stage.from_instruction, f"{words}; move it up, or give it another name"


def _image(build: BuildWalk, step: ExpandedInstruction, name: str) -> str | None:
    return find_source(build.dockerfile, step.stage, name, step.instruction.line, build.request.build_contexts).image


def _is_latest(image: str) -> bool:
    try:
        reference = Reference.parse(image)
    except BadNameError:
        return False
    return reference.digest is None and str(reference.tag) == "latest"


def _run_into_volume(build: BuildWalk) -> Findings:
    for step in _steps_of(build, "RUN"):
        text = "\n".join((*step.instruction.words, *(heredoc.text for heredoc in step.instruction.heredocs)))
        for volume in step.volumes:
            if _writes(text, volume.rstrip("/")):
                yield step.instruction, "what RUN writes below a VOLUME is lost; write it before that VOLUME"


def _writes(text: str, directory: str) -> bool:
    """Return whether a shell's *text* writes into *directory*: by a redirection, or by a command that writes files."""
    place = rf"['\"]?{re.escape(directory)}(?![\w.-])"
    if re.search(rf">>?\s*{place}", text):
        return True
    commands = ((part, _WRITER.search(part)) for part in re.split(r"[&|;\n]", text))
    return any(word and re.search(rf"\s{place}", part[word.end() :]) for part, word in commands)


def _copy_into_volume(build: BuildWalk) -> Findings:
    for step in _steps_of(build, "ADD", "COPY"):
        target = posixpath.normpath(posixpath.join(step.directory, step.words[-1].text))
        for volume in step.volumes:
            if step.words[-1].certain and f"{target}/".startswith(f"{volume.rstrip('/')}/"):
                name = step.instruction.name
                yield step.instruction, f"what {name} puts below a VOLUME is lost; put it there before that VOLUME"


def _mounts(build: BuildWalk) -> Findings:
    for step in _steps_of(build, "RUN"):
        if "mount" in step.instruction.flags:
            yield step.instruction, "this builder does not support RUN --mount; install buildx, or use engine: buildah"


def _some_mounts(build: BuildWalk) -> Findings:
    for step in _steps_of(build, "RUN"):
        for mount in step.instruction.flags.get("mount", "").splitlines():
            kind = re.search(r"(?:\A|,)type=([^,]+)", mount)
            name = kind[1].lower() if kind else "bind"
            if name not in {"cache", "secret"}:
                since = " before kaniko 1.28" if name == "bind" and "from=" not in mount else ""
                yield step.instruction, f"--mount=type={name} is ignored{since}; use engine: buildx or buildah"


def _heredocs(build: BuildWalk) -> Findings:
    for step in build.steps:
        if step.instruction.heredocs:
            yield (
                step.instruction,
                "this builder does not support heredocs; use engine: buildx, or a file of the context",
            )


def _old_heredocs(build: BuildWalk) -> Findings:
    for step in build.steps:
        if step.instruction.heredocs:
            words = "kaniko before 1.25.4 ignores heredocs; pin a later kaniko_image, or use engine: buildx"
            yield step.instruction, words


RULES: Final = (
    Rule("CopyIgnoredFile", "COPY or ADD of a file that `.dockerignore` leaves out.", _ignored),
    Rule("DuplicateStageName", "Two stages with the same name.", _duplicate_stage_name, whole=True),
    Rule("FromPlatformFlagConstDisallowed", "FROM for one fixed platform.", _constant_platform),
    Rule("MultipleInstructionsDisallowed", "A CMD, ENTRYPOINT or HEALTHCHECK that a later one replaces.", _several),
    Rule("ReservedStageName", "A stage called `scratch` or `context`.", _reserved_stage_name, whole=True),
    Rule("SecretsUsedInArgOrEnv", "ARG or ENV whose name is that of a secret; it stays in the image.", _secrets),
    Rule("UndefinedArgInFrom", "FROM with a variable that no ARG declares before the first FROM.", _undefined_in_from),
    Rule("UndefinedVar", "A variable that nothing sets, in a stage that begins from `scratch`.", _undefined),
    Rule("WorkdirRelativePath", "A first WORKDIR that depends on the base image.", _relative_workdir),
    Rule(
        "UnpinnedImage",
        "`FROM` or `COPY --from` of an image without a tag, or of its `latest`.",
        _unpinned,
        buildkit=False,
    ),
    Rule("StageBeginsLater", "FROM of an image with the name of a later stage.", _later_stage, buildkit=False),
    Rule("HeredocUnknown", "A heredoc, which the builder does not support.", _heredocs, buildkit=False, needs=HEREDOCS),
    Rule(
        "HeredocPassedOver",
        "A heredoc, which old versions of the builder ignore.",
        _old_heredocs,
        buildkit=False,
        needs=OLD_HEREDOCS,
    ),
    Rule("MountUnknown", "`RUN --mount`, which the builder does not support.", _mounts, buildkit=False, needs=MOUNTS),
    Rule(
        "MountPassedOver",
        "`RUN --mount` of a type that the builder ignores.",
        _some_mounts,
        buildkit=False,
        needs=SOME_MOUNTS,
    ),
    Rule(
        "RunIntoVolume",
        "RUN that writes into a VOLUME of its stage; the builder discards the files.",
        _run_into_volume,
        buildkit=False,
        needs=RUN_INTO_VOLUMES,
    ),
    Rule(
        "CopyIntoVolume",
        "COPY or ADD into a VOLUME of its stage; the builder discards the files.",
        _copy_into_volume,
        buildkit=False,
        needs=COPY_INTO_VOLUMES,
    ),
)
