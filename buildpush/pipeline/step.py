"""The story of a run: from what was written to what the registry and Artifactory confirmed.

::

    read ► Loaded ► evaluate ► BuildAndPush ► resolve ► Resolved ► engine.build ► Image ► push ► PushedImage
                                                           RunResult ◄ publish ◄ BuildInfo ◄ describe ◄┘
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from buildpush.dockerfile.request import BuildRequest
from buildpush.engines import choice
from buildpush.engines.seam import Engine
from buildpush.expressions.ci import revision_of
from buildpush.expressions.facts import Git, vcs
from buildpush.foundation.errors import BuildError, BuildInfoError, SettingsError, StrictError
from buildpush.foundation.events import Decision, Note
from buildpush.foundation.limits import time_limit
from buildpush.foundation.records import dataclass
from buildpush.foundation.state import NoStateError
from buildpush.images.model import Image, Index, Platform, PushedImage, PushedIndex
from buildpush.images.references import Digest
from buildpush.pipeline.connection import Connection, connect
from buildpush.pipeline.contexts import STDIN
from buildpush.pipeline.images import as_wished
from buildpush.pipeline.plan import Surroundings, surroundings
from buildpush.pipeline.publication import Publication
from buildpush.pipeline.results import RunResult
from buildpush.pipeline.session import Session, Story
from buildpush.pipeline.steps import attempt, raise_failure, walk
from buildpush.registry.nondistributable import with_nondistributable
from buildpush.registry.push import push
from buildpush.registry.receipt import receipt
from buildpush.settings.flows import Existing, names_idle, notes_on
from buildpush.settings.kinds import TRUE
from buildpush.settings.model import BUILD_STEP
from buildpush.settings.resolve import Resolved
from buildpush.settings.tree import Loaded, Step
from buildpush.transfer import Location
from buildpush.transfer.destinations import check_destination, check_packing, unsupported_packing, write
from buildpush.transfer.driver import Packing, WriteOptions
from buildpush.transfer.parse import parse
from buildpush.transfer.sources import archive_at, open_source

# The artifactory is imported where it is needed: who publishes nothing need not wait for it.
if TYPE_CHECKING:
    from buildpush.artifactory import BuildRecord, Published

Pushed = PushedImage | PushedIndex


def run_all(
    loaded: Loaded, session: Session, *, strict: bool = False, achieved: list[RunResult] | None = None
) -> tuple[RunResult, ...]:
    """Run every step of *loaded* in its order and return their results; the first failure ends the run.

    Args:
        loaded: the steps.
        session: what they may touch.
        strict: refuse a step that gives a note.
        achieved: gets each result as soon as there is one, so that its owner has them however the run ends.

    Raises:
        BuildPushError: its ``results`` hold what was achieved until then.
    """
    results = [] if achieved is None else achieved
    session.state.sweep(session.sink)
    around = surroundings(session, notes=loaded.notes)
    _announce(loaded, session, strict=strict)

    def run(step: Step) -> None:
        run_step(step, around, results, strict=strict)

    outcomes = walk(loaded.tree, lambda step: attempt(step, run, results))
    raise_failure(outcomes, results)
    return tuple(results)


def run_step(step: Step, around: Surroundings, achieved: list[RunResult], *, strict: bool = False) -> None:
    """Resolve, check, build, push, publish: one step.

    Its receipt goes to *achieved* and into the record of runs: what the registry confirmed, where the build-info is,
    how long each phase took. A step that fails after its push leaves one as well.

    Raises:
        BuildPushError: the first thing that failed; its class says which phase, its hint what to do.
    """
    # Artifactory knows a run of a build by its start: with one start, a step would replace what another published.
    around = replace(around, started=around.session.now())
    story = Story(around.session.sink, around.notes)
    progress = _Progress(step, story)
    with ExitStack() as kept:
        with story.phase("resolve", step.name or step.identifier):
            order = around.resolve(step, story, kept=kept)
        _refuse_notes(story, strict=strict)
        _carry_out(order, around, progress, achieved, strict=strict)


def _carry_out(
    order: Resolved, around: Surroundings, progress: _Progress, achieved: list[RunResult], *, strict: bool
) -> None:
    story = progress.story
    with (
        _kept(progress, around, achieved),
        time_limit(order.settings.timeout, story),
        connect(order, around.session, story) as connection,
        _interruptible(connection),
    ):
        engine = _engine(order, connection, story)
        _refuse_notes(story, strict=strict)
        with story.phase("preflight"):
            _check(order, connection)
        _refuse_notes(story, strict=strict)
        with _publication(order, connection, around, story) as progress.publication:
            _build_and_push(order, engine, connection, progress, around, strict=strict)
            progress.published = _publish(order, progress)


def _check(order: Resolved, connection: Connection) -> None:
    """Ask every host for the rights that the step will need, so that a wrong password costs no build."""
    if order.push and (order.request or order.source):
        connection.registry.check_push(order.references[0].repository)
    if order.build.publish and connection.artifactory:
        from buildpush.artifactory import check_publish

        name, number, project = order.build.name, order.build.number, order.build.project
        check_publish(connection.artifactory, name, number, project=project, sink=connection.registry.sink)
        with suppress(BuildInfoError):  # some registries tell their key only once something is pushed
            connection.artifactory.locate(order.references[0].repository)


def _engine(order: Resolved, connection: Connection, story: Story) -> Engine | None:
    if order.request is None:
        return None
    engine = choice.choose(order.engine, order.for_engines, order.request, connection.engines, story)
    choice.advised(engine, order.request, story)
    return engine


def _build_and_push(
    order: Resolved,
    engine: Engine | None,
    connection: Connection,
    progress: _Progress,
    around: Surroundings,
    *,
    strict: bool,
) -> None:
    """Build and push, or look at what was pushed earlier; *progress* knows the receipt from the moment it is there."""
    story = progress.story
    if order.source:
        place, platform, whole = _location(order.source), _only(order.platforms), order.nondistributable
        with open_source(place, connection.access, platform, nondistributable=whole) as found:
            wished = as_wished(found, _asked(order), story)
            _refuse_notes(story, strict=strict)
            progress.pushed = _push(wished, order, connection, progress)
        return
    if order.request is None or engine is None:
        progress.pushed = receipt(order.references[0], connection.registry)
        return
    with ExitStack() as stack:
        with story.phase("build", engine.name), _logged(progress, around):
            image = stack.enter_context(engine.build(order.request))
            _refuse_notes(story, strict=strict)  # the engine's: after the push they would come too late
            if not order.push and not order.tar:
                _drain(image)
        image = _whole(image, order, connection)
        if order.tar:
            archive = Location("docker-archive", str(order.tar))
            with story.phase("write", str(archive)):
                write(image, archive, connection.access, WriteOptions(order.references, sink=story))
            progress.output = str(archive)
        if order.push:  # this reads the image, and so makes the layers of an engine that makes them on the way
            progress.pushed = _push(image, order, connection, progress)
            progress.base = frozenset(_base(image, progress.pushed))


def _location(source: Existing) -> Location:
    """Return where an image is that is there already; an archive says itself of which kind it is."""
    if source.image:
        return Location("docker-daemon", str(source.image), reference=source.image)
    return archive_at(source.tar or Path())


def _asked(order: Resolved) -> Packing:
    """Return what somebody asked for; otherwise an image stays as it is, its digest too."""
    return Packing(
        order.compression if "compression" in order.set_names else None,
        order.media_types if "media_types" in order.set_names else None,
    )


def _only(platforms: tuple[Platform, ...]) -> Platform | None:
    return platforms[0] if platforms else None


def _push(image: Image | Index, order: Resolved, connection: Connection, progress: _Progress) -> Pushed:
    def before(receipt: Pushed) -> None:
        if progress.publication:
            progress.publication.foresee(receipt, frozenset(_base(image, receipt)) if order.request else ())

    story = progress.story
    with story.phase("push", ", ".join(str(reference) for reference in order.references)):
        return push(
            image,
            order.references,
            connection.registry,
            compression=order.compression,
            media_types=order.media_types,
            checksums=order.build.publish,
            before=before,
            sink=story,
        )


def _whole(image: Image | Index, order: Resolved, connection: Connection) -> Image | Index:
    """Return a built image with the layers of its base that others leave out, if they are wanted."""
    return with_nondistributable(image, connection.registry) if order.nondistributable else image


def _base(image: Image | Index, pushed: Pushed) -> Iterator[Digest]:
    """Yield the digests of layers that came out of a registry as they are: those of base images."""
    sources, receipts = _images(image), pushed.images if isinstance(pushed, PushedIndex) else (pushed,)
    for source, receipt_of_it in zip(sources, receipts, strict=True):
        for layer, blob in zip(source.layers, receipt_of_it.layers, strict=True):
            if layer.repository:
                yield blob.digest


def _images(image: Image | Index) -> tuple[Image, ...]:
    return image.images if isinstance(image, Index) else (image,)


def _drain(image: Image | Index) -> None:
    """Read every layer once: only then has an engine that makes them on the way really built them."""
    for each in _images(image):
        for _, reader in each.blobs(range(len(each.layers))):
            while reader.read(1 << 20):
                pass


@contextmanager
def _publication(
    order: Resolved, connection: Connection, around: Surroundings, story: Story
) -> Iterator[Publication | None]:
    """Give the build-info that is to come of the step, if there is to be one."""
    if connection.artifactory is None or not order.build.publish:
        yield None
        return
    known = cache(partial(_record, order, around))  # it asks git

    def record() -> BuildRecord:
        duration = around.session.now() - around.started
        return replace(known(), duration_ms=max(1, round(duration.total_seconds() * 1000)))

    with Publication(connection.artifactory, connection.registry, around.session, story, record) as publication:
        yield publication


def _publish(order: Resolved, progress: _Progress) -> Published | None:
    pushed, story, publication = progress.pushed, progress.story, progress.publication
    if pushed is None or publication is None:
        if pushed is not None:
            story(Decision("build-info", "not published", _why_not(order)))
        return None
    with story.phase("publish", f"{order.build.name} {order.build.number}"):
        return publication.publish(pushed, progress.base)


def _why_not(order: Resolved) -> str:
    if "publish_build_info" in order.set_names:
        return "the setting 'publish_build_info' says so"
    return "nobody says where Artifactory is: set JF_URL, 'artifactory_url' or 'publish_build_info'"


def _record(order: Resolved, around: Surroundings) -> BuildRecord:
    from buildpush.artifactory import BuildRecord, Vcs, allowed_environment

    env, build = around.session.env, order.build
    git = Git(around.facts.git.place, order.git_folder) if order.git_folder else around.facts.git
    source = vcs(git, revision_of(env))
    return BuildRecord(
        name=build.name,
        number=build.number,
        started=around.started,
        url=build.url,
        project=build.project,
        module=build.module,
        vcs=(Vcs(source.url, source.revision, source.branch, source.message),) if source else (),
        environment=allowed_environment(env, getattr(order.settings, "env_include", ())),
        principal=around.ci.actor,
    )


def build_all(
    loaded: Loaded, session: Session, *, output: str | None, achieved: list[RunResult] | None = None
) -> tuple[RunResult, ...]:
    """Build every build step of *loaded* without a push.

    Args:
        loaded: the steps.
        session: what they may touch.
        output: where the image goes, if anywhere.
        achieved: as for :func:`run_all`.
    """
    destination = _destination(output, loaded) if output else None
    _refuse_push(loaded)
    session.state.sweep(session.sink)
    around = surroundings(session, dry=True, notes=loaded.notes)
    _announce(loaded, session, strict=False)
    results = [] if achieved is None else achieved

    def build(step: Step) -> None:
        results.append(_build_only(step, around, destination))

    outcomes = walk(loaded.tree, lambda step: attempt(step, build, results))
    raise_failure(outcomes, results)
    return tuple(results)


def _destination(output: str, loaded: Loaded) -> Location:
    """Return where the image goes; what cannot be written is refused before anything is built."""
    destination = parse(output)
    check_destination(destination)
    if len(loaded.steps) > 1 and not destination.holds_several:
        message = f"{destination} holds one image, and {len(loaded.steps)} steps would write theirs to it"
        raise SettingsError(message, hint="choose one with --step, or write an oci: directory")
    return destination


def _refuse_push(loaded: Loaded) -> None:
    """Refuse a push that was asked for just now; one that the file or a variable wants is for a run."""
    for said in (step.settings.get("push") for step in loaded.steps):
        if said and said.origin.kind in {"flag", "keyword"} and str(said.value).strip().lower() in TRUE:
            message = "a build pushes nothing"
            raise SettingsError(message, where=said.origin.where, hint="use run, which builds and pushes")


def _build_only(step: Step, around: Surroundings, destination: Location | None) -> RunResult:
    story = Story(around.session.sink, around.notes)
    progress = _Progress(step, story)
    with ExitStack() as kept:
        with story.phase("resolve", step.name or step.identifier):
            order = around.resolve(step, story, push=False, kept=kept) if step.type == BUILD_STEP else None
        if order is None or order.request is None:
            story(Note(f"{step.name or step.identifier} builds nothing"))
            return progress.result()
        return _built(step, order, around, progress, destination)


def _built(
    step: Step, order: Resolved, around: Surroundings, progress: _Progress, destination: Location | None
) -> RunResult:
    """Build without a push, and return the receipt."""
    story = progress.story
    if order.request is None:
        return progress.result()
    if order.tar and destination:
        message = f"tar_path and {destination} both say where the image goes"
        raise SettingsError(message, hint="leave one of them out", setting="tar_path")
    destination = Location("docker-archive", str(order.tar)) if order.tar else destination
    is_named = bool(destination and (destination.name or destination.reference))
    for note in names_idle(step.settings, str(destination or ""), is_named=is_named):
        story(Note(note))
    packing = _packing(step, order, destination, story) if destination else Packing()
    request = _written_to(destination, order.request, story)
    with (
        time_limit(order.settings.timeout, story),
        connect(order, around.session, story) as connection,
        _interruptible(connection),
    ):
        engine = choice.choose(order.engine, order.for_engines, request, connection.engines, story)
        choice.advised(engine, request, story)
        with story.phase("build", engine.name), _logged(progress, around), engine.build(request) as image:
            if destination is None:
                _drain(image)
                written = None
            else:
                whole, options = _whole(image, order, connection), WriteOptions(order.references, packing, sink=story)
                with story.phase("write", str(destination)):
                    written = write(whole, destination, connection.access, options)
    if destination is None:
        return progress.result()
    if isinstance(written, PushedImage | PushedIndex):
        progress.pushed = written
    else:
        progress.output, progress.written = str(destination), written
    return progress.result()


def _written_to(destination: Location | None, request: BuildRequest, story: Story) -> BuildRequest:
    """Return *request* with the archive that the image is written to, which may lie in its context.

    Raises:
        SettingsError: it is the Dockerfile.
    """
    if request.archive or destination is None or not destination.transport.member:
        return request
    found = replace(request, archive=Path(destination.path).resolve())
    if found.archive == request.dockerfile:
        message = f"the archive {destination.path!r} is the Dockerfile"
        raise SettingsError(message, hint="write it elsewhere")
    for note in notes_on(found):
        story(Note(note))
    return found


def _packing(step: Step, order: Resolved, destination: Location, story: Story) -> Packing:
    """Return how to pack for *destination*, as far as somebody says it.

    Raises:
        UnsupportedError: what was asked for just now has no room there; what a file wants for its pushes gets a note.
    """
    said = {name: step.settings.get(name) for name in ("compression", "media_types")}
    just_now = {name for name, one in said.items() if one and one.origin.kind in {"flag", "keyword"}}
    packing = Packing(
        order.compression if said["compression"] else None, order.media_types if said["media_types"] else None
    )
    unsupported = unsupported_packing(packing, destination)
    if just_now & set(unsupported):
        check_packing(packing, destination)
    for setting in unsupported:
        story(Note(f"{destination.kind}: has no room for the setting {setting!r}, which is left alone"))
    return replace(packing, **dict.fromkeys(unsupported))


@dataclass(slots=True)
class _Progress:
    """What one step has achieved so far."""

    step: Step
    story: Story
    pushed: Pushed | None = None
    base: frozenset[Digest] = frozenset()
    publication: Publication | None = None
    published: Published | None = None
    output: str | None = None
    written: Digest | None = None

    def result(self) -> RunResult:
        """Return it as the receipt of the step."""
        return RunResult(
            step=self.step.name or self.step.identifier,
            pushed=self.pushed,
            published=self.published,
            output=self.output,
            written=self.written,
            seconds=self.story.seconds,
            retries=self.story.retries,
            traffic=self.story.traffic,
            decisions=tuple(self.story.decisions),
            notes=tuple(self.story.notes),
        )


@contextmanager
def _logged(progress: _Progress, around: Surroundings) -> Iterator[None]:
    """Write what the engine prints into a file of the state folder; a build that fails says where it is."""
    name = f"{around.started.strftime('%Y%m%dT%H%M%S.%f')}-{progress.step.identifier}"
    try:
        path = around.session.state.new_log(name)
        log = path.open("w", encoding="utf-8", errors="backslashreplace")
    except (OSError, SettingsError) as error:
        if not isinstance(error, NoStateError):  # of which a note has told
            progress.story(Note(f"the engine's log is not kept: {error}"))
        yield
        return
    progress.story.log = log
    try:
        yield
    except BuildError as error:
        kept = _closed(log, progress.story) and path.stat().st_size > 0
        if type(error) is BuildError and kept:  # the others name a line of the Dockerfile, or a file
            error.hint = "; ".join(filter(None, [error.hint, f"the whole log: {path}"]))
        raise
    finally:
        _closed(log, progress.story)


def _closed(log: TextIO, story: Story) -> bool:
    """Close the log, and return whether all of it is kept; a full disk shows only now."""
    kept = story.log is log  # a line that could not be written has taken it away
    story.log = None
    try:
        log.close()
    except OSError as error:
        story(Note(f"the engine's log is not kept: {error.strerror or error}"))
        return False
    return kept


@contextmanager
def _kept(progress: _Progress, around: Surroundings, achieved: list[RunResult]) -> Iterator[None]:
    """Keep the receipt however the block ends: an image that is pushed stays pushed after a time-out or Ctrl-C."""
    try:
        yield
    except BaseException:
        if progress.pushed:
            _keep(progress, around, achieved)
        raise
    _keep(progress, around, achieved)


def _keep(progress: _Progress, around: Surroundings, achieved: list[RunResult]) -> None:
    result = progress.result()
    achieved.append(result)
    around.record(result)


def _announce(loaded: Loaded, session: Session, *, strict: bool) -> None:
    """Say what of the file is not run and what has no effect, before anything happens."""
    for other in loaded.others:
        session.sink(Note(f"not run: {other}"))
    for note in loaded.notes:
        session.sink(Note(note))
    if strict and loaded.notes:
        raise StrictError(loaded.notes[0], hint="mend it, or run without --strict")
    piped = [step for step in loaded.steps if "context" in step.settings and step.settings["context"].value == STDIN]
    if len(piped) > 1:
        message = f"{len(piped)} steps have standard input for their context, which can be read once"
        raise SettingsError(message, hint="choose one with --step", setting="context", where=piped[1].where)


def _refuse_notes(story: Story, *, strict: bool) -> None:
    if strict and story.notes:
        raise StrictError(story.notes[0], hint="mend it, or run without --strict")


@contextmanager
def _interruptible(connection: Connection) -> Iterator[None]:
    """On Ctrl-C, break the connections first: workers that wait for a host end at once, and clean up."""
    try:
        yield
    except KeyboardInterrupt:
        connection.http.cancel()
        raise
