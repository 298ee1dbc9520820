"""What is to be stored beside an image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from buildpush.foundation.records import dataclass

if TYPE_CHECKING:
    from buildpush.provenance.keys import Signer


@dataclass(frozen=True, slots=True)
class Attestations:
    """The documents that are wanted, and how they are stored.

    Attributes:
        provenance: whether there is to be a SLSA provenance.
        sbom: format of the SBOM; empty for none.
        builder: what it names as the builder; empty for a name made from the page of the run.
        signer: signs; ``None`` for documents without a signature.
        cosign_tag: whether signed documents are stored under cosign's tag as well.
        evidence: whether signed documents are stored as JFrog Evidence: ``always``, ``never``, or ``auto`` where the
            server has it.
        key_alias: the alias of the key at JFrog; may be empty.
    """

    provenance: bool = False
    sbom: str = ""
    builder: str = ""
    signer: Signer | None = None
    cosign_tag: bool = False
    evidence: str = "auto"
    key_alias: str = ""

    @property
    def wanted(self) -> bool:
        """Whether there is to be any."""
        return self.provenance or bool(self.sbom)
