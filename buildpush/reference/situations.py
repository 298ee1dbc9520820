"""Situations: what people set together for a purpose; each stands on the card of the setting that it is about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from buildpush.foundation.records import dataclass


@dataclass(frozen=True, slots=True)
class Situation:
    """A purpose, and the settings for it.

    Attributes:
        title: the purpose.
        values: by Python name of the setting, as a step file has them: text, lists and maps of text.
    """

    title: str
    values: Mapping[str, Any]


def _rows(*rows: tuple[str, Mapping[str, Any]]) -> Sequence[Situation]:
    return tuple(Situation(title, MappingProxyType(dict(values))) for title, values in rows)


_CACHE: Final = "acme.jfrog.io/docker-local/site-cache"

# By the name of the card.
SITUATIONS: Final[Mapping[str, Sequence[Situation]]] = {
    "when": _rows(
        ("Only on main", {"when": {"stageStatus": "Success", "condition": '<+codebase.branch> == "main"'}}),
        ("Only for pull requests", {"when": {"stageStatus": "Success", "condition": '<+codebase.build.type> == "PR"'}}),
        ("Also after a failure", {"when": {"stageStatus": "All"}}),
    ),
    "timeout": _rows(("A build that may take an hour, and no longer", {"timeout": "1h"})),
    "failure_strategies": _rows(
        (
            "Try twice more after a failure, then give up",
            {
                "failure_strategies": [
                    {
                        "onFailure": {
                            "errors": ["AllErrors"],
                            "action": {
                                "type": "Retry",
                                "spec": {
                                    "retryCount": "2",
                                    "retryIntervals": ["30s"],
                                    "onRetryFailure": {"action": {"type": "MarkAsFailure"}},
                                },
                            },
                        }
                    }
                ]
            },
        ),
    ),
    "strategy": _rows(
        (
            "One image for each version of a language",
            {
                "strategy": {"matrix": {"python": ["3.12", "3.13"]}},
                "build_args": {"PYTHON": "<+matrix.python>"},
                "tags": ["<+matrix.python>"],
            },
        ),
    ),
    "repo": _rows(("A repository for each branch", {"repo": "acme.jfrog.io/docker-<+codebase.branch>/site"})),
    "tags": _rows(
        ("The commit, and latest", {"tags": ["<+codebase.shortCommitSha>", "latest"]}),
        ("The number of the run", {"tags": ["1.4.<+pipeline.sequenceId>"]}),
    ),
    "labels": _rows(
        (
            "Which commit an image is of",
            {
                "labels": {
                    "org.opencontainers.image.revision": "<+codebase.commitSha>",
                    "org.opencontainers.image.ref.name": "<+codebase.branch>",
                }
            },
        ),
    ),
    "platforms": _rows(("Two platforms", {"platforms": ["linux/amd64", "linux/arm64"]})),
    "dockerfile": _rows(
        ("One of several images in a repository", {"dockerfile": "services/api/Dockerfile", "context": "services/api"}),
    ),
    "context": _rows(
        ("A branch of a repository elsewhere", {"context": "https://github.com/acme/site.git#main:web"}),
    ),
    "build_args": _rows(
        ("The commit, readable by the program", {"build_args": {"REVISION": "<+codebase.commitSha>"}}),
    ),
    "target": _rows(
        ("Only the tests of a Dockerfile, without a push", {"target": "test", "push": "false"}),
    ),
    "env_docker_secrets": _rows(
        ("A token for a private package index", {"env_docker_secrets": {"pip_token": "PIP_TOKEN"}}),
    ),
    "cache_from": _rows(
        (
            "Layers kept in the registry between runs",
            {
                "cache_from": [f"type=registry,ref={_CACHE}"],
                "cache_to": [f"type=registry,ref={_CACHE},mode=max"],
            },
        ),
    ),
    "no_cache": _rows(("Everything built anew", {"no_cache": "true", "pull_image": "true"})),
    "base_image_connector_refs": _rows(
        ("Base images through a mirror of one's own", {"base_image_connector_refs": ["mirror"]}),
    ),
    "connector_ref": _rows(("The same file for two registries", {"connector_ref": "<+env.REGISTRY_CONNECTOR>"})),
    "password": _rows(("A robot's token from the secrets of the CI", {"username": "robot", "password": "env:TOKEN"})),
    "ca_path": _rows(("Behind a proxy that opens TLS", {"ca_path": "/etc/ssl/company.pem"})),
    "registry_certificate": _rows(
        (
            "A registry with a certificate of one's own authority",
            {"registry_certificate": {"registry.corp:5000": "certificates/registry.pem"}},
        ),
    ),
    "env_variables": _rows(
        (
            "Behind a proxy",
            {"env_variables": {"HTTPS_PROXY": "http://proxy.corp:3128", "NO_PROXY": "acme.jfrog.io,.corp"}},
        ),
    ),
    "push": _rows(
        ("Pushed from main, only built elsewhere", {"push": '<+codebase.branch> == "main"'}),
    ),
    "tar_path": _rows(("Build here, push later", {"push": "false", "tar_path": "out/site.tar"})),
    "source_tar_path": _rows(("Push what was built before", {"push_only": "true", "source_tar_path": "out/site.tar"})),
    "compression": _rows(("Small layers, for readers that know zstd", {"compression": "zstd", "media_types": "oci"})),
    "build_name": _rows(
        (
            "One build for each branch, numbered by the pipeline",
            {"build_name": "site-<+codebase.branch>", "build_number": "<+pipeline.sequenceId>"},
        ),
    ),
    "engine": _rows(("Without Docker, in a cluster", {"engine": "kaniko"})),
    "sign_key": _rows(
        (
            "Signed, with provenance and a list of packages",
            {
                "sign_key": "file:cosign.key",
                "sign_password": "env:COSIGN_PASSWORD",
                "provenance": "true",
                "sbom": "spdx",
            },
        ),
    ),
    "dotenv_file": _rows(("The digest for a later job of GitLab", {"dotenv_file": "image.env"})),
    "publish.docker_image": _rows(
        (
            "The image that an earlier step pushed",
            {
                "docker_image": "acme.jfrog.io/docker-local/site:1.4.<+pipeline.sequenceId>",
                "build_name": "site",
                "build_number": "<+pipeline.sequenceId>",
            },
        ),
    ),
    "upload.source_path": _rows(
        ("All wheels of a project", {"source_path": "dist/*.whl", "target": "pypi-local/site/1.4.2/"}),
    ),
}
