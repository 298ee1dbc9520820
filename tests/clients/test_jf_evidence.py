"""JFrog's own client stores evidence in the sandbox, in the form that ours has."""

from __future__ import annotations

import json

import pytest

from buildpush.provenance.envelope import Envelope
from buildpush.provenance.keys import Verifier
from buildpush.provenance.statement import Statement
from tests.clients.conftest import JFrog
from tests.provenance.conftest import Job

pytestmark = pytest.mark.engines
PATH = "docker-local/team/app/1/manifest.json"


def test_jf_stores_evidence_about_an_image_that_the_key_verifies(need, box, tmp_path):
    need("jf")
    jf = JFrog(box, tmp_path / "jf", accessToken=box.token.reveal())  # it refuses a password for evidence
    directory = tmp_path / "job"
    directory.mkdir()
    job = Job(directory, box)
    pushed = job.run()
    (directory / "predicate.json").write_text(json.dumps({"result": "passed"}))
    words = ["--predicate=predicate.json", "--predicate-type=https://test.example/result/v1", "--key=key.pem"]
    jf.run("evd", "create", f"--subject-repo-path={PATH}", *words, "--key-alias=release", cwd=directory)

    [path] = [path for path in box.files() if path.startswith(".evidence/")]
    assert f"sha256:{path.split('/')[2]}" == pushed.digest
    [sent] = [one for one in box.requests if one.method == "POST" and "/evidence/" in one.path]
    assert sent.status == 201
    stored = (tmp_path / "stored").resolve()
    jf.run("rt", "download", f"docker-local/{path}", f"{stored}/", "--flat")
    [file] = stored.iterdir()
    envelope = Envelope.parse(file.read_bytes())
    assert json.loads(file.read_bytes())["signatures"][0]["keyid"] == "release"
    assert Verifier.load((directory / "key.pub").read_text()).verifies(envelope.signatures[0], envelope.signed_bytes)
    statement = Statement.parse(envelope.payload)
    assert (statement.predicate_type, statement.predicate) == ("https://test.example/result/v1", {"result": "passed"})
