"""Referrers: signatures, SBOMs and attestations go with an image when asked for, and stay where they are otherwise."""

from __future__ import annotations

import base64
import io
import json
import urllib.error
import urllib.request
from dataclasses import replace

import pytest

import buildpush
from buildpush.cli import run_command
from buildpush.foundation.errors import PushError, RegistryError, UnsupportedError
from buildpush.images.compression import digest_of
from buildpush.images.model import OCI_INDEX, OCI_MANIFEST, Image, Index, Layer, Platform
from buildpush.images.references import Digest
from buildpush.images.referrers import Referrer, list_tag
from buildpush.sandbox import Sandbox
from buildpush.transfer.oci import write_layout
from buildpush.transfer.oci_layout import open_layout, read_layout

pytestmark = pytest.mark.sandbox

EMPTY = "application/vnd.oci.empty.v1+json"
SIGNATURE = "application/vnd.dev.cosign.simplesigning.v1+json"


def in_memory(data: bytes):
    """Return a source of one layer."""
    return lambda wanted: ((at, io.BytesIO(data)) for at in wanted)


def image(data: bytes = b"layer " * 100, architecture: str = "amd64") -> Image:
    digest = digest_of(data)
    rootfs = {"type": "layers", "diff_ids": [str(digest)]}
    config = json.dumps({"os": "linux", "architecture": architecture, "rootfs": rootfs}).encode()
    layers = (Layer(diff_id=digest, size=len(data)),)
    return Image(config, layers, in_memory(data), Platform("linux", architecture))


def artifact(about: bytes, said: bytes, *, tag: str | None = None, kind: str = "application/spdx+json") -> Referrer:
    """Return something that is *said* about the manifest *about*: by its subject, or by cosign's *tag*."""
    subject = {"mediaType": OCI_MANIFEST, "digest": str(digest_of(about)), "size": len(about)}
    layer = {"mediaType": kind, "digest": str(digest_of(said)), "size": len(said)}
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        **({} if tag else {"artifactType": kind}),
        "config": {"mediaType": EMPTY, "digest": str(digest_of(b"{}")), "size": 2},
        "layers": [layer],
        **({} if tag else {"subject": subject}),
        "annotations": {"said": said.decode()},
    }
    layers = (Layer(media_type=kind, digest=digest_of(said), size=len(said)),)
    manifest = json.dumps(document).encode()
    found = Image(b"{}", layers, in_memory(said), Platform("unknown", "unknown"), manifest=manifest)
    return Referrer(found, digest_of(about), tag)


def get(host: str, path: str) -> tuple[int, dict, dict]:
    """Return status, headers and document as a client that knows nothing of ours sees them."""
    request = urllib.request.Request(f"http://{host}/v2/{path}")
    request.add_header("Accept", f"{OCI_INDEX}, {OCI_MANIFEST}")
    request.add_header("Authorization", get.authorization)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, dict(answer.headers), json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, dict(error.headers), {}


def log_in(box, directory, monkeypatch) -> None:
    login = {"username": box.username, "password": box.password.reveal()}
    (directory / "docker").mkdir(exist_ok=True)
    (directory / "docker" / "config.json").write_text(json.dumps({"auths": {box.host: login}}))
    monkeypatch.setenv("DOCKER_CONFIG", str(directory / "docker"))
    monkeypatch.chdir(directory)
    basic = base64.b64encode(f"{box.username}:{box.password.reveal()}".encode()).decode()
    monkeypatch.setattr(get, "authorization", f"Basic {basic}", raising=False)


@pytest.fixture(params=["lists", "no lists"])
def box(request):
    with Sandbox(referrers=request.param == "lists") as box:
        yield box


ONLY_BY_TAG = pytest.mark.parametrize("box", ["no lists"], indirect=True)  # the others let nobody write them


@pytest.fixture
def place(tmp_path, box, monkeypatch):
    log_in(box, tmp_path, monkeypatch)
    return tmp_path


