"""Signed documents about an image as JFrog Evidence: about its manifests, where Artifactory keeps them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from buildpush.artifactory import expected_build_info
from buildpush.artifactory.directories import Finding, groups_of
from buildpush.artifactory.lookup import find_files
from buildpush.artifactory.patience import Sleep, ask_until
from buildpush.foundation.errors import BuildInfoError, BuildPushError, CancelledError, TimeOutError
from buildpush.foundation.events import Decision, Note, Sink
from buildpush.images.references import Digest
from buildpush.provenance.attachment import signed

if TYPE_CHECKING:
    from buildpush.artifactory import Artifactory, BuildRecord
    from buildpush.pipeline.publication import Pushed
    from buildpush.provenance.attestations import Attestations
    from buildpush.provenance.keys import Signer
    from buildpush.provenance.statement import Statement

_HINT = "run the step again; if this Artifactory has no Evidence, leave out the setting evidence"

Statements = Mapping[Digest, Sequence["Statement"]]


def send_evidence(
    statements: Statements,
    receipt: Pushed,
    record: BuildRecord,
    wanted: Attestations,
    server: Artifactory,
    *,
    sink: Sink,
    sleep: Sleep = time.sleep,
) -> None:
    """Store *statements*, signed, as evidence about the manifests that have these digests.

    Raises:
        BuildInfoError: evidence is required, and could not be stored.
        CancelledError, TimeOutError: unchanged.
    """
    if not wanted.signer or wanted.evidence == "never":
        return
    try:
        places = None if not server.has_evidence() else _places(receipt, record, server, sleep)
        if places is None:
            message = f"{server.host} has no Evidence service"
            raise BuildInfoError(message)
        answers = list(_send(statements, places, wanted.signer, wanted.key_alias, server))
    except (CancelledError, TimeOutError):
        raise
    except BuildPushError as error:
        if wanted.evidence == "auto":
            advice = f" ({error.hint})" if error.hint else ""
            sink(Note(f"the signed documents are not stored as JFrog Evidence: {error}{advice}"))
            return
        message = f"the image is pushed, but its evidence is not stored: {error}"
        raise BuildInfoError(message, hint=error.hint or _HINT, setting="evidence") from error
    trust = "its trusted keys have" if all(answers) else "none of its trusted keys has, or not each of them,"
    sink(Decision("JFrog Evidence", f"{len(answers)} stored", f"{server.host} says that {trust} signed it"))


def _places(receipt: Pushed, record: BuildRecord, server: Artifactory, sleep: Sleep) -> list[Finding]:
    """Return where Artifactory has the manifests of what was pushed: each tag is a place of its own.

    Raises:
        BuildInfoError: one is not there, or may not be read.
    """
    expected = groups_of(expected_build_info(receipt, replace(record, compat=""), server).artifacts)
    found = ask_until(lambda groups: find_files(groups, server), expected, sleep, lambda one: one.actual is not None)
    for one in found:
        if one.actual is None:
            message = f"{server.host} does not show {one.expected.place}"
            raise BuildInfoError(message)
    return found


def _send(
    statements: Statements, places: Sequence[Finding], signer: Signer, alias: str, server: Artifactory
) -> Iterator[bool]:
    """Store each statement at each place of its manifest; yield whether a trusted key has signed it."""
    for digest, about in statements.items():
        envelopes = [signed(statement, signer).document(alias) for statement in about]
        for head in (one.actual.head for one in places if one.actual and one.actual.head.sha256 == digest.hex):
            yield from (server.put_evidence(head.repository, head.path, one) for one in envelopes)
