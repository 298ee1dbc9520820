"""The catalogue of what goes wrong with Harness' step: each of its 49 rows is known, by the words that people search.

Source: Harness' questions and answers about the step, and the messages of its plugins.
"""

from __future__ import annotations

import io

import pytest

from buildpush.advice.logs import findings
from buildpush.advice.table import ROWS, advice_named

CONFIGURATION = "ConfigurationFailure"
# Name of our row, error type that a failure strategy may name, and the message; none where there is no message.
CATALOGUE = {
    1: (
        "kaniko-login-file",
        CONFIGURATION,
        "failed to create docker config file: open/kaniko/ .docker/config.json: permission denied",
    ),
    2: (
        "kaniko-container",
        CONFIGURATION,
        "kaniko should only be run inside of a container, run with the --force flag",
    ),
    3: ("unauthorized", "Authentication", "unauthorized: authentication required"),
    4: ("denied", "Authorization", "denied: requested access to the resource is denied"),
    5: ("guest-mode", "Authentication", "Registry credentials or Docker config not provided. Guest mode enabled."),
    6: ("base-login", "Authentication", "Error authenticating base connector: exit status 1"),
    7: ("kaniko-username", "Authentication", "Username must be specified for registry: https://h.test/v2"),
    8: ("certificate", "Connectivity", "x509: certificate signed by unknown authority"),
    9: ("plain-http", "Connectivity", "http: server gave HTTP response to HTTPS client"),
    10: ("rate-limit", "RetryableTransientFailure", "toomanyrequests: you have reached your pull rate limit"),
    11: ("disk", "ResourceLimitsFailure", "write /layer.tar: no space left on device"),
    12: ("memory", "ResourceLimitsFailure", "OOMKilled"),
    13: ("volume", CONFIGURATION, ""),
    14: ("same-host", "Authentication", ""),
    15: ("parallel-daemons", CONFIGURATION, ""),
    16: ("no-daemon", "Connectivity", "Unable to reach Docker Daemon after 15 attempts."),
    17: ("no-dockerfile", CONFIGURATION, "dockerfile does not exist at path: Dockerfile"),
    18: ("copy-source", CONFIGURATION, "COPY failed: file not found in build context"),
    19: ("no-destination", CONFIGURATION, "you must provide --destination, or use --no-push"),
    20: ("no-repository", CONFIGURATION, "repository name to publish image must be specified"),
    21: (
        "cache-without-repository",
        CONFIGURATION,
        "if using cache with --no-push, specify cache repo with --cache-repo",
    ),
    22: (
        "kaniko-push-check",
        "Authorization",
        "error checking push permissions -- make sure you entered the correct tag",
    ),
    23: ("old-builder", CONFIGURATION, "unknown flag: mount"),
    24: ("buildkit-flag", CONFIGURATION, "the --mount option requires BuildKit"),
    25: ("overwrite", "Authorization", "MANIFEST_INVALID: manifest invalid"),
    26: ("attestations", CONFIGURATION, ""),
    27: ("interruption", "RetryableTransientFailure", "received unexpected HTTP status: 503 Service Unavailable"),
    28: ("cache-export", CONFIGURATION, "Cache export is not supported for the docker driver"),
    29: (
        "load-several-platforms",
        CONFIGURATION,
        "docker exporter does not currently support exporting manifest lists",
    ),
    30: ("no-digest", "", "Could not fetch the digest"),
    31: ("comma-in-argument", CONFIGURATION, ""),
    32: ("auto-tag", CONFIGURATION, "Invalid semantic version when auto detecting the tag"),
    33: ("auto-and-expand-tag", CONFIGURATION, "The auto-tag flag conflicts with the expand-tag flag"),
    34: ("push-only-without-image", CONFIGURATION, "source image a:1 not found, cannot push"),
    35: ("push-only-conflict", CONFIGURATION, "inputs no-push and push-only cannot be used together"),
    36: ("no-archive", CONFIGURATION, "source_tar_path is required when push_only is set"),
    37: ("null-value", CONFIGURATION, ""),
    38: ("plugin-image", "PluginImageFailure", "ErrImagePull"),
    39: ("clipped-log", "", ""),
    40: ("dns", "Connectivity", ""),
    41: ("cache-repository", "Authentication", ""),
    42: ("busy-path", CONFIGURATION, "unlinkat /x: device or resource busy"),
    43: ("email", CONFIGURATION, "unknown shorthand flag: 'e' in -e"),
    44: ("secret-as-argument", "", ""),
    45: ("expired", "Timeout", "step state Expired"),
    46: ("no-such-repository", CONFIGURATION, "name unknown: repository name not known to registry"),
    47: ("architecture", CONFIGURATION, "exec format error"),
    48: ("invalid-reference", CONFIGURATION, "invalid reference format"),
    49: ("build-info-without-manifest", CONFIGURATION, ""),
}
# Further words of a row.
MORE = {
    3: ("UNAUTHORIZED: The client does not have permission", "unexpected status code 401"),
    4: ("unexpected status: 403 Forbidden",),
    8: ("x509: certificate is valid for a.test, not b.test",),
    10: ("429 Too Many Requests", "You have reached your pull rate limit"),
    12: ("exit code: 137", "signal: killed", "The pod was evicted: the node was low on resource: memory"),
    15: (
        "failed to start daemon, ensure docker is not running or delete /var/run/docker.pid",
        "failed to load listeners: listen tcp 127.0.0.1:2375: bind: address already in use",
        'no builder "one" found',
    ),
    16: ("Cannot connect to the Docker daemon at unix:///var/run/docker.sock",),
    17: ("failed to read dockerfile: open Dockerfile: no such file or directory",),
    18: ("failed to get fileinfo for /workspace/a: lstat /workspace/a: no such file or directory",),
    23: ("unknown instruction: <<", "dockerfile parse error on line 3: unknown instruction: <<EOF"),
    25: ("Not enough permissions to delete/overwrite artifact 'docker/app/1.4'",),
    27: (
        *("500 Internal Server Error", "502 Bad Gateway", "504 Gateway Timeout", "connection reset by peer"),
        *("unexpected EOF", "read tcp 10.0.0.2:41000->10.0.0.3:443: i/o timeout"),
    ),
    32: ("skipping automated docker build for refs/heads/x",),
    35: ("conflict: push-only and dry-run cannot be used together",),
    36: ("image tarball does not exist at path: image.tar",),
    37: ("null value error",),
    38: ("ImagePullBackOff",),
    40: ("Temporary failure in name resolution", "lookup pypi.org on 10.0.0.1:53: no such host"),
    42: ("read-only file system",),
    46: ("repository not found", "unexpected status from PUT request to https://h.t/v2/a/manifests/b: 404 Not Found"),
    48: ("invalid reference format: repository name must be lowercase",),
    49: ("no manifest.json found",),
}


def test_the_catalogue_is_whole():
    assert list(CATALOGUE) == list(range(1, 50))
    assert {name for name, _, _ in CATALOGUE.values()} <= {row.name for row in ROWS}  # and rows of our own


@pytest.mark.parametrize("number", CATALOGUE)
def test_a_row_of_the_catalogue_has_its_type_and_is_found_by_its_words(number):
    name, error_type, message = CATALOGUE[number]
    row = advice_named(name)
    assert row.type == error_type
    assert row.cause
    assert row.fix
    if message:
        assert name in [one.advice.name for one in findings(io.BytesIO(f"#1 one\n{message}\n".encode()))]


@pytest.mark.parametrize(("number", "message"), [(number, each) for number, many in MORE.items() for each in many])
def test_a_row_is_found_by_all_its_words(number, message):
    assert CATALOGUE[number][0] in [one.advice.name for one in findings(io.BytesIO(f"{message}\n".encode()))]
