"""Whether registry, documents beside the image and build-info agree about it, and by whom it is signed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit

from buildpush.display.tables import shows_itself
from buildpush.foundation.errors import (
    BuildInfoError,
    BuildPushError,
    CancelledError,
    PushError,
    TimeOutError,
    UnreachableError,
)
from buildpush.foundation.records import dataclass
from buildpush.foundation.secrets import redacted
from buildpush.foundation.text import one_line
from buildpush.images.compression import digest_of
from buildpush.images.model import Image, Index
from buildpush.images.references import Digest, Reference
from buildpush.images.referrers import cosign_tags, subject_of
from buildpush.pipeline.attachments import contents, tagged_contents
from buildpush.provenance.attachment import Content
from buildpush.provenance.envelope import ENVELOPE_TYPE
from buildpush.provenance.keys import Verifier
from buildpush.provenance.reading import Attestation, read_attestation
from buildpush.registry.client import Registry
from buildpush.registry.pull import pull
from buildpush.registry.referrers import find_digests

if TYPE_CHECKING:
    from buildpush.artifactory import Artifactory, BuildInfo
    from buildpush.artifactory.answers import StoredFile

# More than any image has; a hostile list ends here.
_MOST: Final = 500


@shows_itself
@dataclass(frozen=True, slots=True)
class Verification:
    """What is known about an image.

    Attributes:
        reference: as it was given.
        digest: what it names.
        attestations: documents beside it, and beside each image of an index.
        agreements: what was compared, and is the same.
        problems: what is wrong; empty if everything that was checked is in order.
        unchecked: what was not checked, and why.
    """

    reference: Reference
    digest: Digest
    attestations: tuple[Attestation, ...] = ()
    agreements: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    unchecked: tuple[str, ...] = field(default=())

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong, neither with the image nor with any document beside it."""
        return not self.problems

    @property
    def verdict(self) -> str:
        """What that means: a document that proves nothing says nothing against the image, or the other documents."""
        if self.ok:
            return "in order, as far as it was checked"
        lost, every = self._lost(), len(self.attestations)
        wrong = f"{lost} of {every} {'document' if every == 1 else 'documents'} beside the image"
        proves = f"{wrong} {'proves' if lost == 1 else 'prove'} nothing"
        if lost == len(self.problems):
            return f"not in order: {proves}; the image and the others are in order, as far as it was checked"
        return f"not in order: do not rely on the image{f', and {proves}' if lost else ''}"

    @property
    def hint(self) -> str:
        """What to do if something is wrong."""
        if self.problems and self._lost() == len(self.problems):
            return "do not rely on the documents that are wrong, and find out who has stored them"
        why = "do not use the image before you know why"
        return why if self.attestations else f"{why}; {_left_behind(self.reference)}"

    def _lost(self) -> int:
        """Return how many documents prove nothing; each of them is one of the problems."""
        return sum(bool(one.problem) for one in self.attestations)

    def as_json(self) -> dict[str, Any]:
        """Return the facts as plain JSON types."""
        attestations = [
            {
                "subject": str(one.subject),
                "place": one.place,
                "digest": one.digest,
                "kind": one.kind,
                "signedBy": one.signed_by,
                "ok": not one.problem,
                "problem": one.problem or None,
            }
            for one in self.attestations
        ]
        document = {
            "reference": str(self.reference),
            "digest": str(self.digest),
            "ok": self.ok,
            "verdict": self.verdict,
        }
        lists = {name: list(getattr(self, name)) for name in ("agreements", "problems", "unchecked")}
        return dict(redacted(document | {"attestations": attestations} | lists))

    def rows(self) -> list[tuple[str, str]]:
        """Return the facts as pairs of a label and a text."""
        rows = [("image", str(self.reference)), ("digest", str(self.digest))]
        for one in self.attestations:
            about = "" if one.subject == self.digest else f" of {one.subject}"
            state = "proves nothing" if one.problem else "in order"
            rows.append(("beside", f"{one.kind}, {one.signed_by} ({one.place}{about}): {state}"))
        rows += [("agrees", text) for text in self.agreements]
        rows += [("unknown", text) for text in self.unchecked]
        rows += [("wrong", text) for text in self.problems]
        rows.append(("verdict", self.verdict))
        return [(name, one_line(text)) for name, text in rows]

    def __str__(self) -> str:
        return "\n".join(f"{name:<8}{text}" for name, text in self.rows())


