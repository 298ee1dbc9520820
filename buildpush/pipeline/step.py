"""The sequence of a step, from what was written to what the registry and Artifactory confirmed.

::

    read ► Loaded ► evaluate ► BuildAndPush ► resolve ► ResolvedStep ► engine.build ► Image ► push ► PushedImage
                                                           RunResult ◄ publish ◄ BuildInfo ◄ describe ◄┘

A build is the same sequence with the push turned off.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from buildpush.engines import choice
from buildpush.engines.bases import insecure_hosts
from buildpush.engines.seam import Engine
from buildpush.foundation.errors import BuildInfoError, BuildPushError, SettingsError, StrictError
from buildpush.foundation.events import Decision, Note
from buildpush.foundation.records import dataclass
from buildpush.foundation.state import NoStateError
from buildpush.images.model import Image, Platform, PushedImage, PushedIndex
from buildpush.images.references import Digest, Reference
from buildpush.pipeline import outputs
from buildpush.pipeline.built import Built, base_layers, read_once
from buildpush.pipeline.context import Hosts, RunContext
from buildpush.pipeline.deadlines import Deadline, limited
from buildpush.pipeline.finishing import trust_flags
from buildpush.pipeline.images import repack
from buildpush.pipeline.outputs import Output, output_of, output_of_build, with_archive
from buildpush.pipeline.own_cluster import settle_place
from buildpush.pipeline.publication import Publication, Pushed, recorder
from buildpush.pipeline.recall import run_build
from buildpush.pipeline.receipts import Delivery, manifest_json
from buildpush.pipeline.record import Resumed
from buildpush.pipeline.resolve import resolve_step
from buildpush.pipeline.results import RunResult
from buildpush.pipeline.tools import engines_for, open_artifactory
from buildpush.registry import push as registry
from buildpush.registry.nondistributable import with_nondistributable
from buildpush.registry.pull import pull
from buildpush.registry.receipt import receipt
from buildpush.settings.flows import ExistingImage
from buildpush.settings.resolved import FilesToUpload, ResolvedStep
from buildpush.settings.tree import Step
from buildpush.transfer import Location
from buildpush.transfer.destinations import write
from buildpush.transfer.driver import Packing, WriteOptions
from buildpush.transfer.sources import archive_at, open_source

# buildpush.artifactory is imported where it is needed: a step that publishes nothing does not wait for it.
if TYPE_CHECKING:
    from buildpush.artifactory import Artifactory, Published
    from buildpush.artifactory.transfers import TransferredFile
    from buildpush.pipeline.attesting import Attesting


@dataclass(frozen=True, slots=True)
class RunRequest:
    """The options for the steps of a file.

    Attributes:
        push: whether images are pushed and their build-info is published; if not, they are only built.
        output: where an image that is only built is written to, if anywhere.
        strict: whether a step that gives a note is refused.
        resumed: the run that this one resumes, if any.
    """

    push: bool = True
    output: Location | None = None
    strict: bool = False
    resumed: Resumed | None = None


def run_step(step: Step, context: RunContext, options: RunRequest, deadline: Deadline | None = None) -> None:
    """Resolve, check, build, push, publish: one step.

    Its receipt goes to the results of *context* and into the record of runs: what the registry confirmed, where the
    build-info is, how long each phase took. A step that fails after its push leaves one as well.
    """
    context.log.begin(context.notes)
    with ExitStack() as stack:
        _StepRun(step, context, options, deadline).run(stack)


class _StepRun:
    """One step under way, and what it has achieved so far."""

    def __init__(self, step: Step, context: RunContext, options: RunRequest, deadline: Deadline | None) -> None:
        self.step = step
        self.name = step.name or step.identifier
        self.context = context
        self.log = context.log
        self.options = options
        self.deadline = deadline
        # Artifactory identifies a run of a build by its start: two builds with the same one would overwrite each other.
        self.started = context.start()
        self.pushed: Pushed | None = None
        self.files: list[TransferredFile] = []
        self.base: frozenset[Digest] = frozenset()
        self.published: Published | None = None
        self.output = ""
        self.loaded: tuple[str, ...] = ()
        self.written: Digest | None = None
        self.attesting: Attesting | None = None
        self.referrers: int | None = None

    def run(self, stack: ExitStack) -> None:
        """Run the step; *stack* closes what was fetched for it."""
        order = self._resolve(stack)
        if order is None:
            self.log(Note(f"{self.name} builds nothing"))
            self._record_result()
            return
        self._refuse_notes()
        self.log.is_quiet = bool(getattr(order.settings, "quiet", False))
        order, output = self._with_output(order)
        with self._recording(), limited(self.step, order.settings.timeout, self.deadline, self.context):
            hosts = self.context.hosts_of(order)
            with hosts.interruptible():
                self._carry_out(order, output, hosts)
            hosts.note_never_trusted(self.log, insecure_hosts(order.request) if order.request else ())

    def _carry_out(self, order: ResolvedStep, output: Output | None, hosts: Hosts) -> None:
        if order.attestations.wanted:
            from buildpush.pipeline.attesting import Attesting

            self.attesting = Attesting(order, self.context, self.started)
        order = settle_place(order, self.context, hosts)
        engine = self._choose_engine(order, hosts)
        if engine and self.options.push:
            order = outputs.keep_in_daemon(order, engine, self.context.kept_images, self.log)
        server = (
            open_artifactory(order.artifactory, hosts.http, hosts.keychain, self.log) if order.artifactory else None
        )
        if order.upload and server:
            self._upload(order.upload, order, server, hosts)
            return
        self._check(order, hosts, server)
        self.context.receipts.remove(order.receipts)
        with self._publication(order, hosts, server) as publication:
            is_kept = self.options.push and self.context.kept_images.keeps(order)
            with self._image(order, engine, hosts, drain=not (order.push or output or is_kept or order.load)) as image:
                if isinstance(image, PushedImage | PushedIndex):
                    self._name(image, order, hosts, publication)
                elif image:
                    self._deliver(image, order, output, hosts, publication)
            if not (order.request or order.source):  # an earlier step or run has pushed it
                self.pushed = receipt(order.references[0], hosts.registry)
                if publication:
                    self.base = self._find_base(None, self.pushed, order, hosts)
            self._publish_and_write_receipts(order, publication)

    def _deliver(
        self, image: Built, order: ResolvedStep, output: Output | None, hosts: Hosts, publication: Publication | None
    ) -> None:
        """Bring the image to all places that the order names."""
        if self.options.push and self.context.kept_images.keeps(order):
            self._keep(image, order, hosts)
        if order.load:
            self._load(image, order, hosts)
        if output:
            self._write(image, order, output, hosts)
        if order.push:
            self._push(image, order, hosts, publication)

    # ---- resolve

    def _resolve(self, stack: ExitStack) -> ResolvedStep | None:
        """Return the order; ``None`` for a step that builds nothing in a run that only builds."""
        push = self.options.push
        with self.log.phase("resolve", self.name):
            if not (push or (self.step.kind and self.step.kind.builds)):
                return None
            order = resolve_step(self.step, self.context, push=push, stack=stack, deadline=self.deadline)
        return order if push or order.request else None

    def _with_output(self, order: ResolvedStep) -> tuple[ResolvedStep, Output | None]:
        if self.options.push:
            return order, output_of(order)
        output = output_of_build(self.step, order, self.options.output, self.log)
        request = order.request and with_archive(order.request, output, self.log)
        return replace(order, request=request), output

    # ---- check

    def _choose_engine(self, order: ResolvedStep, hosts: Hosts) -> Engine | None:
        if order.request is None:
            return None
        engines = engines_for(order, self.context, hosts, self._pulled)
        engine = choice.choose(order.engine, order.for_engines, order.request, engines, self.log)
        choice.note_traps(engine, order.request, self.log)
        self._refuse_notes()
        if self.attesting:
            self.attesting.engine = engine.name
        return engine

    def _pulled(self, reference: Reference, platform: Platform, image: Image) -> None:
        if self.attesting:
            self.attesting.add_base(reference, platform, image)

    def _check(self, order: ResolvedStep, hosts: Hosts, server: Artifactory | None) -> None:
        """Ask every host for the rights that the step will need, so that a wrong password costs no build."""
        if order.load:
            with outputs.daemon_of(hosts.clients):
                pass
        if not self.options.push:
            return
        with self.log.phase("preflight"):
            if order.push and (order.request or order.source):
                hosts.registry.check_push(order.references[0].repository)
            if order.build.publish and server:
                self._check_publish(order, server)
                with suppress(BuildInfoError):  # some registries give their key only once something is pushed
                    server.locate(order.references[0].repository)
        self._refuse_notes()

    def _check_publish(self, order: ResolvedStep, server: Artifactory) -> None:
        from buildpush.artifactory import check_publish

        build = order.build
        check_publish(
            server,
            build.name,
            build.number,
            project=build.project,
            exists="add" if build.directory else build.exists,
            started=run_build(order, self.started, self.context).started,
            sink=self.log,
        )

    def _refuse_notes(self) -> None:
        if self.options.strict and self.log.notes:
            raise StrictError(self.log.notes[0], hint="fix it, or run without --strict")

    # ---- build

    @contextmanager
    def _image(
        self, order: ResolvedStep, engine: Engine | None, hosts: Hosts, *, drain: bool
    ) -> Iterator[Built | Pushed | None]:
        """Yield the image that is built, or an existing one; ``None`` for a step that only publishes.

        An engine in a cluster has pushed it.
        """
        if engine and order.request:
            with ExitStack() as stack:
                with self.log.phase("build", engine.name), self._engine_log():
                    image = stack.enter_context(engine.build(order.request))
                    self._refuse_notes()  # the engine's: after the push they would come too late
                    if drain and not isinstance(image, PushedImage | PushedIndex):
                        read_once(image)
                if isinstance(image, PushedImage | PushedIndex):
                    yield image
                else:  # nondistributable layers of the base image are included if the settings ask for them
                    yield with_nondistributable(image, hosts.registry) if order.nondistributable else image
        elif order.source:
            platform = order.platforms[0] if order.platforms else None
            location, whole = _location(order.source), order.nondistributable
            with open_source(location, hosts.clients, platform, nondistributable=whole) as opened:
                image = repack(opened, _packing(order), self.log)
                self._refuse_notes()
                yield image
        else:
            yield None

    def _engine_log(self) -> AbstractContextManager[None]:
        """Keep the output of the engine in the state directory."""
        place = "-".join(filter(None, (*self.step.around, self.step.identifier)))
        name = f"{self.started.strftime('%Y%m%dT%H%M%S.%f')}-{place}"
        try:
            file = self.context.state.new_log(name).open("w", encoding="utf-8", errors="backslashreplace")
        except (OSError, SettingsError) as error:
            if not isinstance(error, NoStateError):  # which a note has reported
                self.log(Note(f"the engine's log is not kept: {error}"))
            return nullcontext()
        return self.log.engine_log(file)

    def _write(self, image: Built, order: ResolvedStep, output: Output, hosts: Hosts) -> None:
        options = WriteOptions(order.references, output.packing, sink=self.log)
        with self.log.phase("write", str(output.location)):
            written = write(image, output.location, hosts.clients, options)
        if isinstance(written, PushedImage | PushedIndex):
            self.pushed = written
        else:
            self.output, self.written = str(output.location), written

    def _load(self, image: Built, order: ResolvedStep, hosts: Hosts) -> None:
        with self.log.phase("load", ", ".join(map(str, order.references))):
            outputs.load(image, order.references, hosts.clients, self.log)
        self.loaded = tuple(f"docker-daemon:{reference}" for reference in order.references)
        self.output = self.loaded[0]

    def _keep(self, image: Built, order: ResolvedStep, hosts: Hosts) -> None:
        """Put the image where a later step of this run finds it, whichever engine built it."""
        names = ", ".join(map(str, order.references))
        with self.log.phase("keep", names):
            location = Location("oci-archive", str(self.context.keep(order, self.step)))
            write(image, location, hosts.clients, WriteOptions(order.references, _packing(order), sink=self.log))
        reason = "a later step may push it"
        if not (order.load or order.tar):
            reason += "; it is gone when the run ends, unless tar_path names a file"
        self.log(Decision("image", "kept", reason))

    # ---- push

    def _push(self, image: Built, order: ResolvedStep, hosts: Hosts, publication: Publication | None) -> None:
        """Push; this reads the image, which makes the layers of an engine that creates them on demand."""

        def before(pushed: Pushed) -> None:
            if publication:  # its base is looked up before a tag changes, which may be the base's own
                self.base = self._find_base(image, pushed, order, hosts)
                publication.announce(pushed, self.base)
            if self.attesting:
                build_info = publication.address if publication else ""
                self.referrers = self.attesting.attach(image, pushed, hosts.registry, build_info)

        with self.log.phase("push", ", ".join(map(str, order.references))):
            self.pushed = registry.push(
                image,
                order.references,
                hosts.registry,
                compression=order.compression,
                media_types=order.media_types,
                checksums=order.build.publish,
                before=before,
                sink=self.log,
            )

    def _name(self, pushed: Pushed, order: ResolvedStep, hosts: Hosts, publication: Publication | None) -> None:
        """Give what the cluster has pushed under the first reference its other ones."""
        if publication:
            self.base = self._find_base(None, pushed, order, hosts)
            publication.announce(pushed, self.base)
        if self.attesting:
            build_info = publication.address if publication else ""
            image = pull(pushed.references[0].repository.at(pushed.digest), hosts.registry)
            self.referrers = self.attesting.attach(image, pushed, hosts.registry, build_info)
        if others := order.references[1:]:
            with self.log.phase("push", ", ".join(map(str, others))):
                registry.name(pushed.manifest, pushed.media_type, others, hosts.registry, self.log)
        self.pushed = replace(pushed, references=order.references)

    def _find_base(self, image: Built | None, pushed: Pushed, order: ResolvedStep, hosts: Hosts) -> frozenset[Digest]:
        """Return the layers of the base image, which are dependencies of the build; ``jf`` has a rule of its own."""
        from buildpush.pipeline.base_images import find_base_layers

        if order.build.compat == "jf":
            return frozenset()
        if image and order.request and (known := frozenset(base_layers(image, pushed))):
            return known
        return find_base_layers(pushed, hosts.registry, self.log, built=image, request=order.request)

    # ---- upload

    def _upload(self, files: FilesToUpload, order: ResolvedStep, server: Artifactory, hosts: Hosts) -> None:
        """Upload the files of a step that has no image, and publish them in the same build as the images of the run."""
        from buildpush.pipeline.files import upload_step

        build = order.build
        with self.log.phase("preflight"):
            if build.publish:
                self._check_publish(order, server)
        self._refuse_notes()
        with self._publication(order, hosts, server) as publication:
            with self.log.phase("upload", f"{files.source} to {files.target}"):
                upload_step(files, server, self.context, self.files)
            if publication:
                with self.log.phase("publish", f"{build.name} {build.number}"):
                    self.published = publication.publish_files(self.files)

    # ---- publish

    def _publication(
        self, order: ResolvedStep, hosts: Hosts, server: Artifactory | None
    ) -> AbstractContextManager[Publication | None]:
        """Yield the publication of the step's build-info, if there is to be one."""
        if server is None or not order.build.publish:
            return nullcontext()
        build = run_build(order, self.started, self.context)
        record, trust = recorder(order, self.context, build.started, server), tuple(trust_flags(order, server.host))
        place = (*self.step.around, self.step.identifier, self.step.where)
        exists = order.build.exists
        return Publication(
            server, hosts.registry, self.context, record, build=build, step=place, trust=trust, exists=exists
        )

    def _publish_and_write_receipts(self, order: ResolvedStep, publication: Publication | None) -> None:
        """Publish, then write the files about the push; a failure of one does not prevent the other."""
        try:
            self._publish(order, publication)
        except BaseException:
            try:
                self._write_receipts(order)
            except BuildPushError as error:  # the first error is the one that counts
                self.log(Note(str(error)))
            raise
        self._write_receipts(order)

    def _write_receipts(self, order: ResolvedStep) -> None:
        if self.pushed and order.push:
            url = self.published.url if self.published else ""
            delivery = Delivery(self.pushed.references, manifest_json(self.pushed), url)
            for note in self.context.receipts.write(order.receipts, delivery.with_registry(order.settings)):
                self.log(Note(note))

    def _publish(self, order: ResolvedStep, publication: Publication | None) -> None:
        if self.pushed and publication:
            with self.log.phase("publish", f"{order.build.name} {order.build.number}"):
                self.published = publication.publish(self.pushed, self.base)
                if self.attesting:
                    publication.send_evidence(self.attesting.statements, self.pushed, order.attestations)
        elif self.pushed and self.options.push:
            self.log(Decision("build-info", "not published", _reason_not_published(order)))

    # ---- the result

    @contextmanager
    def _recording(self) -> Iterator[None]:
        """Record the result however the block ends: a pushed image stays pushed after a time-out or Ctrl-C."""
        try:
            yield
        except BaseException:
            if self.pushed or self.files:
                self._record_result()
            raise
        self._record_result()

    def _record_result(self) -> None:
        result = RunResult(
            step=self.name,
            pushed=self.pushed,
            files=tuple(sorted(self.files, key=lambda file: file.name)),
            published=self.published,
            output=self.output,
            loaded=self.loaded,
            written=self.written,
            referrers=self.referrers,
            **self.log.facts(),
        )
        self.context.results.append(result)


def _location(source: ExistingImage) -> Location:
    """Return the location of an existing image; the contents of an archive say which kind it is."""
    if source.image and not source.built_by:
        return Location("docker-daemon", str(source.image), reference=source.image)
    return archive_at(source.tar or Path())


def _packing(order: ResolvedStep) -> Packing:
    """Return how the settings ask to pack an image; without any, it stays unchanged, and so does its digest."""
    return Packing(
        order.compression if "compression" in order.set_names else None,
        order.media_types if "media_types" in order.set_names else None,
    )


def _reason_not_published(order: ResolvedStep) -> str:
    if "publish_build_info" in order.set_names:
        return "'publish_build_info' is off"
    return "no Artifactory is given: set JF_URL, 'artifactory_url' or 'publish_build_info'"
