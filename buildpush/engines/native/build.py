"""Builds the stages that a target needs, one after the other, for one platform."""

# Flags of other programs in this module's texts: --from --keep-git-dir

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field
from functools import cached_property, partial
from pathlib import Path

from buildpush.dockerfile import dockerignore
from buildpush.dockerfile.instructions import check_owner, error_of_from, errors_in
from buildpush.dockerfile.model import BuildStage, Dockerfile, Instruction
from buildpush.dockerfile.parse import parse_trigger
from buildpush.dockerfile.platforms import platform_arguments
from buildpush.dockerfile.request import BuildRequest
from buildpush.dockerfile.stages import (
    StageSource,
    base_images,
    check_platform,
    find_base,
    find_source,
    global_arguments,
    located,
    needed,
    needed_for,
)
from buildpush.dockerfile.urls import is_git
from buildpush.dockerfile.walk import ExpandedInstruction, walk
from buildpush.engines import Tools
from buildpush.engines.native import copying
from buildpush.engines.native.addition import Tree
from buildpush.engines.native.context import Context
from buildpush.engines.native.diff_ids import DiffIdCache
from buildpush.engines.native.downloads import Downloads
from buildpush.engines.native.draft import Draft
from buildpush.engines.native.instructions import HANDLERS, StageState
from buildpush.foundation.errors import (
    AuthenticationError,
    BadNameError,
    BuildError,
    DockerfileError,
    RegistryError,
    UnreachableError,
)
from buildpush.foundation.events import Log, Note
from buildpush.foundation.records import dataclass
from buildpush.foundation.text import quotation
from buildpush.images.model import Image, Platform
from buildpush.images.references import Reference, references_in_mirrors

_CLONE = "ADD of a git repository"
# Build arguments that no ARG needs to declare.
PREDEFINED_ARGUMENTS = frozenset(
    name
    for upper in ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY", "SOURCE_DATE_EPOCH")
    for name in (upper, upper.lower())
)


def first_unsupported(dockerfile: Dockerfile, request: BuildRequest, here: Platform | None) -> str | None:
    """Return place and words of the first thing in the needed stages that this engine does not support, or ``None``.

    Raises:
        DockerfileError: something in an instruction is wrong.
    """
    if dockerfile.syntax and not dockerfile.stages:
        return (
            f"{dockerfile.where(1)}: # syntax={quotation(dockerfile.syntax, 60)} names a frontend for another language"
        )
    unreadable = [name for name, location in request.build_contexts.items() if not _is_readable(location)]
    if unreadable:
        return f"{dockerfile.where(1)}: the build context {unreadable[0]}, which is neither a directory nor an image"
    base_images(dockerfile, request)
    for stage, values in needed_for(dockerfile, request, here):
        if find_base(dockerfile, stage, values, request.build_contexts).context:
            return f"{dockerfile.where(stage.line)}: FROM a directory, {stage.base}"
        for instruction in stage.instructions:
            words = _unsupported(instruction)
            if words:
                return f"{dockerfile.where(instruction.line)}: {words}"
    for stage, values in needed_for(dockerfile, request, here):
        stage_platform(dockerfile, stage, find_base(dockerfile, stage, values, request.build_contexts).platform)
    if error := next(errors_in(dockerfile, request, here), None):
        raise error
    return _first_unsupported_word(dockerfile, request, here)


def _first_unsupported_word(dockerfile: Dockerfile, request: BuildRequest, here: Platform | None) -> str | None:
    """Return what only variables, or triggers of another stage, ask for."""
    for platform in request.platforms or (None,):
        for step in walk(dockerfile, request, platform, here).steps:
            words = _unsupported(step.instruction)
            if words and step.instruction.line == step.stage.line:
                words = f"the trigger ONBUILD {words}"
            if words := words or _unsupported_word(step):
                return f"{dockerfile.where(step.instruction.line)}: {words}"
    return None


