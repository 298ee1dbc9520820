"""The packages that an SBOM lists, and that the formats are what other programs read."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile

import pytest

from buildpush.foundation.errors import PushError
from buildpush.images.model import Image, Layer
from buildpush.provenance.packages import packages_in
from buildpush.provenance.statement import CYCLONEDX, SPDX, Statement

DEBIAN = {
    "etc/os-release": 'NAME="Debian"\nID=debian\n',
    "var/lib/dpkg/status": (
        "Package: libstdc++6\nStatus: install ok installed\nArchitecture: amd64\nVersion: 12.2.0-14\n"
        "Description: one\n more\n"
        "\nPackage: gone\nStatus: deinstall ok config-files\nArchitecture: all\nVersion: 1\n"
    ),
}
ALPINE = {
    "usr/lib/os-release": "ID=alpine\n",
    "lib/apk/db/installed": "C:Q1\nP:musl\nV:1.2.5-r0\nA:x86_64\n\nP:zlib\nV:1\n",
}
PYTHON = {"usr/lib/python3/dist-packages/Foo.Bar-1.0.dist-info/METADATA": "Name: Foo.Bar\nVersion: 1.0\n\nName: text\n"}


def layer(files):
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text.encode()))
    return data.getvalue()


def image(*layers):
    data = [one if isinstance(one, bytes) else layer(one) for one in layers]

    def blobs(positions):
        yield from ((at, io.BytesIO(data[at])) for at in sorted(positions, reverse=True))

    return Image(b"{}", tuple(Layer() for _ in data), blobs)


def urls(*layers):
    return [one.url for one in packages_in(image(*layers))]


def test_packages_of_debian_alpine_and_python_are_listed_by_their_purls():
    assert urls(DEBIAN) == ["pkg:deb/debian/libstdc%2B%2B6@12.2.0-14?arch=amd64"]
    assert urls(ALPINE) == ["pkg:apk/alpine/musl@1.2.5-r0?arch=x86_64", "pkg:apk/alpine/zlib@1"]
    assert urls(PYTHON) == ["pkg:pypi/foo-bar@1.0"]


def test_the_highest_layer_counts_and_removes():
    newer = {"var/lib/dpkg/status": DEBIAN["var/lib/dpkg/status"].replace("12.2.0-14", "13")}
    assert urls(DEBIAN, newer) == ["pkg:deb/debian/libstdc%2B%2B6@13?arch=amd64"]
    assert urls(PYTHON, {"usr/lib/python3/dist-packages/.wh.Foo.Bar-1.0.dist-info": ""}) == []
    assert urls(PYTHON, {"usr/lib/python3/.wh..wh..opq": ""}) == []
    assert urls({"usr/lib/python3/.wh..wh..opq": "", **PYTHON}) == ["pkg:pypi/foo-bar@1.0"]


@pytest.mark.parametrize("data", [b"no tar" * 200, layer(DEBIAN)[:700]])
def test_a_layer_that_is_no_tar_is_an_error(data):
    with pytest.raises(PushError, match="the packages in layer 1 cannot be read"):
        packages_in(image(data))


@pytest.mark.programs
@pytest.mark.parametrize(("kind", "type_"), [("spdx", SPDX), ("cyclonedx", CYCLONEDX)])
def test_a_run_stores_it_beside_each_image_and_verify_reads_it(job, kind, type_):
    (job.directory / "status").write_text(DEBIAN["var/lib/dpkg/status"])
    (job.directory / "Dockerfile").write_text("FROM scratch\nCOPY status /var/lib/dpkg/status\n")
    platforms = ["linux/amd64", "linux/arm64"]
    pushed = job.run(sbom=kind, sign_key="file:key.pem", platforms=platforms, provenance=True)
    found = job.verify(keys=["key.pub"])
    assert found.ok, found.problems
    about = {str(one.subject) for one in found.attestations if one.kind == type_}
    assert about == {str(one.digest) for one in pushed.images}
    [statement] = {one.statement.document() for one in found.attestations if str(one.subject) == min(about)} & {
        one.statement.document() for one in found.attestations if one.kind == type_
    }
    assert "pkg:deb/debian/libstdc%2B%2B6@12.2.0-14?arch=amd64" in json.dumps(Statement.parse(statement).predicate)


@pytest.mark.engines
@pytest.mark.parametrize(("kind", "other"), [("spdx", "cyclonedx-json"), ("cyclonedx", "spdx-json")])
def test_syft_reads_it(need, job, kind, other):
    need("syft")
    (job.directory / "status").write_text(DEBIAN["var/lib/dpkg/status"])
    (job.directory / "Dockerfile").write_text("FROM scratch\nCOPY status /var/lib/dpkg/status\n")
    job.run(sbom=kind)
    [found] = job.verify().attestations
    (job.directory / "sbom.json").write_text(json.dumps(dict(found.statement.predicate)))
    answer = subprocess.run(
        ["syft", "convert", "sbom.json", "-o", other], cwd=job.directory, capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stderr
    assert "libstdc%2B%2B6@12.2.0-14" in answer.stdout
