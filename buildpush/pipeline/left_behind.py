"""What a promotion leaves behind: documents beside an image, such as its provenance, are no files of its build."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from buildpush.artifactory.buildinfo import Artifact, BuildInfo
from buildpush.artifactory.directories import parent_of
from buildpush.artifactory.document import MANIFESTS
from buildpush.artifactory.promotion import Promotion
from buildpush.foundation.errors import BadNameError, BuildPushError, CancelledError, TimeOutError
from buildpush.foundation.records import dataclass
from buildpush.images.references import Digest, Reference, Repository
from buildpush.registry.client import Registry
from buildpush.registry.pull import pull
from buildpush.registry.referrers import find_referrers


@dataclass(frozen=True, slots=True)
class PromotedImage:
    """An image of a build that is promoted.

    Attributes:
        source: names it by its digest.
        target: its name after the promotion; without a tag where the build knows none.
    """

    source: Reference
    target: Reference

    def command(self, *, is_moved: bool) -> str:
        """Return the commands that take along what is beside it; one that was moved is copied back before."""
        source = f"docker://{self.source}"
        target = f"docker://{self.target.repository}:{self.target.tag or 'TAG'}"
        back = f"docker://{self.source.repository}:{self.target.tag or 'TAG'}"
        copy = shlex.join(["buildpush", "copy", "--referrers", source, target])
        return f"{shlex.join(['buildpush', 'copy', target, back])} && {copy}" if is_moved else copy


def promoted_images(info: BuildInfo, promotion: Promotion, host: str) -> tuple[PromotedImage, ...]:
    """Return each image of *info* that *promotion* takes to its target, once.

    Args:
        info: the build.
        promotion: with a target.
        host: of the Artifactory, where the registry of the target may have any name.
    """
    found: dict[tuple[Reference, Repository], PromotedImage] = {}
    for reference, head in _images(info):
        if promotion.source in {"", head.repository}:
            source = reference.repository.at(Digest(f"sha256:{head.sha256}"))
            repository = _repository_in(promotion.target, reference.repository, head, host)
            found.setdefault((source, repository), PromotedImage(source, Reference(repository, reference.tag)))
    return tuple(found.values())


def _images(info: BuildInfo) -> Iterator[tuple[Reference, Artifact]]:
    """Yield the names of images in *info*, each with its manifest; a name that is none is left out."""
    for module in info.modules:
        head = next((file for file in module.artifacts if file.name in MANIFESTS and file.sha256), None)
        for text in module.properties.get("docker.image.tag", "").split(",") if head else ():
            try:
                reference = Reference.parse(text.strip())
            except BadNameError:
                continue
            if head:
                yield reference, head


def _repository_in(target: str, repository: Repository, head: Artifact, host: str) -> Repository:
    """Return the name that *repository* has below the repository key *target*, whichever form names have here."""
    image = parent_of(parent_of(head.path))
    label, dot, rest = repository.host.partition(".")
    if repository.path == image and head.repository in {label, label.partition("-")[2]}:
        return Repository(f"{label.removesuffix(head.repository)}{target}{dot}{rest}", image)
    return Repository(repository.host if repository.path.endswith(f"/{image}") else host, f"{target}/{image}")


def count_beside(image: PromotedImage, registry: Registry) -> int | str:
    """Return how many documents are beside *image*; a text says why that is not known."""
    try:
        return len(find_referrers(pull(image.source, registry), image.source.repository, registry))
    except (CancelledError, TimeOutError):
        raise
    except BuildPushError as error:
        return str(error)


def left_behind(image: PromotedImage, beside: int | str, promotion: Promotion) -> str:
    """Return in words what stays where it is, and how to take it along; empty if it is nothing."""
    if beside == 0:
        return ""
    stays = "would stay" if promotion.dry_run else "stays"
    if isinstance(beside, str):
        what = f"if there is a provenance, signature or SBOM beside {image.source}, it {stays} there ({beside})"
    else:
        documents = "document" if beside == 1 else "documents"
        what = f"{beside} {documents} beside {image.source}, such as a provenance, {stays} there"
    return f"{what}: to take it along, run {image.command(is_moved=promotion.move and not promotion.dry_run)}"
