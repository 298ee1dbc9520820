"""Refusals of the sandbox: the error documents of Artifactory's registry and of its REST interface."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import field
from typing import Any

from buildpush.foundation.records import dataclass

VERSION = "7.90.10"
REVISION = "79010900"


@dataclass
class RequestRefusedError(Exception):
    """A request is answered with an error document.

    Attributes:
        status: HTTP status.
        code: of the registry's error document, such as ``BLOB_UNKNOWN``; REST answers leave it out.
        message: one sentence.
        detail: of the registry's error document; REST answers leave it out.
        headers: additional headers of the answer.
        as_rest: whether the registry, too, answers it as REST clients expect it.
    """

    status: int
    code: str
    message: str
    detail: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    as_rest: bool = False

    def registry_document(self) -> bytes:
        """Return the body as ``/v2/`` clients expect it."""
        error = {"code": self.code, "message": self.message, "detail": self.detail}
        return json.dumps({"errors": [error]}, separators=(",", ":")).encode()

    def rest_document(self) -> bytes:
        """Return the body as Artifactory's REST clients expect it."""
        return json.dumps({"errors": [{"status": self.status, "message": self.message}]}, indent=2).encode()


def forbidden(username: str, act: str, where: str) -> RequestRefusedError:
    """Return the answer for an account that may not *act* on *where*."""
    return RequestRefusedError(403, "DENIED", f"User {username} is not permitted to {act} '{where}'.")