@pytest.fixture
def signed(place):
    """Return a layout of an image with an SBOM, a signature of the SBOM, and a signature of cosign's older kind."""
    plain = write_layout(image(), place / "plain")
    target = open_layout(place / "plain")
    sbom = artifact(target.manifest, b"sbom")
    beside = [
        sbom,
        artifact(sbom.manifest, b"signature of the sbom", kind=SIGNATURE),
        artifact(target.manifest, b"signature", tag=f"{list_tag(plain.digest)}.sig", kind=SIGNATURE),
    ]
    write_layout(target, place / "signed", ["1"], referrers=beside)
    return beside


def test_a_registry_lists_what_went_with_an_image(box, signed, place):
    result = buildpush.push("oci:signed:1", f"{box.host}/docker-local/app:1", referrers=True)
    sbom, of_sbom, signature = signed

    assert result.referrers == 3
    assert "3 referrers" in str(result)
    assert result.as_json()["referrers"] == 3
    for one in (sbom, of_sbom):
        listed = _listed(box, one.subject)
        assert [entry["digest"] for entry in listed] == [str(one.digest)]
        assert listed[0]["artifactType"] == json.loads(one.manifest)["artifactType"]
        assert listed[0]["annotations"] == json.loads(one.manifest)["annotations"]
    assert box.digest("docker-local/app", signature.tag) == str(signature.digest)


@pytest.mark.engines
@pytest.mark.parametrize("box", ["lists"], indirect=True)
def test_registries_of_others_keep_referrers_too(theirs, signed, place):
    name = f"{theirs}/team/signed:1"
    buildpush.push("oci:signed:1", name, referrers=True)
    buildpush.copy(f"docker://{name}", "oci:end:1", referrers=True)

    found = read_layout(place / "end").referrers(open_layout(place / "end", "1"))
    assert {(one.digest, one.tag) for one in found} == {(one.digest, one.tag) for one in signed}


def _listed(box, subject) -> list[dict]:
    status, _, document = get(box.host, f"docker-local/app/referrers/{subject}")
    if status == 404:
        _, _, document = get(box.host, f"docker-local/app/manifests/{list_tag(subject)}")
    return document["manifests"]


@pytest.mark.parametrize("sink", ["docker", "oci", "oci-archive"])
def test_referrers_go_from_anywhere_to_anywhere_that_keeps_them(box, signed, place, sink):
    first = f"docker://{box.host}/docker-local/app:1"
    second = f"docker://{box.host}/docker-release/app:2" if sink == "docker" else f"{sink}:second:2"
    buildpush.copy("oci:signed:1", first, referrers=True)
    buildpush.copy(first, second, referrers=True)
    buildpush.copy(second, "oci:end:3", referrers=True)

    found = read_layout(place / "end").referrers(open_layout(place / "end", "3"))
    assert {(one.digest, one.tag) for one in found} == {(one.digest, one.tag) for one in signed}
    said = {reader.read() for one in found for _, reader in one.image.blobs([0])}
    assert said == {b"sbom", b"signature of the sbom", b"signature"}


def test_without_being_asked_for_referrers_stay_where_they_are(box, signed, place):
    result = buildpush.push("oci:signed:1", f"{box.host}/docker-local/app:1")

    assert result.referrers is None
    assert result.as_json()["referrers"] is None
    assert get(box.host, "docker-local/app/tags/list")[2]["tags"] == ["1"]
    assert not any("referrers" in request.path for request in box.requests)


def test_an_image_without_referrers_says_that_it_has_none(box, place):
    write_layout(image(), place / "plain")
    result = buildpush.push("oci:plain", f"{box.host}/docker-local/app:1", referrers=True)

    assert result.referrers == 0
    assert "no referrers" in str(result)


def test_referrers_of_an_index_and_of_its_images_go_with_it(box, place):
    write_layout(Index((image(), image(b"other", "arm64"))), place / "plain")
    target = open_layout(place / "plain")
    beside = [artifact(part.manifest, f"about {at}".encode()) for at, part in enumerate((target, *target.images))]
    write_layout(target, place / "signed", ["1"], referrers=beside)
    result = buildpush.push("oci:signed:1", f"{box.host}/docker-local/app:1", referrers=True)

    assert result.referrers == 3
    assert [[entry["digest"] for entry in _listed(box, one.subject)] for one in beside] == [
        [str(one.digest)] for one in beside
    ]


