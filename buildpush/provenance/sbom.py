"""The packages of an image as an SBOM: SPDX 2.3 or CycloneDX 1.6.

Source: spdx.github.io/spdx-spec/v2.3; cyclonedx.org/docs/1.6/json.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal

from buildpush import __version__
from buildpush.foundation.records import dataclass
from buildpush.images.references import Digest, Reference
from buildpush.provenance.packages import Package
from buildpush.provenance.statement import CYCLONEDX, SPDX, package_url

SbomFormat = Literal["spdx", "cyclonedx"]

_TOOL: Final = f"buildpush-{__version__}"


@dataclass(frozen=True, slots=True)
class Contents:
    """What is in an image: *digest* is of its manifest, *created* the time of the document, as SPDX writes it."""

    reference: Reference
    digest: Digest
    packages: tuple[Package, ...]
    created: str


def _spdx(contents: Contents) -> dict[str, Any]:
    image = {
        "SPDXID": "SPDXRef-image",
        "name": str(contents.reference.repository),
        "versionInfo": str(contents.digest),
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": False,
        "primaryPackagePurpose": "CONTAINER",
        "checksums": [{"algorithm": contents.digest.algorithm.upper(), "checksumValue": contents.digest.hex}],
        "externalRefs": [_reference(package_url(contents.reference))],
    }
    packages = [_spdx_package(package, at) for at, package in enumerate(contents.packages, 1)]
    contained = [_relation("SPDXRef-image", "CONTAINS", package["SPDXID"]) for package in packages]
    return {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": str(contents.reference),
        "documentNamespace": f"https://buildpush.example/spdx/{contents.digest.hex}",
        "creationInfo": {"created": contents.created, "creators": [f"Tool: {_TOOL}"]},
        "packages": [image, *packages],
        "relationships": [_relation("SPDXRef-DOCUMENT", "DESCRIBES", "SPDXRef-image"), *contained],
    }


def _spdx_package(package: Package, at: int) -> dict[str, Any]:
    return {
        "SPDXID": f"SPDXRef-package-{at}",
        "name": package.name,
        "versionInfo": package.version,
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": False,
        "externalRefs": [_reference(package.url)],
    }


def _reference(purl: str) -> dict[str, str]:
    return {"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": purl}


def _relation(one: str, kind: str, other: str) -> dict[str, str]:
    return {"spdxElementId": one, "relationshipType": kind, "relatedSpdxElement": other}


def _cyclonedx(contents: Contents) -> dict[str, Any]:
    purl = package_url(contents.reference)
    image = {"type": "container", "bom-ref": purl, "name": str(contents.reference.repository)}
    image |= {"version": str(contents.digest), "purl": purl}
    components = [
        {"type": "library", "bom-ref": one.url, "name": one.name, "version": one.version, "purl": one.url}
        for one in contents.packages
    ]
    tools = {"components": [{"type": "application", "name": "buildpush", "version": __version__}]}
    metadata = {"timestamp": contents.created, "tools": tools, "component": image}
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": metadata,
        "components": components,
    }


_WRITERS: Final[Mapping[str, tuple[str, Callable[[Contents], dict[str, Any]]]]] = {
    "spdx": (SPDX, _spdx),
    "cyclonedx": (CYCLONEDX, _cyclonedx),
}
SBOM_FORMATS: Final[Sequence[str]] = tuple(_WRITERS)


def sbom(kind: str, contents: Contents) -> tuple[str, dict[str, Any]]:
    """Return the predicate type of an SBOM of the format *kind*, and the document."""
    predicate_type, write = _WRITERS[kind]
    return predicate_type, write(contents)