def verify(
    reference: Reference,
    registry: Registry,
    keys: Sequence[Verifier] = (),
    server: Artifactory | None = None,
    build: tuple[str, str] | None = None,
) -> Verification:
    """Return what is known about the image that *reference* names.

    Args:
        reference: of an image or an index.
        registry: that has it.
        keys: public keys; at least one document must be signed by one of them, if there are any.
        server: the Artifactory that has its build-info; ``None`` if that is not to be compared.
        build: name and number of the build; without it, those that the provenance names.

    Raises:
        PushError: the image cannot be read, or does not match its digests.
        AuthenticationError: it may not be read.
    """
    target = pull(reference, registry)
    check = _Check(reference, registry, keys)
    digest = digest_of(target.manifest or b"", reference.digest.algorithm if reference.digest else "sha256")
    check.agreements.append("the manifests and configurations match their digests")
    check.unchecked.append("the layers were not read")
    for part in _parts(target):
        check.look_beside(part)
    if isinstance(target, Index):
        check.look_into(target)
    if server:
        check.look_at_evidence(server, tuple(_parts(target)))
    check.judge_signatures(digest)
    check.compare_build(target, server, build)
    return Verification(
        reference,
        digest,
        tuple(check.attestations),
        tuple(check.agreements),
        tuple(check.problems),
        tuple(check.unchecked),
    )


def _parts(target: Image | Index) -> Iterator[Digest]:
    """Yield the digests that documents may be about: of the index, and of each image that can run."""
    yield digest_of(target.manifest or b"")
    for image in target.images if isinstance(target, Index) else ():
        if image.platform.runs:
            yield digest_of(image.manifest or b"")


class _Check:
    """One verification under way, and what it has found so far."""

    def __init__(self, reference: Reference, registry: Registry, keys: Sequence[Verifier]) -> None:
        self._reference = reference
        self._repository = reference.repository
        self._registry = registry
        self._keys = keys
        self.attestations: list[Attestation] = []
        self.agreements: list[str] = []
        self.problems: list[str] = []
        self.unchecked: list[str] = []

    # ---- what is there

    def look_beside(self, subject: Digest) -> None:
        """Read the referrers of *subject*, and what cosign's tags for it name."""
        digests = find_digests(subject, self._repository, self._registry)
        if len(digests) > _MOST:
            self.unchecked.append(f"{len(digests) - _MOST} of the {len(digests)} referrers of {subject} were not read")
        for digest in digests[:_MOST]:
            self._read(digest, subject)
        signature, attestations, sbom = cosign_tags(subject)
        try:
            for content in tagged_contents(self._repository.tagged(attestations), self._registry):
                self._add(read_attestation(content, subject, attestations, digest_of(content.data), self._keys))
        except BuildPushError as error:
            self._add_damaged(subject, attestations, attestations, error)
        for tag in (signature, sbom):
            with suppress(PushError):
                if tagged_contents(self._repository.tagged(tag), self._registry):
                    self.unchecked.append(f"what the tag {tag} names is of an older kind, and was not read")

    def look_into(self, index: Index) -> None:
        """Read the attestations that BuildKit puts into an index."""
        images = [digest_of(image.manifest or b"") for image in index.images if image.platform.runs]
        for image in index.images:
            if image.platform.runs:
                continue
            digest = digest_of(image.manifest or b"")
            try:
                likely = sorted(images, key=subject_of(image.manifest or b"").__ne__)
                for content in contents(image):
                    found = [read_attestation(content, one, "index", digest, self._keys) for one in likely]
                    self._add(next((one for one in found if not one.problem), found[0]) if found else None)
            except BuildPushError as error:
                self._add_damaged(digest, "index", str(digest), error)

    def look_at_evidence(self, server: Artifactory, subjects: Sequence[Digest]) -> None:
        """Read JFrog Evidence about *subjects*; where that is not possible, it is not known whether there is any."""
        try:
            key = server.locate(self._repository).repository_key
            found = server.search({"repo": key, "path": {"$match": f".evidence/*/{one.hex}"}} for one in subjects)
        except BuildInfoError as error:
            self.unchecked.append(f"JFrog Evidence was not read: {error}")
            return
        if found is None:
            self.unchecked.append(f"JFrog Evidence was not read: {server.host} does not let us search")
        elif len(found) > _MOST:
            self.unchecked.append(f"{len(found) - _MOST} of the {len(found)} files of JFrog Evidence were not read")
        of = {one.hex: one for one in subjects}
        for file in (found or ())[:_MOST]:
            if subject := of.get(file.directory.rpartition("/")[2]):
                self._read_evidence(server, file, subject)

    def _read_evidence(self, server: Artifactory, file: StoredFile, subject: Digest) -> None:
        from buildpush.artifactory.addresses import segments

        place = f"{file.repository}/{file.path}"
        try:
            answer = server.send("GET", segments(file.repository, *file.path.split("/")))
            if answer.ok:
                content = Content(ENVELOPE_TYPE, answer.body, {})
                self._add(read_attestation(content, subject, "evidence", digest_of(answer.body), self._keys))
            else:
                self.unchecked.append(f"{place} was not read: {server.host} answers {answer.status}")
        except BuildPushError as error:
            self._add_damaged(subject, "evidence", place, error)

    def _read(self, digest: Digest, subject: Digest) -> None:
        try:
            artifact = pull(self._repository.at(digest), self._registry, artifact=True)
            if subject_of(artifact.manifest or b"") != subject:
                message = "it is listed as a referrer, but its subject is another one"
                raise PushError(message)
            for content in contents(artifact):
                self._add(read_attestation(content, subject, "referrer", digest, self._keys))
        except BuildPushError as error:
            self._add_damaged(subject, "referrer", str(digest), error)

    def _add(self, attestation: Attestation | None) -> None:
        if attestation is None:
            return
        self.attestations.append(attestation)
        if attestation.problem:
            self.problems.append(f"{attestation.place} {attestation.digest}: {attestation.problem}")

    def _add_damaged(self, subject: Digest, place: str, digest: str, error: BuildPushError) -> None:
        if isinstance(error, CancelledError | TimeOutError | UnreachableError):
            raise error
        self._add(Attestation(subject, place, digest, "unknown", problem=str(error)))

    # ---- what it proves

    def judge_signatures(self, digest: Digest) -> None:
        """Say whether the image is signed by a key that was given."""
        if not self._keys:
            if self.attestations:
                self.unchecked.append("no signature was checked: no key is given")
            return
        signed = [one for one in self.attestations if one.verified and one.subject == digest]
        if signed:
            self.agreements += sorted({f"{one.kind} is signed by the key {one.signed_by}" for one in signed})
        else:
            self.problems.append(f"nothing beside {digest} is signed by a key that is given")

    def compare_build(self, target: Image | Index, server: Artifactory | None, build: tuple[str, str] | None) -> None:
        """Compare the image and its provenance with the build-info."""
        found = [one for one in self.attestations if one.is_provenance and (one.verified or not self._keys)]
        provenance = found[0] if found else None
        if not self.attestations:
            self.unchecked.append(f"nothing is beside the image: {_left_behind(self._reference)}")
        elif provenance is None:
            self.unchecked.append(
                "there is no provenance" + (" that is signed by a key that is given" * bool(self._keys))
            )
        if server is None:
            needed = "--artifactory-url" if provenance else "--artifactory-url and --build NAME NUMBER"
            self.unchecked.append(f"the build-info was not read: no Artifactory is given; add {needed}")
            return
        build = build or (_build_of(provenance, server) if provenance else None)
        if build is None:
            text = "the build-info was not read: no build is given, and no provenance names one of this Artifactory"
            self.unchecked.append(f"{text}; add --build NAME NUMBER")
            return
        info = server.get_build(*build)
        if info is None:
            self.problems.append(f"{server.host} has no build-info {build[0]} {build[1]}")
            return
        self._compare(info, target, provenance)

    def _compare(self, info: BuildInfo, target: Image | Index, provenance: Attestation | None) -> None:
        name = f"the build-info {info.name} {info.number}"
        recorded = {artifact.sha256 for artifact in info.artifacts}
        missing = [str(digest) for digest in _blobs(target) if digest.hex not in recorded]
        self._say(
            f"{name} names every file of the image", f"{name} does not name {', '.join(missing[:5])}", not missing
        )
        if provenance is None:
            return
        commit = provenance.find("buildDefinition", "externalParameters", "source", "digest", "gitCommit")
        revisions = {entry.revision for entry in info.vcs if entry.revision}
        if commit and revisions:
            same, other = f"{name} and the provenance name the commit {commit}", f"{name} names the commit "
            other += f"{', '.join(sorted(revisions))}, the provenance {commit}"
            self._say(same, other, commit in revisions)
        started = provenance.find("runDetails", "metadata", "startedOn")
        recorded_start = f"{info.started:%Y-%m-%dT%H:%M:%SZ}"
        other = f"{name} began at {recorded_start}, the provenance says {started[:40]}"
        self._say(f"{name} and the provenance name the same start", other, started == recorded_start)

    def _say(self, same: str, other: str, agrees: bool) -> None:
        (self.agreements if agrees else self.problems).append(same if agrees else other)