def test_a_second_copy_sends_nothing_and_lists_nothing_twice(box, signed, place):
    name = f"{box.host}/docker-local/app:1"
    buildpush.push("oci:signed:1", name, referrers=True)
    again = buildpush.push("oci:signed:1", name, referrers=True)

    assert again.traffic.sent == 0
    assert [len(_listed(box, one.subject)) for one in signed[:2]] == [1, 1]


def test_what_others_listed_stays_listed(box, signed, place):
    name = f"{box.host}/docker-local/app:1"
    target = open_layout(place / "signed", "1")
    theirs = artifact(target.manifest, b"theirs")
    write_layout(target, place / "theirs", ["1"], referrers=[theirs])
    buildpush.push("oci:theirs:1", name, referrers=True)
    buildpush.push("oci:signed:1", name, referrers=True)

    assert {entry["digest"] for entry in _listed(box, theirs.subject)} == {str(theirs.digest), str(signed[0].digest)}


def test_no_tag_moves_before_all_referrers_arrived(box, signed, place):
    box.add_fault("PUT", rf"manifests/{signed[1].digest}", status=403, times=99)
    with pytest.raises(RegistryError) as caught:
        buildpush.push("oci:signed:1", f"{box.host}/docker-local/app:1", referrers=True)

    assert "no tag was written" in str(caught.value)
    assert box.digest("docker-local/app", "1") is None


def test_a_signature_that_another_one_replaces_is_told(box, signed, place):
    name = f"{box.host}/docker-local/app:1"
    target, tag = open_layout(place / "signed", "1"), signed[2].tag
    other = artifact(target.manifest, b"newer signature", tag=tag, kind=SIGNATURE)
    write_layout(target, place / "other", ["1"], referrers=[other])
    buildpush.push("oci:signed:1", name, referrers=True)
    told = []
    buildpush.push("oci:other:1", name, referrers=True, sink=told.append)

    assert box.digest("docker-local/app", tag) == str(other.digest)
    assert any(str(signed[2].digest) in str(event) and str(other.digest) in str(event) for event in told)


@pytest.fixture
def two(box, place):
    """Return the name of an image, and the digest of an unrelated one that the list of its referrers names."""
    first = f"{box.host}/docker-local/app:1"
    write_layout(image(), place / "plain")
    write_layout(image(b"another"), place / "another")
    digest = Digest(buildpush.push("oci:plain", first).digest)
    other = buildpush.push("oci:another", f"{box.host}/docker-local/app:2").digest
    _list(box, digest, other)
    return first, other


@ONLY_BY_TAG
def test_a_list_that_names_what_is_not_there_is_an_error(box, place, two):
    first, gone = two
    _ask("DELETE", box, gone)
    with pytest.raises(RegistryError) as caught:
        buildpush.copy(f"docker://{first}", "oci:end", referrers=True)

    assert gone in str(caught.value)
    assert not (place / "end").exists()


@ONLY_BY_TAG
def test_a_list_that_names_something_unrelated_is_an_error(two):
    with pytest.raises(PushError, match="does not refer to it"):
        buildpush.copy(f"docker://{two[0]}", "oci:end", referrers=True)


def test_a_referrer_may_say_what_is_no_unicode(box, place):
    write_layout(image(), place / "plain")
    target = open_layout(place / "plain")
    one = artifact(target.manifest, b"sbom")
    strange = one.manifest.replace(b'"said": "sbom"', b'"said": "\\ud800"')
    assert strange != one.manifest
    beside = Referrer(replace(one.image, manifest=strange), one.subject)
    write_layout(target, place / "strange", ["1"], referrers=[beside])
    name = f"{box.host}/docker-local/app:1"

    assert buildpush.push("oci:strange:1", name, referrers=True).referrers == 1
    assert buildpush.copy(f"docker://{name}", "oci:back:1", referrers=True).referrers == 1


def _list(box, subject: Digest, digest: str) -> None:
    """Enter something into a list of referrers, as a client of older registries does."""
    entry = {"mediaType": OCI_MANIFEST, "digest": digest, "size": 10}
    document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry]}
    _ask("PUT", box, list_tag(subject), json.dumps(document).encode())


