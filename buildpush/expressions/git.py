"""Facts about a git repository, from the program git; ``None`` without git, a repository or an answer."""

# Flags of other programs in this module's texts: any

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from buildpush.foundation.errors import EngineMissingError, SourceError, TimeOutError
from buildpush.foundation.forms import clean_address
from buildpush.foundation.records import dataclass
from buildpush.foundation.regex import regex
from buildpush.places import Place

TIMEOUT_SECONDS: Final = 20.0
# The repository's own configuration must not make git start other programs while we only read, or write other text.
_CONFIGURATION: Final = ("core.fsmonitor=false", "log.showSignature=false", "i18n.logOutputEncoding=UTF-8")
_COMMAND: Final = ("git", *(word for one in _CONFIGURATION for word in ("-c", one)), "--no-pager")
_QUIET: Final = {"GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
_REPOSITORY_VARIABLES: Final = frozenset(
    {
        *("GIT_DIR", "GIT_COMMON_DIR", "GIT_WORK_TREE", "GIT_IMPLICIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX"),
        *("GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_SHALLOW_FILE", "GIT_GRAFT_FILE"),
        *("GIT_NAMESPACE", "GIT_REPLACE_REF_BASE", "GIT_INTERNAL_SUPER_PREFIX"),
    }
)
# Source: git, setup.c, "detected dubious ownership in repository".
_REFUSED: Final = regex(r"dubious ownership in repository at '([^\n]+)'")
REVISION: Final = regex(r"(?:[0-9a-f]{40}|[0-9a-f]{64})\Z")


@dataclass(frozen=True, slots=True)
class Vcs:
    """Where the built files come from; unknown values are empty.

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


def without_repository_variables(env: Mapping[str, str]) -> dict[str, str]:
    """Return *env* without the variables that point git to a repository, as git sets them for its hooks.

    Source: git rev-parse --local-env-vars; those with settings of git stay, since they may contain a login.
    """
    return {name: value for name, value in env.items() if name not in _REPOSITORY_VARIABLES}


class Git:
    """The repository that *directory* is in; git is run once for each question."""

    def __init__(self, place: Place, directory: Path) -> None:
        self.place = place
        self.directory = directory
        self._answers: dict[tuple[str, ...], str | None] = {}
        self._refused = ""  # the repository of another user
        self._others: dict[Path, Git] = {}

    def at(self, directory: Path) -> Git:
        """Return the repository that *directory* is in: this one if it is the same, and else the same one each time."""
        if directory == self.directory:
            return self
        if directory not in self._others:
            own = Git(self.place, directory)
            self._others[directory] = self if own.root and own.root == self.root else own
        return self._others[directory]

    def ask(self, *words: str) -> str | None:
        """Return what git prints for the arguments *words*, stripped; ``None`` for an error or an empty output."""
        if words not in self._answers:
            self._answers[words] = self._run(words)
        return self._answers[words]

    def _run(self, words: tuple[str, ...]) -> str | None:
        # If this is a directory of git's own files, it is the repository, whatever the variables of a hook name.
        env = _QUIET | ({"GIT_DIR": str(self.directory)} if (self.directory / "HEAD").is_file() else {})
        try:
            ran = self.place.run([*_COMMAND, *words], cwd=self.directory, env=env, timeout=TIMEOUT_SECONDS)
        except (EngineMissingError, SourceError, TimeOutError):
            return None
        if ran.status and (refused := _REFUSED.search(ran.stderr)):
            self._refused = refused[1]
        return (ran.stdout.strip() or None) if ran.status == 0 else None

    @property
    def refusal(self) -> str:
        """Why git does not read the repository that is here, and what to do; empty if it reads it, or there is none."""
        if self.root or not self._refused:
            return ""
        command = shlex.join(["git", "config", "--global", "--add", "safe.directory", self._refused])
        return f"git does not read {self._refused}, which belongs to another user; to allow it, run {command}"

    @property
    def root(self) -> str | None:
        """Directory of the work tree; in a linked worktree, that of the linked one."""
        return self.ask("rev-parse", "--show-toplevel")

    @property
    def revision(self) -> str | None:
        """Full hash of HEAD; ``None`` before the first commit."""
        revision = self.ask("rev-parse", "--verify", "--quiet", "HEAD")
        return revision if revision and REVISION.match(revision) else None

    @property
    def branch(self) -> str | None:
        """Branch that HEAD is on; ``None`` if it is detached."""
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
    def is_shallow(self) -> bool:
        """Whether the history is cut off."""
        return self.ask("rev-parse", "--is-shallow-repository") == "true"

    def has_commit(self, revision: str) -> bool:
        """Return whether the commit with the full hash *revision* is here; what is no such hash is not."""
        found = REVISION.match(revision) and self.ask("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
        return bool(found)

    def subjects(self, since: str, most: int) -> list[str] | None:
        """Return the first lines of the messages of HEAD's commits, newest first.

        Args:
            since: full hash of a commit, which is left out with all before it; empty for none.
            most: number of lines.
        """
        commits = f"{since}..HEAD" if since else "HEAD"
        if self.ask("rev-list", "--count", commits, "--") == "0":
            return []
        lines = self.ask("log", f"--max-count={most}", "--format=%s", commits, "--")
        return None if lines is None else lines.split("\n")

    @property
    def author(self) -> str | None:
        """Name of the author of HEAD's commit."""
        return self.ask("log", "-1", "--format=%an") if self.revision else None

    @property
    def author_email(self) -> str | None:
        """Email address of the author of HEAD's commit."""
        return self.ask("log", "-1", "--format=%ae") if self.revision else None

    @property
    def url(self) -> str | None:
        """Address of the remote named origin, without credentials."""
        url = self.ask("config", "--get", "remote.origin.url")
        return clean_address(url) if url else None


def vcs(git: Git, ci_values: Mapping[str, str] | None = None) -> Vcs | None:
    """Return where the files in git's directory come from.

    Args:
        git: the repository.
        ci_values: fields of :class:`Vcs` from CI variables, used if there is no repository.

    Returns:
        ``None`` if nothing is known.
    """
    ci_values = ci_values or {}
    if git.revision:
        return Vcs(git.url or "", git.revision, git.branch or ci_values.get("branch", ""), git.message or "")
    return Vcs(**ci_values) if ci_values.get("revision") else None
