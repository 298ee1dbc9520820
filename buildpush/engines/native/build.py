"""The stages that a target takes, one after the other, for one platform."""

# Flags of other programs in this module's texts: --from --keep-git-dir

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from buildpush.dockerfile import dockerignore
from buildpush.dockerfile.model import Dockerfile, Instruction, Stage
from buildpush.dockerfile.parse import parse_trigger
from buildpush.dockerfile.platforms import platform_arguments
from buildpush.dockerfile.request import BuildRequest
from buildpush.dockerfile.stages import StageSource, global_arguments, needed, needed_for, origin, source
from buildpush.dockerfile.urls import is_git
from buildpush.engines import Tools
from buildpush.engines.native import copying
from buildpush.engines.native.addition import Tree
from buildpush.engines.native.context import Context
from buildpush.engines.native.downloads import Downloads
from buildpush.engines.native.draft import Draft
from buildpush.engines.native.instructions import PLAIN, Scene
from buildpush.engines.native.known import Known
from buildpush.foundation.errors import BadNameError, BuildError, DockerfileError
from buildpush.foundation.events import Log, Note
from buildpush.foundation.text import quotation
from buildpush.images.model import Image, Platform
from buildpush.images.references import Reference, mirrored

# Arguments that a builder knows by itself and that no ARG needs to ask for.
QUIET = frozenset(
    name
    for upper in ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY", "SOURCE_DATE_EPOCH")
    for name in (upper, upper.lower())
)


def refusal(dockerfile: Dockerfile, request: BuildRequest, here: Platform | None) -> tuple[int, str] | None:
    """Return line and words of the first thing in the needed stages that this engine does not do, or ``None``."""
    if dockerfile.syntax and not dockerfile.stages:
        return 1, f"# syntax={quotation(dockerfile.syntax, 60)} names another language"
    strange = [name for name, place in request.build_contexts.items() if not _reads(place)]
    if strange:
        return 1, f"the build context {strange[0]}, which is neither a folder nor an image"
    for stage, values in needed_for(dockerfile, request, here):
        if origin(dockerfile, stage, values, request.build_contexts).context:
            return stage.line, f"FROM a folder, {stage.base}"
        for instruction in stage.instructions:
            words = _cannot(instruction)
            if words:
                return instruction.line, words
    return None


def _reads(place: str) -> bool:
    scheme, colon, _ = place.partition("://")
    return not colon or scheme == "docker-image"


def _cannot(instruction: Instruction) -> str | None:
    """Return what in *instruction* this engine does not do, or ``None``."""
    if instruction.name == "RUN":
        return "RUN"
    if "keep-git-dir" in instruction.flags:
        return "ADD --keep-git-dir"
    cloned = instruction.name == "ADD" and any(map(is_git, instruction.words[:-1]))
    return "ADD of a git repository" if cloned else None


