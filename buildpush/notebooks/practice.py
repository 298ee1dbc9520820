"""A place to practise at: a private directory, and a connector for a sandbox or for the reader's own Artifactory."""

from __future__ import annotations

import atexit
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from buildpush.credentials.connectors_file import read_connectors
from buildpush.credentials.docker import Credential
from buildpush.credentials.jfrog import artifactory_address
from buildpush.credentials.vault import Vault
from buildpush.display.tables import shows_itself
from buildpush.foundation import mounts
from buildpush.foundation.errors import SettingsError
from buildpush.foundation.locks import temporary
from buildpush.foundation.records import dataclass
from buildpush.foundation.state import write_private
from buildpush.notebooks.tutorials import tutorials_directory

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from buildpush.sandbox import Line, Sandbox

CONNECTOR: Final = "jfrog"
_FILE: Final = "connectors.yml"
_FOREIGN: Final = ("JF_", "JFROG_", "PLUGIN_")  # variables that name the reader's own Artifactory, or a step
_HERE: Final = ("127.0.0.1", "localhost", "::1")  # no proxy is asked for these
_OF_PROXIES: Final = ("https_proxy", "all_proxy", "no_proxy")
_PORTS: Final = {"https": 443, "http": 80}
_YEAR_2026: Final = "1767225600"
_CONNECTORS: Final = """\
connectors:
  - connector:
      identifier: {identifier}
      type: DockerRegistry
      spec:
        dockerRegistryUrl: {url}
        providerType: Other
        auth:
          type: UsernamePassword
          spec:
            {user}
            passwordRef: file:password
"""


def practice(connectors: str | Path = "", repository: str = "", *, artifactory_url: str = "", **rules: Any) -> Practice:
    """Return a place to push to: a sandbox that starts now, or the Artifactory that a connector leads to.

    Its keywords lead every function there: ``buildpush.run("step.yml", **place)``. It lasts until its ``close()``, the
    end of its ``with`` block, or that of this process.

    Args:
        connectors: file with the connector of an Artifactory: the one called ``jfrog``, or its only one; without a
            file, a sandbox is started.
        repository: key of the repository to push to; of a sandbox, ``docker-local`` by default.
        artifactory_url: address of that Artifactory, if it is not that of its registry.
        rules: of the sandbox, as for ``Sandbox``: ``immutable=["docker-local"]``.

    Raises:
        SettingsError: the connector cannot be used, or names no repository, or a sandbox cannot start.
        SecretError: the password of the connector is not where it says.
    """
    if connectors and rules:
        message = f"{', '.join(rules)} of a sandbox cannot be chosen: {connectors} leads to another Artifactory"
        raise SettingsError(message, hint="leave out connectors, or these", setting="connectors")
    if connectors and not repository:
        message = f"{connectors} says where to push, but not to which repository there"
        raise SettingsError(message, hint="name its key, as in repository=docker-local", setting="repository")
    with ExitStack() as stack:
        directory = stack.enter_context(temporary(what="practice-", tidy=False)).resolve()
        sandbox = None if connectors else _started(stack, rules)
        server = _Server.of_sandbox(sandbox) if sandbox else _Server.of_connector(Path(connectors))
        server = replace(server, artifactory_url=artifactory_url or artifactory_address(server.url))
        end = ExitStack()
        place = Practice(directory, server, repository or "docker-local", sandbox, end.close)
        end.push(stack.pop_all())  # only now: a place that cannot be made leaves neither sandbox nor directory
        return place


def _started(stack: ExitStack, rules: Mapping[str, Any]) -> Sandbox:
    from buildpush.sandbox import Sandbox

    return stack.enter_context(Sandbox(**rules))


@dataclass(frozen=True, slots=True)
class _Server:
    """Where the images go: address and login; *has_secret_user* is whether the user's name is a secret as well."""

    url: str
    login: Credential
    has_secret_user: bool = False
    artifactory_url: str = ""

    @classmethod
    def of_sandbox(cls, sandbox: Sandbox) -> Self:
        return cls(sandbox.url, Credential(sandbox.username, sandbox.password, "sandbox"))

    @classmethod
    def of_connector(cls, file: Path) -> Self:
        found = read_connectors(file)
        entry = found.entries[0] if len(found.entries) == 1 else found.find(CONNECTOR)
        login = entry.credential(Vault(os.environ, Path.cwd(), None, found.references))
        return cls(entry.url, login, not isinstance(entry.username, str))


