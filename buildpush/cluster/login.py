"""Who we are at a cluster, kept up to date: tokens expire in the middle of a build."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from buildpush.cluster.kubeconfig import Access, ClusterUser
from buildpush.cluster.plugins import credential_of
from buildpush.foundation.errors import AuthenticationError
from buildpush.foundation.interrupts import Lock
from buildpush.foundation.locks import temporary
from buildpush.foundation.secrets import Secret
from buildpush.places import Place

_HINT: Final = "log in to the cluster again, as you do for kubectl"


class ClusterLogin:
    """A user of a cluster, whose token is read or asked for again when the server refuses it; threads share it.

    Args:
        access: the cluster, and who we are there.
        place: where a program that prints credentials runs.
    """

    def __init__(self, access: Access, place: Place) -> None:
        self._access, self._place = access, place
        self._lock = Lock()
        self._user: ClusterUser | None = None
        self._header: str | None = None

    @property
    def user(self) -> ClusterUser:
        """The user, with what a plugin has printed; a plugin is asked once.

        Raises:
            AuthenticationError: the plugin fails.
        """
        with self._lock:
            return self._known()

    def header(self) -> str | None:
        """Return the value of the header ``Authorization``; ``None`` for a user without a token.

        Raises:
            AuthenticationError: the plugin fails, or the file of the token cannot be read.
        """
        with self._lock:
            self._header = self._header or _header_of(self._known())
            return self._header

    def renew(self, refused: str | None, user: ClusterUser | None = None) -> bool:
        """Read or ask for the credential again, unless another thread has done so; return whether there is another one.

        Args:
            refused: the header that the server refused.
            user: with the certificate that it refused.
        """
        with self._lock:
            before = user or self._known()
            if self._header == refused and self._known().certificate == before.certificate:
                self._user, self._header = None, None
                self._header = _header_of(self._known())
            return self._header != refused or self._known().certificate != before.certificate

    def _known(self) -> ClusterUser:
        if self._user is None:
            plugin = self._access.user.plugin
            self._user = credential_of(plugin, self._access, self._place) if plugin else self._access.user
        return self._user


def _header_of(user: ClusterUser) -> str | None:
    if user.token_file:
        try:
            text = user.token_file.read_text(encoding="ascii").strip()
        except (OSError, ValueError) as error:
            message = f"the token of the cluster's user cannot be read from {user.token_file}"
            raise AuthenticationError(message, hint=_HINT, setting="kube_context") from error
        if not text:
            message = f"the token of the cluster's user is missing: {user.token_file} is empty"
            raise AuthenticationError(message, hint=_HINT, setting="kube_context")
        return f"Bearer {Secret(text, str(user.token_file)).reveal()}"
    if user.token:
        return f"Bearer {user.token.reveal()}"
    if user.basic:
        return f"Basic {base64.b64encode(user.basic.reveal().encode()).decode()}"
    return None


@contextmanager
def identity_file(user: ClusterUser) -> Iterator[Path | None]:
    """Yield a private file with the certificate of *user* and its key, if it has one, which is removed afterwards."""
    if not (user.certificate and user.key):
        yield None
        return
    with temporary(what="identity") as directory:
        path = directory / "identity.pem"
        path.touch(mode=0o600)
        path.write_text(f"{user.certificate.rstrip()}\n{user.key.reveal().rstrip()}\n", encoding="ascii")
        yield path