def _unsupported_word(step: ExpandedInstruction) -> str | None:
    """Return what this engine does not support in the words of an instruction."""
    name, flags = step.instruction.name, step.instruction.flags
    if name == "ADD" and any(word.certain and is_git(word.text) for word in step.sources):
        return _CLONE
    if name == "COPY" and flags.get("from") == "scratch":
        return "COPY --from=scratch, which has no files"
    owner = step.values.get("chown") if name in {"ADD", "COPY"} else None
    try:
        check_owner(owner.text if owner and owner.certain else "")
    except DockerfileError as error:
        return str(error)
    return None


def stage_platform(dockerfile: Dockerfile, stage: BuildStage, text: str | None) -> Platform | None:
    """Parse *text*, the platform in the FROM of *stage*; ``None`` where there is none.

    Raises:
        DockerfileError: it is blank, or not a platform.
    """
    if text is None:
        return None
    check_platform(dockerfile, stage, text)
    try:
        return Platform.parse(text)
    except BadNameError as error:
        raise DockerfileError(str(error), hint=error.hint, where=dockerfile.where(stage.line)) from error


def _is_readable(location: str) -> bool:
    scheme, colon, _ = location.partition("://")
    return not colon or scheme == "docker-image"


def _unsupported(instruction: Instruction) -> str | None:
    """Return what in *instruction* this engine does not support, or ``None``."""
    if instruction.name == "RUN":
        return "RUN"
    if "keep-git-dir" in instruction.flags:
        return "ADD --keep-git-dir"
    has_repository = instruction.name == "ADD" and any(map(is_git, instruction.words[:-1]))
    return _CLONE if has_repository else None


