"""The settings of what is stored beside a pushed image; a table, not logic."""

from __future__ import annotations

from functools import partial
from typing import Literal

from buildpush.settings.cluster_settings import ClusterSettings
from buildpush.settings.declare import setting
from buildpush.settings.kinds import AddressText, SecretText, Switch, Text

_attestation = partial(setting, group="Attestations", honoured_by="push", place="env")


class AttestationSettings(ClusterSettings):
    """What is stored beside a pushed image, and how it is signed."""

    provenance: Switch = _attestation(
        "Whether the registry gets a SLSA provenance of the image: from what, by whom and how it was built.",
        "It is a referrer of the image, and of each image of an index, whichever engine builds. "
        "It has the values of {setting}`build_args`, as the image's history does, and no secrets. "
        "Without {setting}`sign_key` it is not signed.",
        default=False,
        example=True,
    )
    sbom: Literal["spdx", "cyclonedx"] | None = _attestation(
        "The format in which the registry gets a list of the packages in the image: SPDX 2.3 or CycloneDX 1.6.",
        "It is a referrer of the image; of an index, of each image in it. "
        "The packages are those of dpkg, apk and Python's `pip`, read from the layers of the image, which are "
        "fetched for it if they are of a base image.",
        example="spdx",
    )
    builder_id: AddressText | None = _attestation(
        "The address that {setting}`provenance` names as the builder: whoever verifies it decides by this name.",
        "Without it, `/builders/buildpush` at the host of the run's page at the CI system.",
        example="https://ci.example.com/builders/main",
    )
    sign_key: SecretText | None = _attestation(
        "Reference to the private key that signs what is stored beside the image.",
        "It is an ed25519 or P-256 key as PEM, or the file `cosign.key` of `cosign generate-key-pair`. "
        "Each document becomes a bundle of Sigstore, which `buildpush verify --key` and "
        "`cosign verify-attestation --key` accept. The variable may hold the key itself.",
        example="env:COSIGN_KEY",
    )
    sign_password: SecretText | None = _attestation(
        "Reference to the password of {setting}`sign_key`, if it has one.",
        "The variable may hold the password itself.",
        example="env:COSIGN_PASSWORD",
    )
    cosign_tag: Switch = _attestation(
        "Whether signed documents are also stored under the tag `sha256-….att`, where cosign 2 looks for them.",
        "What the tag has already stays. cosign 3 finds the referrers without it.",
        default=False,
        example=True,
    )
    evidence: Literal["auto", "always", "never"] = setting(
        "Whether signed documents are also stored as JFrog Evidence, at the Artifactory that gets the build-info.",
        "`auto` stores them where the server has Evidence, and is a note where it has not, or refuses them; "
        "with `always` that is an error.",
        default="auto",
        group="Attestations",
        example="always",
        honoured_by="publish",
        place="env",
    )
    sign_key_alias: Text | None = setting(
        "The alias of {setting}`sign_key` among JFrog's trusted keys, which evidence names.",
        "Without it, evidence names no key.",
        group="Attestations",
        example="release-2026",
        honoured_by="publish",
        place="env",
    )
