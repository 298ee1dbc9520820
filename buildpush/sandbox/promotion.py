"""Promotion of a build: its status, and its files copied or moved to another repository."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from buildpush.foundation.records import dataclass
from buildpush.sandbox import builds
from buildpush.sandbox.answers import RequestRefusedError
from buildpush.sandbox.bodies import field, flag, texts
from buildpush.sandbox.build_artifacts import BuildFiles
from buildpush.sandbox.deploying import Deployer
from buildpush.sandbox.entries import BuildEntry, FileEntry, RepositoryEntry
from buildpush.sandbox.permissions import Caller
from buildpush.sandbox.store import Store

_NO_TARGET = "Skipping build item relocation: no target repository selected."
Messages = list[dict[str, str]]


@dataclass(frozen=True, slots=True)
class PromotionOrder:
    """What a promotion does; see the reference of Artifactory's REST interface for the fields of the request."""

    status: str
    comment: str
    ci_user: str
    timestamp: str
    source: str
    target: str
    artifacts: bool
    dependencies: bool
    scopes: tuple[str, ...]
    copy: bool
    fail_fast: bool
    dry_run: bool
    properties: Mapping[str, list[str]]


def read_order(document: Mapping[str, Any]) -> PromotionOrder:
    """Return the promotion that a request asks for.

    Raises:
        RequestRefusedError: 400, a field has another type.
    """
    return PromotionOrder(
        status=field(document, "status", str, ""),
        comment=field(document, "comment", str, ""),
        ci_user=field(document, "ciUser", str, ""),
        timestamp=field(document, "timestamp", str, ""),
        source=field(document, "sourceRepo", str, ""),
        target=field(document, "targetRepo", str, ""),
        artifacts=flag(document, "artifacts", default=True),
        dependencies=flag(document, "dependencies"),
        scopes=texts(document, "scopes"),
        copy=flag(document, "copy"),
        fail_fast=flag(document, "failFast", default=True),
        dry_run=flag(document, "dryRun"),
        properties=_properties(field(document, "properties", dict, {})),
    )


def _properties(document: Mapping[str, Any]) -> dict[str, list[str]]:
    return {str(key): list(texts(document, key)) for key in document}


class BuildPromotion:
    """A promotion of one run: where its files go, and its status.

    Raises:
        RequestRefusedError: 404, there is no repository to promote to, or from.
    """

    def __init__(self, store: Store, deployer: Deployer, run: BuildEntry, order: PromotionOrder, who: Caller) -> None:
        self._store = store
        self._deployer = deployer
        self._run = run
        self._order = order
        self._who = who
        self._target = _target(deployer, order.target) if order.target else ""
        source = _repository(store, order.source).physical if order.source else None
        self._files = BuildFiles(store, run, who, source)

    def apply(self) -> Messages:
        """Promote, or only check, and return the messages of the answer.

        Raises:
            RequestRefusedError: 400, files are missing; 403, the account may not write or remove one.
        """
        entries, messages = self._wanted() if self._target else ([], [message("INFO", _NO_TARGET)])
        with self._store.change(lasting=not self._order.dry_run):
            for entry in entries:
                self._deployer.relocate(
                    entry, self._target, entry.path, moves=not self._order.copy, changes=self._order.properties
                )
            if not self._order.dry_run:
                self._record()
        return messages

    def _wanted(self) -> tuple[list[FileEntry], Messages]:
        """Return the files to relocate, and a warning for each that is missing."""
        order, what = self._order, f"of build '{self._run.name}' #{self._run.number}"
        found = [self._files.artifacts()] if order.artifacts else []
        found += [self._files.dependencies(order.scopes)] if order.dependencies else []
        missing = [name for files in found for name in files.missing]
        if missing and order.fail_fast:
            text = f"Unable to find artifacts {what} from {order.source or 'any'} repo: aborting promotion."
            raise RequestRefusedError(400, "BAD_REQUEST", text)
        warnings = [message("WARNING", f"Unable to find '{name}' {what}: it is skipped.") for name in missing]
        entries = {(entry.repo, entry.path): entry for files in found for entry in files.entries}
        return [entry for entry in entries.values() if entry.repo != self._target], warnings

    def _record(self) -> None:
        """Add the status to the history of the run; without one, nothing is recorded."""
        order = self._order
        if not order.status:
            return
        now = round(self._store.clock() * 1000)
        moment = builds.read_started(order.timestamp) if order.timestamp else now
        status = {
            "status": order.status,
            "comment": order.comment,
            "repository": self._target,
            "timestamp": order.timestamp or builds.write_started(now),
            "user": self._who.username,
            "ciUser": order.ci_user,
        }
        kept = {key: value for key, value in status.items() if value} | {"timestampDate": moment}
        statuses = [*(self._run.document.get("statuses") or ()), kept]
        changed = replace(self._run, document={**self._run.document, "statuses": statuses})
        builds.write_build(self._store, changed, self._who.username)


def message(level: str, text: str) -> dict[str, str]:
    """Return one message of the answer to a promotion."""
    return {"level": level, "message": text}


def _repository(store: Store, key: str) -> RepositoryEntry:
    repository = store.repository(key)
    if repository is None or repository.package_type == "buildinfo":
        raise _no_target(key)
    return repository


def _target(deployer: Deployer, key: str) -> str:
    try:
        return deployer.repository(key)
    except RequestRefusedError as error:
        raise _no_target(key) from error


def _no_target(key: str) -> RequestRefusedError:
    return RequestRefusedError(404, "NOT_FOUND", f"Cannot find target repository by the key '{key}'")