@dataclass(frozen=True)
class NativeBuild:
    """One build for one platform; each stage and image is made once."""

    dockerfile: Dockerfile
    request: BuildRequest
    context: Context
    tools: Tools
    downloads: Downloads
    platform: Platform
    diff_ids: DiffIdCache
    drafts: dict[int, Draft] = field(default_factory=dict)
    images: dict[tuple[str, Platform], Draft] = field(default_factory=dict)
    directories: dict[str, Context] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)

    @property
    def created(self) -> int:
        """When the image was made, in seconds since 1970."""
        return int(self.diff_ids.start) if self.request.created is None else self.request.created

    @cached_property
    def builder_args(self) -> Mapping[str, str]:
        """The arguments that the builder sets."""
        return platform_arguments(self.dockerfile, self.request, self.platform, self.tools.platform)

    @cached_property
    def values(self) -> Mapping[str, str | None]:
        """Values of the ARG instructions before the first FROM."""
        return global_arguments(self.dockerfile, self.request.build_args, self.builder_args)

    def run(self) -> Image:
        """Return the target stage's image.

        Raises:
            BuildError: an instruction fails; with its line.
        """
        declared = {name for instruction in self.dockerfile.arguments for name, _ in instruction.pairs}
        self.used.update(declared & self.request.build_args.keys())
        for stage in needed(self.dockerfile, self.request.target, self.values, self.request.build_contexts):
            self._draft(stage)
        if unused := sorted(self.request.build_args.keys() - self.used - PREDEFINED_ARGUMENTS):
            self.tools.sink(Note(f"no ARG of the Dockerfile declares the build arguments {', '.join(unused)}"))
        return self._draft(self.dockerfile.target(self.request.target)).finish(self.request.labels, self.diff_ids)

    def _draft(self, stage: BuildStage) -> Draft:
        """Return the result of *stage*; one that only an ONBUILD trigger copies from is built when the trigger runs."""
        if stage.number not in self.drafts:
            self.drafts[stage.number] = self._stage(stage)
        return self.drafts[stage.number]

    def _stage(self, stage: BuildStage) -> Draft:
        base_source = find_base(self.dockerfile, stage, self.values, self.request.build_contexts)
        platform = stage_platform(self.dockerfile, stage, base_source.platform) or self.platform
        base = base_source.stage or base_source.image  # without one, the platform in FROM is ignored
        draft = self._begin(base_source, platform if base else self.platform, stage.line)
        state = StageState(self.dockerfile, draft, self.values, self.request.build_args, self.builder_args, self.used)
        for trigger in draft.config.pop("OnBuild", None) or ():
            self._do(state, self._trigger(trigger, stage), stage)
        for instruction in stage.instructions:
            words = " ".join(instruction.rest.split())
            self.tools.sink(Log(f"[{stage.title}] {instruction.name} {words}".rstrip()))
            self._do(state, instruction, stage)
        return draft

    def _begin(self, base_source: StageSource, platform: Platform, line: int) -> Draft:
        if base_source.stage:
            return self.drafts[base_source.stage.number].child()
        if base_source.image is None:
            return Draft.scratch(platform, self.created)
        return self._image(base_source.image, platform, line).child()

    def _image(self, name: str, platform: Platform, line: int) -> Draft:
        """Return the image *name* of a registry."""
        key = (name, platform)
        if key not in self.images:
            self.tools.sink(Log(f"pull {name} for {platform}"))
            try:
                *first, last = references_in_mirrors(Reference.parse(name), self.request.mirrors)
            except BadNameError as error:
                raise DockerfileError(str(error), hint=error.hint, where=self.dockerfile.where(line)) from error
            self.images[key] = Draft.of(self._pull(first, last, platform), self.created)
        return self.images[key]

    def _pull(self, first: Iterable[Reference], last: Reference, platform: Platform) -> Image:
        """Return the image from the first of these references that can be pulled."""
        for reference in first:
            try:
                return self.tools.pull(reference, platform)
            except (RegistryError, UnreachableError, AuthenticationError) as error:
                self.tools.sink(Log(f"the mirror's {reference} cannot be pulled: {error}"))
        return self.tools.pull(last, platform)

    def _directory(self, location: str) -> Context:
        """Return an additional context, which has its own ``.dockerignore``."""
        if location not in self.directories:
            root = Path(location)
            ignore = dockerignore.read(root, None)
            self.directories[location] = Context(root, ignore, self.request.created, self.context.note)
        return self.directories[location]

    def _trigger(self, text: str, stage: BuildStage) -> Instruction:
        """Return an ONBUILD trigger of the base image as an instruction on the line of FROM.

        Raises:
            DockerfileError: it cannot be read, or this engine does not support it.
        """
        instruction = parse_trigger(text, self.dockerfile.path, stage.line)
        words = _unsupported(instruction)
        if not words:
            return instruction
        message = f"the base image has a trigger, ONBUILD {words}, which the engine native does not support"
        where = self.dockerfile.where(stage.line)
        raise DockerfileError(message, hint="use engine: docker", where=where, setting="engine")

    def _do(self, state: StageState, instruction: Instruction, stage: BuildStage) -> None:
        if instruction.name in HANDLERS:
            HANDLERS[instruction.name](state, instruction)
        elif instruction.name == "WORKDIR":
            copying.work_directory(state, instruction, self.request.created)
        elif instruction.name in {"COPY", "ADD"}:
            find_tree = partial(self._find_tree, stage, state)
            sources = copying.Sources(self.context, find_tree, self.downloads)
            copying.copy(state, instruction, sources)
        else:
            message = f"the engine native does not support {instruction.name}"
            raise BuildError(message, where=self.dockerfile.where(instruction.line))

    def _find_tree(self, stage: BuildStage, state: StageState, name: str, line: int) -> Tree:
        """Return the files of what ``--from=NAME`` names."""
        if error := error_of_from(name):
            raise located(error, self.dockerfile, line)
        origin_of_files = find_source(self.dockerfile, stage, name, line, self.request.build_contexts)
        if origin_of_files.context:
            return self._directory(origin_of_files.context)
        if origin_of_files.stage:
            return self._draft(origin_of_files.stage).files
        if origin_of_files.image is None:
            raise state.error(line, "--from=scratch has no files")
        return self._image(origin_of_files.image, state.draft.platform, line).files
