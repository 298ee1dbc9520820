"""Files of connectors, for tests that need one."""

from __future__ import annotations


def connector(url: str, username: str = "ci-bot", password: str = "env:TOKEN", name: str = "jfrog") -> str:
    """Return an entry of a file of connectors: a registry with a user and a reference to its password."""
    return f"""\
  - connector:
      identifier: {name}
      type: DockerRegistry
      spec:
        dockerRegistryUrl: {url}
        providerType: Other
        auth: {{type: UsernamePassword, spec: {{username: "{username}", passwordRef: "{password}"}}}}
"""


def connectors(*entries: str) -> str:
    """Return a file with *entries*."""
    return "connectors:\n" + "".join(entries)
