"""What is stored beside an image, from the settings."""

from __future__ import annotations

from collections.abc import Iterator

from buildpush.foundation.errors import SecretError
from buildpush.provenance.attestations import Attestations
from buildpush.settings.model import BuildAndPush
from buildpush.settings.resolved import ResolveContext


def attestations_of(settings: BuildAndPush, ctx: ResolveContext) -> Attestations:
    """Return what is stored beside the image; the key is read now, so that a wrong password costs no build.

    Raises:
        SecretError: the key cannot be read.
        SettingsError: ``cryptography`` is not installed.
    """
    if not (wants_any(settings) and settings.push):
        return Attestations()
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
    needed |= dict.fromkeys(("sign_password", "cosign_tag"), (is_signed, "sign_key" if is_any else one_of))
    for name, (is_there, other) in needed.items():
        if getattr(settings, name) and not is_there:
            yield f"{ctx.source_of(name)}: {name} has no effect without {other}"
