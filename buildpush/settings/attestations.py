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
    if not (settings.provenance and settings.push):
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
    return Attestations(settings.provenance, settings.builder_id or "", signer, settings.cosign_tag)


def attestation_notes(settings: BuildAndPush, ctx: ResolveContext) -> Iterator[str]:
    """Yield a note for each setting that needs another one."""
    signed = "sign_key" if settings.provenance else "provenance"
    needed = {"builder_id": "provenance", "sign_key": "provenance", "sign_password": signed, "cosign_tag": signed}
    for name, other in needed.items():
        if getattr(settings, name) and not getattr(settings, other):
            yield f"{ctx.source_of(name)}: {name} has no effect without {other}"
