"""How much a sandbox stores, as Artifactory says it: numbers as texts for people, and a row for each repository."""

from __future__ import annotations

import shutil
from typing import Any

from buildpush.sandbox.entries import RepositoryEntry
from buildpush.sandbox.store import Store

_UNITS = ("bytes", "KB", "MB", "GB", "TB", "PB")
_STEP = 1024


def summary(store: Store) -> dict[str, Any]:
    """Return the document of ``api/storageinfo``; equal contents are one binary."""
    ((binaries, binaries_size),) = store.rows(
        "SELECT count(*), ifnull(sum(size), 0) FROM (SELECT size FROM files GROUP BY sha256)"
    )
    stored = {row[0]: row[1:] for row in store.rows("SELECT repo, count(*), sum(size) FROM files GROUP BY repo")}
    folders = dict(store.rows("SELECT repo, count(*) FROM directories GROUP BY repo"))
    size = sum(one[1] for one in stored.values())
    rows = [
        _row(repository, folders.get(repository.key, 0), *stored.get(repository.key, (0, 0)), whole=size)
        for repository in store.repositories()
    ]
    total = {key: sum(row[key] for row in rows) for key in ("foldersCount", "filesCount", "itemsCount")}
    last = {"repoKey": "TOTAL", "repoType": "NA", **total, "usedSpace": _size(size), "usedSpaceInBytes": size}
    return {
        "binariesSummary": {
            "binariesCount": f"{binaries:,}",
            "binariesSize": _size(binaries_size),
            "artifactsSize": _size(size),
            "optimization": _percent(binaries_size, size),
            "itemsCount": f"{total['itemsCount']:,}",
            "artifactsCount": f"{total['filesCount']:,}",
        },
        "fileStoreSummary": _disk(store),
        "repositoriesSummaryList": [*rows, last],
    }


def _row(repository: RepositoryEntry, folders: int, files: int, size: int, *, whole: int) -> dict[str, Any]:
    return {
        "repoKey": repository.key,
        "repoType": repository.rclass.upper(),
        "foldersCount": folders,
        "filesCount": files,
        "usedSpace": _size(size),
        "usedSpaceInBytes": size,
        "itemsCount": folders + files,
        "packageType": repository.package_type.capitalize(),
        "projectKey": "default",
        "percentage": _percent(size, whole),
    }


def _disk(store: Store) -> dict[str, str]:
    directory = store.content.path("00").parent.parent
    disk = shutil.disk_usage(directory)
    return {
        "storageType": "file-system",
        "storageDirectory": str(directory),
        "totalSpace": _size(disk.total),
        "usedSpace": f"{_size(disk.used)} ({_percent(disk.used, disk.total)})",
        "freeSpace": f"{_size(disk.free)} ({_percent(disk.free, disk.total)})",
    }


def _size(number: float) -> str:
    unit = 0
    while number >= _STEP and unit < len(_UNITS) - 1:
        number /= _STEP
        unit += 1
    return f"{number:.2f} {_UNITS[unit]}" if unit else f"{number:.0f} bytes"


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.2f}%" if whole else "0%"