class Build:
    """One build of one platform; stages and images are made once each."""

    def __init__(
        self,
        dockerfile: Dockerfile,
        request: BuildRequest,
        context: Context,
        tools: Tools,
        downloads: Downloads,
    ) -> None:
        self.dockerfile = dockerfile
        self.request = request
        self.context = context
        self.downloads = downloads
        self.tools = tools
        self.known = Known(tools.memory, tools.now(), believed=not request.no_cache)
        self.created = int(self.known.begun) if request.created is None else request.created
        self.make: Callable[[Stage], Draft]
        self.drafts: dict[int, Draft] = {}
        self.images: dict[tuple[str, Platform], Draft] = {}
        self.folders: dict[str, Context] = {}
        self.used: set[str] = set()

    def run(self, platform: Platform) -> Image:
        """Return the target stage's image.

        Raises:
            BuildError: an instruction cannot be carried out; with its line.
        """
        automatic = platform_arguments(self.dockerfile, self.request, platform, self.tools.platform)
        values = global_arguments(self.dockerfile, self.request.build_args, automatic)
        declared = {name for instruction in self.dockerfile.arguments for name, _ in instruction.pairs}
        self.used |= declared & self.request.build_args.keys()
        self.make = partial(self._stage, platform=platform, values=values, automatic=automatic)
        for stage in needed(self.dockerfile, self.request.target, values, self.request.build_contexts):
            self._draft(stage)
        self._warn()
        return self._draft(self.dockerfile.target(self.request.target)).finish(self.request.labels, self.known)

    def _draft(self, stage: Stage) -> Draft:
        """Return what *stage* makes; one that only a trigger copies from is made when that trigger is."""
        if stage.number not in self.drafts:
            self.drafts[stage.number] = self.make(stage)
        return self.drafts[stage.number]

    def _warn(self) -> None:
        unused = sorted(self.request.build_args.keys() - self.used - QUIET)
        if unused:
            self.tools.sink(Note(f"no ARG of the Dockerfile asks for the build arguments {', '.join(unused)}"))

    def _stage(
        self, stage: Stage, platform: Platform, values: Mapping[str, str | None], automatic: Mapping[str, str]
    ) -> Draft:
        begins = origin(self.dockerfile, stage, values, self.request.build_contexts)
        if begins.platform == "":
            message = f"the platform {stage.platform} is blank"
            hint = "give the argument a default before FROM, or set it in buildArgs"
            raise DockerfileError(message, hint=hint, where=self.dockerfile.where(stage.line), setting="build_args")
        wanted = self._platform(begins.platform, stage.line) if begins.platform else platform
        base = begins.stage or begins.image  # scratch is for the target, whatever FROM says
        draft = self._begin(begins, wanted if base else platform, stage.line)
        scene = Scene(self.dockerfile, draft, values, self.request.build_args, automatic, self.used)
        triggers = draft.config.pop("OnBuild", None) or ()
        for trigger in triggers:
            self._do(scene, self._trigger(trigger, stage), stage)
        for instruction in stage.instructions:
            words = " ".join(instruction.rest.split())
            self.tools.sink(Log(f"[{stage.title}] {instruction.name} {words}".rstrip()))
            self._do(scene, instruction, stage)
        return draft

    def _platform(self, text: str, line: int) -> Platform:
        try:
            return Platform.parse(text)
        except BadNameError as error:
            raise DockerfileError(str(error), hint=error.hint, where=self.dockerfile.where(line)) from error

    def _begin(self, begins: StageSource, platform: Platform, line: int) -> Draft:
        if begins.stage:
            return self.drafts[begins.stage.number].child()
        if begins.image is None:
            return Draft.scratch(platform, self.created)
        return self._image(begins.image, platform, line).child()

    def _image(self, name: str, platform: Platform, line: int) -> Draft:
        """Return the image *name* of a registry."""
        key = (name, platform)
        if key not in self.images:
            self.tools.sink(Log(f"pull {name} for {platform}"))
            try:
                reference = mirrored(Reference.parse(name), self.request.mirror)
            except BadNameError as error:
                raise DockerfileError(str(error), hint=error.hint, where=self.dockerfile.where(line)) from error
            self.images[key] = Draft.of(self.tools.pull(reference, platform), self.created)
        return self.images[key]

    def _folder(self, place: str) -> Context:
        """Return a further context, which has a ``.dockerignore`` of its own."""
        if place not in self.folders:
            root = Path(place)
            ignore = dockerignore.read(root, None)
            self.folders[place] = Context(root, ignore, self.request.created, self.context.note)
        return self.folders[place]

    def _trigger(self, text: str, stage: Stage) -> Instruction:
        """Return an ONBUILD trigger of the base image as an instruction on the line of FROM.

        Raises:
            DockerfileError: it cannot be read, or this engine does not do it.
        """
        where = self.dockerfile.where(stage.line)
        found = parse_trigger(text, self.dockerfile.path)
        words = _cannot(found)
        if not words:
            return replace(found, line=stage.line)
        message = f"the base image has a trigger, ONBUILD {words}, which the engine native does not do"
        raise DockerfileError(message, hint="use engine: docker", where=where, setting="engine")

    def _do(self, scene: Scene, instruction: Instruction, stage: Stage) -> None:
        if instruction.name in PLAIN:
            PLAIN[instruction.name](scene, instruction)
        elif instruction.name == "WORKDIR":
            copying.work_folder(scene, instruction, self.request.created)
        elif instruction.name in {"COPY", "ADD"}:
            sources = copying.Sources(self.context, self._finder(stage, scene), self.downloads)
            copying.copy(scene, instruction, sources)
        else:
            message = f"the engine native does not do {instruction.name}"
            raise BuildError(message, where=self.dockerfile.where(instruction.line))

    def _finder(self, stage: Stage, scene: Scene) -> Callable[[str, int], Tree]:
        def find(name: str, line: int) -> Tree:
            if "$" in name:
                raise scene.error(line, f"--from={name} cannot hold a variable", "FROM NAME AS stage before can")
            found = source(self.dockerfile, stage, name, line, self.request.build_contexts)
            if found.context:
                return self._folder(found.context)
            if found.stage:
                return self._draft(found.stage).files
            if found.image is None:
                raise scene.error(line, "--from=scratch has no files")
            return self._image(found.image, scene.draft.platform, line).files

        return find