def _ask(method: str, box, name: str, body: bytes | None = None) -> None:
    url = f"http://{box.host}/v2/docker-local/app/manifests/{name}"
    request = urllib.request.Request(url, body, {"Content-Type": OCI_INDEX}, method=method)
    request.add_header("Authorization", get.authorization)
    with urllib.request.urlopen(request, timeout=30):
        pass


LISTED = pytest.mark.parametrize("box", ["lists"], indirect=True)


@LISTED
def test_a_list_that_goes_on_at_another_host_is_an_error_and_nobody_is_asked_there(box, signed, place):
    name = f"docker://{box.host}/docker-local/app:1"
    buildpush.copy("oci:signed:1", name)
    with Sandbox() as other:
        link = {"Link": f'<http://{other.host.replace("127.0.0.1", "localhost")}/v2/x>; rel="next"'}
        box.add_fault("GET", "referrers", headers=link)
        with pytest.raises(PushError, match="another host"):
            buildpush.copy(name, "oci:end", referrers=True)
        assert not other.requests


@LISTED
def test_a_list_without_end_is_an_error(box, signed, place):
    name = f"docker://{box.host}/docker-local/app:1"
    buildpush.copy("oci:signed:1", name)
    box.add_fault("GET", "referrers", headers={"Link": '<?last=x>; rel="next"'}, times=None)
    with pytest.raises(PushError, match="does not end"):
        buildpush.copy(name, "oci:end", referrers=True)


@LISTED
def test_lists_of_many_pages_are_read_to_the_end(box, place):
    write_layout(image(), place / "plain")
    target = open_layout(place / "plain")
    many = [artifact(target.manifest, str(at).encode()) for at in range(105)]
    write_layout(target, place / "signed", ["1"], referrers=many)
    name = f"docker://{box.host}/docker-local/app:1"
    buildpush.copy("oci:signed:1", name, referrers=True)

    assert buildpush.copy(name, "oci:end", referrers=True).referrers == 105


@pytest.mark.parametrize("kind", ["docker-archive:x.tar", "docker-daemon:x:1"])
def test_a_place_that_keeps_no_referrers_is_refused_before_anything_is_read(box, place, kind):
    with pytest.raises(UnsupportedError, match="referrers cannot be written"):
        buildpush.copy("oci:not-there", kind, referrers=True)
    with pytest.raises(UnsupportedError, match="referrers cannot be written"):
        buildpush.push(kind, f"{box.host}/docker-local/app:1", referrers=True)


@pytest.mark.parametrize("change", [{"compression": "gzip"}, {"media_types": "docker"}])
def test_referrers_of_an_image_that_becomes_another_are_refused(box, place, change):
    with pytest.raises(UnsupportedError, match="by its digest"):
        buildpush.push("oci:not-there", f"{box.host}/docker-local/app:1", referrers=True, **change)


def test_the_command_line_takes_the_flag(box, signed, place, capsys):
    code = run_command(["push", "--referrers", "oci:signed:1", f"{box.host}/docker-local/app:1"])

    assert (code, "3 referrers" in capsys.readouterr().out) == (0, True)


def test_a_layout_with_referrers_is_still_one_image(signed, place):
    assert open_layout(place / "signed").manifest == open_layout(place / "plain").manifest


def test_referrers_of_referrers_without_end_are_an_error(place):
    write_layout(image(), place / "plain")
    target = open_layout(place / "plain")
    chain = [artifact(target.manifest, b"0")]
    for at in range(1, 12):
        chain.append(artifact(chain[-1].manifest, str(at).encode()))
    write_layout(target, place / "deep", ["1"], referrers=chain)
    with pytest.raises(PushError, match="deeper than 8"):
        read_layout(place / "deep").referrers(open_layout(place / "deep", "1"))


def test_a_signature_that_is_copied_alone_is_found_by_its_subject(box, place):
    """Where a registry keeps no lists, who pushes a manifest with a subject must enter it into the list."""
    about = write_layout(image(), place / "image")
    said = artifact((place / "image/blobs/sha256" / about.digest.hex).read_bytes(), b"alone")
    write_layout(said.image, place / "signature")
    for source, tag in (("oci:image", "1"), ("oci:signature", "signature")):
        buildpush.copy(source, f"docker://{box.host}/docker-local/app:{tag}")
    assert [one["digest"] for one in _listed(box, about.digest)] == [str(said.digest)]
