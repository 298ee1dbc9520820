"""Secrets that are recognised by their form: the user part of an address, and tokens of well-known services.

Only :func:`clean_address` removes secrets from addresses; cleaning twice has no further effect.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from buildpush.foundation.regex import regex

# The part of a URL before the host. The second alternative matches a password that contains a slash, but not a port.
# Quotes and angle brackets end a URL, so that two strings in one line of JSON stay apart.
_USER_INFO = regex(r"""(?<=://)(?:[^\s/?#"<>]*|[^\s/?#@:"<>]+:(?![0-9]+(?:[/?#]|$))[^\s"<>]{0,1000})@""")
# The same before a registry host, but not NAME:TAG@sha256:..., which is a reference.
_BARE_USER_INFO = regex(r"\A[^\s/@:]+:\S+@(?!sha\d+:)(?=[^\s/@]+/)")
# A password may contain what otherwise ends a host: where the text is an address and nothing else, all up to the last
# @ is removed.
_WHOLE_USER_INFO = regex(r"(?<=://)[^\s/]*@")
# USER@HOST:PATH, as ssh and git accept it.
_SCP = regex(r"\A(?P<user>[^\s/@]+@)+(?=\[|[^\s/@:]+:)")
# The same with a password that contains a slash; git itself would take the user for the host.
_SCP_PASSWORD = regex(r"\A[^\s/@:]+:(?!//)\S{0,1000}@(?!sha\d+:)(?=\[|[^\s/@:]+:)")
# The account on an SSH server, such as git, is not a secret; a longer one, or one of mixed case, may be.
_ACCOUNT = regex(r"[a-z_][a-z0-9_.-]{0,15}@\Z")
_OVER_SSH = regex(r"(?<![A-Za-z0-9+.-])(?:git\+)?ssh(?:\+git)?://\Z", re.IGNORECASE)
# Addresses of git repositories; what follows their # is BRANCH:DIRECTORY.
_GIT_ADDRESS = regex(r"(?:git|ssh|git\+ssh|ssh\+git)://|[^\s/@]+@[^\s/]+:|[^?#]+\.git\Z", re.IGNORECASE)
_BRANCH = regex(r"[\w./+-]{1,200}(?::[\w./+-]{0,200})?\Z")

# Sources: GitHub and GitLab, "Token overview"; AWS, "Unique identifiers"; Slack, "Token types"; npm and JFrog by their
# prefixes; RFC 7519 (JWT); RFC 7468 (PEM); RFC 6750 and 7617 (Authorization); Azure Storage, "Connection strings".
_TOKENS: Final = regex(
    r"\b(?:gh[pousr]_|github_pat_|glpat-|glrt-|gldt-|glptt-|xox[abeoprs]-|npm_|pypi-|dop_v1_|hf_|AKC[a-z])[\w-]{8,}"
    r"|\b(?:AKIA|ASIA)[A-Z0-9]{12,}\b"
    r"|\bcmVmdGtu[A-Za-z0-9+/=_-]{16,}"
    r"|\bey[A-Za-z0-9_-]{6,}\.ey[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_-]*"
    r"|-----BEGIN [A-Z0-9 ]*PRIVATE KEY"
    r"|\b(?i:Bearer|Basic|Negotiate)\s+[A-Za-z0-9+/=._~-]{6,}"
    r"|(?i:_auth|_authToken|_password)\s*="
    r"|(?i:AccountKey|SharedAccessKey|SharedAccessSignature|SharedSecretIssuer|SharedSecretValue)\s*="
    r"|[?&](?i:sig|X-Amz-Signature|X-Amz-Security-Token|X-Goog-Signature|X-JFrog-Art-Api)="
)
# NAME=VALUE, NAME: VALUE or "NAME": "VALUE" inside a value, where the name says what it is.
_PAIR = regex(
    r"(?:password|passwd|pwd|passphrase|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|credentials?|auth)"
    r"""["']?\s*[=:]\s*["']?[^\s"',;&}]""",
    re.IGNORECASE,
)


# Parts of names that jf leaves out, in any case. Source: jfrog-cli, "build-publish", --env-exclude.
_PARTS_OF_NAMES: Final = (
    "password",
    "psw",
    "secret",
    "key",
    "token",
    "auth",
    "passwd",
    "passphrase",
    "credential",
    "private",
)
# Further names of secrets, as whole words only: COMPASS and PATH are not secrets.
_WORDS_OF_NAMES: Final = frozenset(
    {"pass", "pwd", "pw", "pat", "jwt", "cookie", "cookies", "netrc", "cred", "creds", "dsn", "sas"}
)
_DIRECTORIES = frozenset({"PWD", "OLDPWD"})
# camelCase, PascalCase and ABCDef; dots, dashes and anything else that is not a letter.
_WORD_OF_NAME = regex(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


def names_secret(name: str) -> bool:
    """Return whether the name of a variable suggests that it contains a secret."""
    if name in _DIRECTORIES:
        return False
    letters = re.sub(r"[^a-z0-9]", "", name.lower())
    if any(part in letters for part in _PARTS_OF_NAMES):
        return True
    words = {word.lower() for word in _WORD_OF_NAME.findall(name)}
    return bool(words & _WORDS_OF_NAMES)


def without_user_info(text: str, mask: str) -> str:
    """Return *text*, however long, with *mask* in place of the user part of each address in it."""
    if "@" not in text or "://" not in text:
        return text
    return _USER_INFO.sub(lambda match: match[0] if match[0] == _account(match) else f"{mask}@", text)


def passwords_in(text: str) -> Iterator[str]:
    """Yield the passwords of the addresses in *text*, as they are written."""
    if "@" in text:
        for user_info in (*_USER_INFO.findall(text), *_BARE_USER_INFO.findall(text)):
            yield user_info.removesuffix("@").partition(":")[2]


def clean_address(address: str) -> str:
    """Return *address* as it may be shown and published: without password, user and query.

    The account on an SSH server and the branch of a git repository stay.
    """
    before = None
    while before != address:
        before, address = address, _clean_once(address)
    return address


def _clean_once(address: str) -> str:
    for form in (_USER_INFO, _WHOLE_USER_INFO, _SCP_PASSWORD, _SCP):
        address = form.sub(_account, address)
    base, _, fragment = address.partition("#")
    base = base.partition("?")[0]
    has_branch = _GIT_ADDRESS.match(base) and _BRANCH.match(fragment) and not looks_secret(fragment)
    return f"{base}#{fragment}" if has_branch else base


def may_be_token(user: str) -> bool:
    """Return whether the user name of an address may be a token."""
    return _ACCOUNT.match(f"{user}@") is None or looks_secret(user)


def _account(match: re.Match[str]) -> str:
    """Return the account before the host of an SSH address, with its ``@``; else the empty text."""
    before = match.string[max(0, match.start() - len("git+ssh://")) : match.start()]
    user = f"{match[0].removesuffix('@').partition(':')[0]}@"
    over_ssh = match.re.pattern == _SCP.pattern or _OVER_SSH.search(before) is not None
    return user if over_ssh and not may_be_token(user[:-1]) else ""


def looks_secret(text: str) -> bool:
    """Return whether *text* contains a token, key or password, judged by its form."""
    return holds_token(text) or without_user_info(text, "") != text


def holds_token(text: str) -> bool:
    """Return whether *text* contains a token, key or password; the user parts of addresses are not looked at."""
    return bool(_TOKENS.search(text) or _PAIR.search(text))
