"""The OCI distribution-spec's own conformance suite, against the sandbox."""

import os
import subprocess
from xml.etree import ElementTree as ET

import pytest

from buildpush.sandbox import Sandbox

pytestmark = pytest.mark.engines

# A blob that is deleted from one repository is still read from the other: Artifactory finds a blob in all repositories
# that the caller may read.
AS_IN_ARTIFACTORY = {
    f"OCI Conformance Test/{algorithm} blobs/{mount}/blob-delete"
    for algorithm in ("sha256", "sha512")
    for mount in ("mount", "mount anonymous")
}
MOST_FAILURES = 9


@pytest.fixture(scope="module")
def report(tmp_path_factory, need):
    """Return the suite's report about a fresh sandbox."""
    need("conformance")
    directory = tmp_path_factory.mktemp("conformance")
    with Sandbox() as box:
        env = {
            **os.environ,
            "OCI_REGISTRY": box.host,
            "OCI_TLS": "disabled",
            "OCI_REPO1": "docker-local/one",
            "OCI_REPO2": "docker-local/two",
            "OCI_USERNAME": box.username,
            "OCI_PASSWORD": box.password.reveal(),
            "OCI_API_BLOBS_UPLOAD_CANCEL": "true",
            "OCI_API_BLOBS_DIGEST_HEADER": "true",
            "OCI_API_MANIFESTS_DIGEST_HEADER": "true",
            "OCI_RESULTS_DIR": str(directory),
        }
        subprocess.run(["conformance"], env=env, cwd=directory, capture_output=True, timeout=120, check=False)
        assert not box.failures
    return ET.parse(directory / "junit.xml").getroot()


def names(report, status):
    return [case.get("name") for case in report.iter("testcase") if case.get("status") == status]


def test_what_fails_is_as_in_artifactory(report, count):
    tests, failures = int(report.get("tests")), int(report.get("failures"))
    count(f"OCI conformance: {failures} of {tests} tests fail, as in Artifactory")
    assert set(names(report, "failure")) <= AS_IN_ARTIFACTORY
    assert failures <= MOST_FAILURES


def test_nothing_is_left_out(report):
    assert int(report.get("tests")) > 850
    assert (names(report, "skipped"), names(report, "error")) == ([], [])
