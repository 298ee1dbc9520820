"""What git says about a directory, asked through a place; no git, no repository or no answer are all ``None``."""

# Flags of other programs in this module's texts: any

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from buildpush.foundation.errors import EngineMissingError, SourceError, TimeOutError
from buildpush.foundation.forms import clean_address
from buildpush.foundation.records import dataclass
from buildpush.foundation.regex import regex
from buildpush.places import Place

TIMEOUT_SECONDS: Final = 20.0
# The repository's own configuration must not start programs of its choice while we only ask.
_COMMAND: Final = ("git", "-c", "core.fsmonitor=false", "-c", "log.showSignature=false", "--no-pager")
_QUIET: Final = {"GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
_OF_A_REPOSITORY: Final = frozenset(
    {
        *("GIT_DIR", "GIT_COMMON_DIR", "GIT_WORK_TREE", "GIT_IMPLICIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX"),
        *("GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_SHALLOW_FILE", "GIT_GRAFT_FILE"),
        *("GIT_NAMESPACE", "GIT_REPLACE_REF_BASE", "GIT_INTERNAL_SUPER_PREFIX"),
    }
)
REVISION: Final = regex(r"(?:[0-9a-f]{40}|[0-9a-f]{64})\Z")


@dataclass(frozen=True, slots=True)
class Vcs:
    """Where the built files come from; what is not known is empty.

    Attributes:
        url: of the remote named origin, without credentials.
        revision: full hash of the commit.
        branch: empty for a detached HEAD.
        message: of the commit.
    """

    url: str = ""
    revision: str = ""
    branch: str = ""
    message: str = ""


def of_no_repository(env: Mapping[str, str]) -> dict[str, str]:
    """Return *env* without the variables that name a repository to git, which a hook of one has.

    Source: git rev-parse --local-env-vars; variables of settings stay, since a login may be among them.
    """
    return {name: value for name, value in env.items() if name not in _OF_A_REPOSITORY}


class Git:
    """The repository that *directory* lies in; every question is asked once."""

    def __init__(self, place: Place, directory: Path) -> None:
        self.place = place
        self.directory = directory
        self._answers: dict[tuple[str, ...], str | None] = {}

    def ask(self, *words: str) -> str | None:
        """Return what git prints for *words*, without blanks around it; ``None`` for no or an empty answer."""
        if words not in self._answers:
            self._answers[words] = self._run(words)
        return self._answers[words]

    def _run(self, words: tuple[str, ...]) -> str | None:
        # A directory of git's own files is the repository, whichever one the variables of a hook name.
        env = _QUIET | ({"GIT_DIR": str(self.directory)} if (self.directory / "HEAD").is_file() else {})
        try:
            ran = self.place.run([*_COMMAND, *words], cwd=self.directory, env=env, timeout=TIMEOUT_SECONDS)
        except (EngineMissingError, SourceError, TimeOutError):
            return None
        return (ran.stdout.strip() or None) if ran.status == 0 else None

    @property
    def root(self) -> str | None:
        """Directory of the work tree; that of the worktree itself where there are several."""
        return self.ask("rev-parse", "--show-toplevel")

    @property
    def revision(self) -> str | None:
        """Full hash of HEAD; ``None`` before the first commit."""
        revision = self.ask("rev-parse", "--verify", "--quiet", "HEAD")
        return revision if revision and REVISION.match(revision) else None

    @property
    def branch(self) -> str | None:
        """Branch that HEAD is on; ``None`` where it is detached."""
        return self.ask("symbolic-ref", "--quiet", "--short", "HEAD")

    @property
    def tag(self) -> str | None:
        """A tag of exactly this commit."""
        return self.ask("describe", "--exact-match", "--tags", "HEAD") if self.revision else None

    @property
    def message(self) -> str | None:
        """Message of HEAD's commit."""
        return self.ask("log", "-1", "--format=%B") if self.revision else None

    @property
    def author(self) -> str | None:
        """Name of the author of HEAD's commit."""
        return self.ask("log", "-1", "--format=%an") if self.revision else None

    @property
    def author_email(self) -> str | None:
        """Address of the author of HEAD's commit."""
        return self.ask("log", "-1", "--format=%ae") if self.revision else None

    @property
    def url(self) -> str | None:
        """Address of the remote named origin, without credentials."""
        url = self.ask("config", "--get", "remote.origin.url")
        return clean_address(url) if url else None


def vcs(git: Git, known: Mapping[str, str] | None = None) -> Vcs | None:
    """Return where the files in git's directory come from.

    Args:
        git: the repository.
        known: fields of :class:`Vcs` that a CI system says, for where there is no repository.

    Returns:
        ``None`` where nothing is known.
    """
    known = known or {}
    if git.revision:
        return Vcs(git.url or "", git.revision, git.branch or known.get("branch", ""), git.message or "")
    return Vcs(**known) if known.get("revision") else None
