"""What is stored beside an image, from the settings."""

from __future__ import annotations

from collections.abc import Iterator

from buildpush.foundation.errors import SecretError
from buildpush.provenance.attestations import Attestations
from buildpush.settings.model import BuildAndPush
from buildpush.settings.resolved import ResolveContext


def attestations_of(settings: BuildAndPush, ctx: ResolveContext, *, publishes: bool) -> Attestations:
    """Return what is stored beside the image; the key is read now, so that a wrong password costs no build.

    *publishes* is whether an Artifactory gets a build-info, which gets evidence as well.

    Raises:
        SecretError: the key cannot be read.
        SettingsError: ``cryptography`` is not installed.
    """
    if not (wants_any(settings) and settings.push):
        return Attestations()
    if settings.evidence == "always" and settings.sign_key is not None and not publishes:
        message = "evidence is stored at the Artifactory that gets the build-info, and none gets it"
        raise ctx.fail(message, "evidence", "set JF_URL or artifactory_url, or leave out evidence")
    signer = None
    if settings.sign_key is not None:
        from buildpush.provenance.keys import Signer

        secret = ctx.secret("sign_password", settings.sign_password) if settings.sign_password else None
        try:
            signer = Signer.load(
                ctx.secret("sign_key", settings.sign_key).reveal(), secret.reveal() if secret else None
            )
        except SecretError as error:
            where = error.where or ctx.where(error.setting or "sign_key")
            raise SecretError(error.args[0], hint=error.hint, setting=error.setting, where=where) from error
    return Attestations(
        provenance=settings.provenance and not settings.push_only,  # which a note reports: nothing is built
        sbom=settings.sbom or "",
        builder=settings.builder_id or "",
        signer=signer,
        cosign_tag=settings.cosign_tag,
        evidence=settings.evidence,
        key_alias=settings.sign_key_alias or "",
    )


def wants_any(settings: BuildAndPush) -> bool:
    """Return whether anything is to be stored beside the image."""
    return settings.provenance or settings.sbom is not None


def attestation_notes(settings: BuildAndPush, ctx: ResolveContext) -> Iterator[str]:
    """Yield a note for each setting that needs another one."""
    is_any = wants_any(settings)
    is_signed = is_any and settings.sign_key is not None
    one_of = "provenance or sbom"
    needed = {"builder_id": (settings.provenance, "provenance"), "sign_key": (is_any, one_of)}
    signed = ("sign_password", "cosign_tag", "evidence", "sign_key_alias")
    needed |= dict.fromkeys(signed, (is_signed, "sign_key" if is_any else one_of))
    for name, (is_there, other) in needed.items():
        if getattr(settings, name) not in {None, False, "auto", "never"} and not is_there:
            yield f"{ctx.source_of(name)}: {name} has no effect without {other}"
