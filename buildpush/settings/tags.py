"""The tags of an image: those that are written, their short forms, or those made from the Git branch or tag.

Sources: drone-docker (``tags.go``), drone-kaniko (``pkg/tagger``, ``labelsForTag``).
"""

# Flags of other programs in this module's texts: --quiet --short

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from buildpush.expressions.evaluate import AbsentError
from buildpush.foundation.regex import regex
from buildpush.settings.model import BuildAndPush
from buildpush.settings.resolved import ResolveContext

_VERSION: Final = regex(r"v?(\d+)\.(\d+)\.(\d+)(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?\Z")
_SHORT_VERSION: Final = regex(r"v?(\d+)(?:\.(\d+)(?:\.(\d+)(-[0-9A-Za-z.-]+)?)?)?\Z")
_TAG: Final = "refs/tags/"
_BRANCH: Final = "refs/heads/"


def tags_of(settings: BuildAndPush, ctx: ResolveContext) -> tuple[str, ...]:
    """Return the tags that the image gets.

    Raises:
        SettingsError: settings contradict each other, or no tags can be made from the Git branch or tag.
    """
    if not settings.auto_tag:
        return tuple(dict.fromkeys(tags_without_git(settings)))
    if settings.expand_tag:
        message = "auto_tag and expand_tag both make tags"
        raise ctx.fail(message, "auto_tag", "keep one of them")
    if settings.tags != ("latest",):
        message = f"auto_tag makes the tags, and tags names others: {', '.join(settings.tags)}"
        raise ctx.fail(message, "auto_tag", "leave one of them out")
    return tuple(_with_suffix(tag, settings.auto_tag_suffix) for tag in _automatic(ctx))


def tags_without_git(settings: BuildAndPush) -> tuple[str, ...]:
    """Return the tags, with a placeholder for those made from Git, which are the same for all iterations."""
    if settings.auto_tag:
        return (f"<tag of git, suffix {settings.auto_tag_suffix or 'none'}>",)
    return tuple(short for tag in settings.tags for short in (_expanded(tag) if settings.expand_tag else (tag,)))


def tag_notes(settings: BuildAndPush, ctx: ResolveContext) -> Iterator[str]:
    """Yield a note if a suffix has no effect."""
    if settings.auto_tag_suffix and not settings.auto_tag:
        yield f"{ctx.source_of('auto_tag_suffix')}: auto_tag_suffix has no effect without auto_tag"


def _with_suffix(tag: str, suffix: str | None) -> str:
    if suffix is None:
        return tag
    return suffix if tag == "latest" else f"{tag}-{suffix}"


def _automatic(ctx: ResolveContext) -> tuple[str, ...]:
    reference = _reference(ctx)
    if reference.startswith(_TAG):
        return _versions(reference.removeprefix(_TAG), ctx)
    default = _default_branch(ctx)
    if default and reference.removeprefix(_BRANCH) == default:
        return ("latest",)
    where = f"this is {reference}" if reference else "neither git nor a CI variable gives the branch or tag"
    branch = f"the default branch, {default}," if default else "the default branch, which is not known,"
    message = f"auto_tag makes tags only for {branch} and for Git tags, and {where}"
    hint = f"write tags{'' if default else ', or set DRONE_REPO_BRANCH to the default branch'}"
    raise ctx.fail(message, "auto_tag", hint)


def _reference(ctx: ResolveContext) -> str:
    try:
        return str(ctx.facts.lookup(("codebase", "commitRef")))
    except AbsentError:
        return ""


def _default_branch(ctx: ResolveContext) -> str:
    given = ctx.env.get("DRONE_REPO_BRANCH") or ctx.env.get("CI_DEFAULT_BRANCH")
    branch = given or ctx.facts.git.ask("symbolic-ref", "--quiet", "--short", "refs/remotes/origin/HEAD") or ""
    return branch.removeprefix("origin/") if not given else branch


def _versions(tag: str, ctx: ResolveContext) -> tuple[str, ...]:
    """Return a version and its short forms; leading zeros are kept."""
    match = _VERSION.match(tag)
    if match is None:
        message = f"auto_tag: the Git tag {tag!r} is not a version"
        raise ctx.fail(message, "auto_tag", "name it as v1.2.3, or write tags")
    major, minor, patch, *more = match.groups()
    if any(more):
        return (tag.removeprefix("v"),)
    short = f"{major}.{minor}"
    return (short, f"{short}.{patch}") if int(major) == 0 else (major, short, f"{short}.{patch}")


def _expanded(tag: str) -> tuple[str, ...]:
    """Return a version and its short forms, and any other tag as it is."""
    match = _SHORT_VERSION.match(tag.replace("_", "-"))
    if match is None:
        return (tag,)
    major, minor, patch, pre_release = match.groups()
    whole = f"{major}.{minor or 0}.{patch or 0}{pre_release or ''}"
    return (whole,) if pre_release else (major, f"{major}.{minor or 0}", whole)
