"""The files of a build-info: missing, hidden, or without properties."""

from __future__ import annotations

from dataclasses import replace

import pytest

from buildpush.artifactory import describe
from buildpush.artifactory.patience import PATIENCE
from buildpush.credentials.docker import Credential
from buildpush.foundation.errors import BuildInfoError

pytestmark = pytest.mark.sandbox


def test_a_list_of_files_has_their_places_in_the_repository_and_their_checksums(desk):
    info = desk.hello()
    listed = desk.client().files_below("docker-local", "team/hello")
    sums = {one.path: (one.facts.sha1, one.facts.sha256) for one in listed}
    assert sums == {one.path: (one.sha1, one.sha256) for one in info.artifacts}


def test_files_that_are_not_there_are_named(desk, recipes):
    info = describe(
        recipes.hello(desk.name("docker-local/team/never:1")), recipes.record(), repository_key="docker-local"
    )
    with pytest.raises(BuildInfoError, match=r"does not have docker-local/team/never/1/manifest\.json"):
        desk.publish(info)


def pushed_index(desk):
    pushed = desk.recipes.multi(desk.name("docker-local/team/multi:2.0"))
    for image in pushed.images:
        own = f"buildpush-example {image.platform.architecture} layer\n".encode()
        desk.send_blobs(replace(image, references=pushed.references), [b"buildpush-example shared layer\n", own])
    return desk.upload(pushed)


def delete(desk, path: str) -> None:
    url = f"{desk.box.artifactory_url}docker-local/{path}"
    assert desk.http.request("DELETE", url, authorization=desk.credential.basic).ok


def test_a_platform_that_is_missing_is_a_failure(desk, recipes):
    pushed = pushed_index(desk)
    info = describe(pushed, recipes.record(), repository_key="docker-local")
    delete(desk, f"team/multi/{pushed.images[1].digest}")
    with pytest.raises(BuildInfoError, match=rf"does not have .*{pushed.images[1].digest.hex}/manifest\.json"):
        desk.publish(info)
    assert desk.waits == list(PATIENCE)
    assert desk.box.builds("hello") == []


def test_a_layer_that_is_missing_is_a_failure(desk):
    info = desk.hello()
    delete(desk, info.artifacts[3].path)
    with pytest.raises(BuildInfoError, match=rf"does not have .*{info.artifacts[3].sha256}"):
        desk.publish(info)
    assert desk.box.builds("hello") == []


def test_checksums_of_another_file_in_the_place_of_ours_are_not_taken(desk, recipes):
    config = replace(recipes.hello().config, sha1=None, md5=None)
    info = desk.hello("1.0", config=config)
    desk.refuse_searches()
    body = b'{"checksums": {"sha1": "1", "md5": "2", "sha256": "3"}}'
    desk.box.add_fault("GET", "api/storage.*sha256__", status=200, body=body)
    desk.publish(info)
    [stored] = desk.box.builds("hello")
    [file] = [a for m in stored["modules"] for a in m["artifacts"] if config.digest.hex in a["name"]]
    assert "sha1" not in file
    assert "has no sha1 and md5" in desk.notes[0]


def test_checksums_that_we_may_not_look_at_stay_empty(desk, recipes):
    config = replace(recipes.hello().config, sha1=None, md5=None)
    info = desk.hello("1.0", config=config)
    desk.refuse_searches()
    desk.box.add_fault("GET", "api/storage.*sha256__", status=403)
    desk.publish(info)
    assert "has no sha1 and md5" in desk.notes[0]
    assert len(desk.box.builds("hello")) == 1


def test_a_refusal_to_tell_checksums_that_is_no_question_of_rights_is_an_error(desk, recipes):
    config = replace(recipes.hello().config, sha1=None, md5=None)
    info = desk.hello("1.0", config=config)
    desk.refuse_searches()
    desk.box.add_fault("GET", "api/storage.*sha256__", status=400, body=b"no such sum")
    with pytest.raises(BuildInfoError, match=r"400.*no such sum"):
        desk.publish(info)
    assert desk.box.builds("hello") == []


@pytest.mark.parametrize(("tags", "more"), [(3, ""), (4, " ...")])
def test_of_what_could_not_be_looked_up_three_places_are_named(desk, tags, more):
    info = desk.hello(*(f"1.{number}" for number in range(tags)))
    desk.refuse_searches()
    desk.box.add_fault("GET", "api/storage", status=403, times=None)
    desk.publish(info)
    places = ", ".join(f"docker-local/team/hello/1.{number}/manifest.json" for number in range(3))
    assert f"does not show {places}{more} to " in desk.notes[0]


def test_files_that_take_no_properties_are_counted_and_three_of_them_named(desk):
    info = desk.hello()
    desk.refuse_searches()
    desk.refuse_properties("sha256__", status=404, times=None)
    desk.publish(info)
    blobs = [f"docker-local/{one.path}" for one in info.artifacts if "sha256__" in one.path]
    places = ", ".join(blobs[:3])
    assert desk.notes == [f"{desk.box.host} does not find 4 of the files, so they get no properties: {places}"]


def test_a_manifest_that_takes_no_properties_is_named_as_well(desk):
    info = desk.hello("1.0", "1.1")
    desk.refuse_searches()
    desk.refuse_properties("/1.1/manifest", status=404, times=None)
    desk.publish(info)
    place = "docker-local/team/hello/1.1/manifest.json"
    assert desk.notes == [f"{desk.box.host} does not find 1 of the files, so they get no properties: {place}"]


def test_an_account_that_may_not_annotate_is_told_so(desk):
    info = desk.hello()
    account = desk.box.add_account("reader", ["read"])
    with pytest.raises(BuildInfoError, match="Annotate") as caught:
        desk.publish(info, Credential("reader", account.password, "JF_PASSWORD"))
    assert "JF_PASSWORD" in str(caught.value)