def _remove(directory: Path, process: int) -> None:
    if os.getpid() == process:
        mounts.remove(directory)


@shows_itself
class Practice(Mapping[str, Any]):
    """A place to push to, which is a mapping of the keywords that lead there; :func:`practice` makes it.

    Nothing is written into this process's environment: ``env`` is one of the keywords. In it, there are no variables of
    JFrog and of steps, what runs leave on this machine is in the private directory, and ``SOURCE_DATE_EPOCH`` is the
    first second of 2026 if it is not set, so that images are the same each time. A sandbox by TLS is trusted.

    Attributes:
        directory: private, with a copy of the examples; relative paths start there. It is removed at the end.
        sandbox: the sandbox, or ``None``.
        repository: key of the repository to push to.
        url: address of the platform, without a slash at its end.
        host: its host and port, as in image references.
        artifactory: keywords that lead ``buildpush.open_builds`` there.
    """

    def __init__(
        self, directory: Path, server: _Server, repository: str, sandbox: Sandbox | None, end: Callable[[], None]
    ) -> None:
        self.directory, self.sandbox, self.repository, self.url = directory, sandbox, repository, server.url
        self._server, self._end, self._process = server, end, os.getpid()
        self.host = urlsplit(server.url).netloc
        atexit.register(_remove, directory, self._process)  # again: a thread may still write there when it is closed
        atexit.register(self.close)
        shutil.copytree(tutorials_directory() / "examples", directory / "examples")
        write_private(directory / "password", server.login.password.reveal())
        write_private(directory / "username", server.login.username)
        self._write_connectors(_FILE, server.url)
        around: dict[str, Any] = {"env": self._environment(), "cwd": directory}
        self._keywords: dict[str, Any] = {"connectors": _FILE, "connector_ref": CONNECTOR, **around}
        login = {"username": server.login.username, "password": server.login.password}
        self.artifactory: dict[str, Any] = {"artifactory_url": server.artifactory_url, **login, **around}

    def line(self, **settings: Any) -> Line:
        """Return a line to this place that breaks as *settings* say, to be opened by ``with``; see ``Line``.

        To another machine by HTTPS it is a tunnel, so that the server keeps its name.
        """
        from buildpush.sandbox import Line

        parts = urlsplit(self.url)
        tunnel = parts.scheme == "https" and parts.hostname not in _HERE
        return Line(f"{parts.hostname}:{parts.port or _PORTS[parts.scheme]}", tunnel=tunnel, **settings)

    def through(self, line: Line) -> dict[str, Any]:
        """Return the same keywords, but with a connector that leads through *line*, or a proxy that it is."""
        if line.tunnel:
            proxy = f"http://{line.host}"
            others = {name: text for name, text in self["env"].items() if name.lower() not in _OF_PROXIES}
            return {**self, "env": {**others, "HTTPS_PROXY": proxy}}
        name = f"{line.host.rpartition(':')[2]}.yml"
        self._write_connectors(name, f"{self.url.partition('://')[0]}://{line.host}")
        return {**self, "connectors": name}

    def close(self) -> None:
        """End the sandbox, and remove the directory; a second call does nothing, nor does one in a forked process."""
        atexit.unregister(self.close)
        if os.getpid() == self._process:
            self._end()

    def rows(self) -> list[tuple[str, str]]:
        """Return the facts as pairs of a label and a text."""
        kind = "a sandbox, which ends with this notebook" if self.sandbox else "your own"
        user = "a secret" if self._server.has_secret_user else self._server.login.username
        return [("Artifactory", kind), ("address", self.url), ("repository", self.repository), ("user", user)]

    def __getitem__(self, name: str) -> Any:
        return self._keywords[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._keywords)

    def __len__(self) -> int:
        return len(self._keywords)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _write_connectors(self, name: str, url: str) -> None:
        server = self._server
        user = (
            "usernameRef: file:username" if server.has_secret_user else f"username: {json.dumps(server.login.username)}"
        )
        text = _CONNECTORS.format(identifier=CONNECTOR, url=url, user=user)
        (self.directory / name).write_text(text, encoding="utf-8")

    def _environment(self) -> dict[str, str]:
        kept = {name: text for name, text in os.environ.items() if not name.startswith(_FOREIGN)}
        trusted = self.sandbox.authority if self.sandbox else None
        own = {"SSL_CERT_FILE": str(trusted)} if trusted else {}
        return {"SOURCE_DATE_EPOCH": _YEAR_2026, **kept, "XDG_STATE_HOME": str(self.directory / "state"), **own}
