"""What is said about an image that a step has built: the statements that are stored beside it."""

# Flags of other programs in this module's texts: --porcelain --untracked-files

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from urllib.parse import urlsplit

from buildpush.engines.bases import bases
from buildpush.foundation.events import Decision, Note
from buildpush.images.compression import digest_of
from buildpush.images.manifests import Descriptor
from buildpush.images.model import Image, Index, Platform, PushedIndex
from buildpush.images.references import Digest, Reference
from buildpush.pipeline.attachments import attach
from buildpush.pipeline.built import Built
from buildpush.pipeline.context import RunContext
from buildpush.pipeline.publication import Pushed, git_of, revision_of
from buildpush.provenance.packages import packages_in
from buildpush.provenance.sbom import Contents, sbom
from buildpush.provenance.slsa import LOCAL_BUILDER, BaseImage, BuildRun, SourceRevision, moment_text, provenance
from buildpush.provenance.statement import SLSA, Statement, Subject, subjects_of
from buildpush.registry.client import Registry
from buildpush.settings.resolved import ResolvedStep


class Attesting:
    """What a step finds out for the statements about its image.

    Args:
        order: of the step.
        context: of the run.
        started: the start of its build.

    Attributes:
        engine: name of the engine that builds; empty if none does.
        statements: those that are stored, by the digest of the manifest that they are beside.
    """

    def __init__(self, order: ResolvedStep, context: RunContext, started: datetime) -> None:
        self._order = order
        self._context = context
        self._started = started
        self.engine = ""
        self.statements: dict[Digest, tuple[Statement, ...]] = {}
        self._bases: dict[tuple[Reference, Platform], BaseImage] = {}

    def add_base(self, reference: Reference, platform: Platform, image: Image) -> None:
        """Remember a base image that an engine pulls through us, with the digest that it has."""
        self._bases[reference, platform] = BaseImage(reference, platform, digest_of(image.manifest or b""))

    def attach(self, image: Built, receipt: Pushed, registry: Registry, build_info: str) -> int:
        """Store what is said about an image beside it, before any tag names it; return the number of referrers.

        Args:
            image: whose layers are read for an SBOM.
            receipt: the future one.
            registry: that is pushed to.
            build_info: address of the build-info, if there is to be one.

        Raises:
            PushError: the registry does not accept it.
            UnreachableError: there is no answer.
            AuthenticationError: the credentials are refused.
        """
        wanted, log, created = self._order.attestations, self._context.log, moment_text(self._context.now())
        common, sboms, count = self._provenance(receipt, build_info), self._sboms(image, receipt, created), 0
        for manifest, _ in described(receipt):
            self.statements[manifest.digest] = (*common, *sboms.get(manifest.digest, ()))
            count += attach(
                manifest,
                self.statements[manifest.digest],
                wanted,
                receipt.references[0].repository,
                registry,
                created=created,
                sink=log,
            )
        names = {"provenance": bool(common), "SBOM": bool(sboms)}
        what = " and ".join(name for name, is_there in names.items() if is_there)
        key = wanted.signer and wanted.signer.verifier.fingerprint
        how = ("attached and signed", f"sign_key is the key {key}") if key else ("not signed", "sign_key is not set")
        log(Decision(what, *how))
        return count

    def _provenance(self, receipt: Pushed, build_info: str) -> tuple[Statement, ...]:
        if self._order.request is None or not self._order.attestations.provenance:
            return ()
        predicate = provenance(self._order.request, self._run(receipt, build_info))
        return (Statement(tuple(_subjects(receipt)), SLSA, predicate),)

    def _sboms(self, image: Built, receipt: Pushed, created: str) -> dict[Digest, list[Statement]]:
        """Return the SBOM of each image that can run, by its digest."""
        kind = self._order.attestations.sbom
        if not kind:
            return {}
        sources = image.images if isinstance(image, Index) else (image,)
        receipts = receipt.images if isinstance(receipt, PushedIndex) else (receipt,)
        statements: dict[Digest, list[Statement]] = {}
        for source, one in zip(sources, receipts, strict=True):
            if one.platform.runs:
                contents = Contents(receipt.references[0], one.digest, packages_in(source), created)
                subjects = subjects_of(receipt.references, one.digest, one.platform)
                statements[one.digest] = [Statement(subjects, *sbom(kind, contents))]
        return statements

    def _run(self, receipt: Pushed, build_info: str) -> BuildRun:
        order, context = self._order, self._context
        url = order.build.url or context.ci.url
        named = [BaseImage(reference) for reference in bases(order.request)] if order.request else []
        return BuildRun(
            engine=self.engine,
            platforms=tuple(platform for _, platform in described(receipt) if platform),
            builder=order.attestations.builder or _builder(url),
            started=self._started,
            finished=context.now(),
            source=self._source(),
            bases=tuple(self._bases.values() or named),
            url=url,
            build_info=build_info,
        )

    def _source(self) -> SourceRevision | None:
        """Return the revision that was built; without its commit, if files of it have been changed since."""
        vcs = revision_of(self._order, self._context)
        if vcs is None or not vcs.url:
            return None
        git = git_of(self._order, self._context)
        if git.revision and git.ask("status", "--porcelain", "--untracked-files=no"):
            text = "the provenance names no commit: files of the working tree are changed and not committed"
            self._context.log(Note(text))
            return SourceRevision(vcs.url, "", vcs.branch)
        return SourceRevision(vcs.url, vcs.revision, vcs.branch)


def described(receipt: Pushed) -> Iterator[tuple[Descriptor, Platform | None]]:
    """Yield the manifests that statements are about: of the index, if it is one, and of each image that can run."""
    images = receipt.images if isinstance(receipt, PushedIndex) else (receipt,)
    if isinstance(receipt, PushedIndex):
        yield Descriptor(receipt.media_type, receipt.digest, len(receipt.manifest)), None
    for image in images:
        if image.platform.runs:
            yield Descriptor(image.media_type, image.digest, len(image.manifest)), image.platform


def _subjects(receipt: Pushed) -> Iterator[Subject]:
    for manifest, platform in described(receipt):
        yield from subjects_of(receipt.references, manifest.digest, platform)


def _builder(url: str) -> str:
    """Return the name of the builder at the CI system that has the page *url*."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}/builders/buildpush" if parts.netloc else LOCAL_BUILDER