def _left_behind(reference: Reference) -> str:
    """Return how documents that a copy or a promotion has left behind come to *reference*."""
    there = f"docker://{reference.repository}:{reference.tag or 'TAG'}"
    return (
        "a promotion, or a copy without --referrers, leaves documents behind, and "
        f"buildpush copy --referrers docker://SOURCE {there} brings them"
    )


def _blobs(target: Image | Index) -> Iterator[Digest]:
    """Yield the digests of what the build-info has to name: manifests, configurations and layers that are sent."""
    if isinstance(target, Index):
        yield digest_of(target.manifest or b"")
    for image in target.images if isinstance(target, Index) else (target,):
        yield digest_of(image.manifest or b"")
        yield digest_of(image.config)
        yield from (layer.digest for layer in image.layers if layer.digest and not layer.is_nondistributable)


def _build_of(provenance: Attestation, server: Artifactory) -> tuple[str, str] | None:
    """Return the build that a provenance names, if it is one of *server*; its address is not followed."""
    uri = provenance.find("runDetails", "byproducts", 0, "uri")
    prefix = f"{server.url}api/build/"
    parts = urlsplit(uri[len(prefix) :]).path.split("/") if uri.startswith(prefix) else []
    names = [unquote(part) for part in parts]
    return (names[0], names[1]) if len(names) == 2 and all(names) else None  # noqa: PLR2004 - a name and a number
