"""From receipts to build-info: the two golden documents follow from recipes byte for byte."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from buildpush.artifactory import Home, describe, moved_home
from buildpush.artifactory.document import VcsEntry
from buildpush.artifactory.jf_form import dependency_count, in_ci_for_jf
from buildpush.foundation.errors import SettingsError
from buildpush.foundation.secrets import Secret
from buildpush.images.model import Platform

GOLDEN = Path(__file__).parent / "golden"
ATTESTATION = "vnd.docker.reference.type"


def golden(name: str) -> str:
    return (GOLDEN / f"{name}.json").read_text(encoding="utf-8")


def as_text(info) -> str:
    return json.dumps(info.document(), indent=2) + "\n"


def described(pushed, record):
    return describe(pushed, record, repository_key="docker-local")


def ids(info) -> list[str]:
    return [module.id for module in info.modules]


def test_one_image_gives_the_document_that_jf_writes_byte_for_byte(recipes):
    pushed = recipes.hello()
    base = {pushed.layers[0].digest}
    info = describe(pushed, recipes.record(), repository_key="docker-local", base=base)
    assert as_text(info) == golden("hello")


def test_without_a_known_base_there_are_no_dependencies(recipes):
    """The history rule of jf would name the image's own layers, and a build would depend on itself."""
    document = json.loads(golden("hello"))
    del document["modules"][0]["dependencies"]
    assert described(recipes.hello(), recipes.record()).document() == document


def multi_record(recipes, **more):
    """Return the record of golden/multi.json."""
    document = json.loads(golden("multi"))
    return recipes.record(
        name="multi",
        number="7",
        started=datetime(2026, 10, 1, 12, 5, tzinfo=UTC),
        duration_ms=91500,
        environment={},
        url="https://ci.example.com/multi/7",
        vcs=(VcsEntry(**document["vcs"][0]),),
        **more,
    )


def test_an_index_gives_the_document_that_jf_writes_and_the_digests_that_it_leaves_out(recipes):
    pushed = recipes.multi()
    document = described(pushed, multi_record(recipes)).document()
    root, *platforms = document["modules"]
    assert root["properties"].pop("docker.manifest.digest") == str(pushed.digest)
    ids = [one.pop("properties")["docker.image.id"] for one in platforms]
    assert ids == [str(image.config.digest) for image in pushed.images]
    assert document == json.loads(golden("multi"))


# ---- compat: jf


def test_compat_jf_gives_the_document_of_an_image_byte_for_byte_with_dependencies_by_its_history(recipes):
    assert as_text(described(recipes.hello(), recipes.record(compat="jf", principal="ann"))) == golden("hello")


@pytest.mark.parametrize(
    ("url", "written"),
    [
        ("https://git.test/shop", "https://git.test/shop.git"),
        ("https://git.test/shop.git", "https://git.test/shop.git"),
        ("https://git.test/shop.GIT", "https://git.test/shop.GIT.git"),
        ("https://git.test/shop/", "https://git.test/shop/.git"),
        ("", ".git"),
    ],
)
def test_compat_jf_ends_the_address_of_the_sources_as_jf_does(recipes, url, written):
    """As the real one does: ``tests/clients/test_jf_documents.py``."""
    vcs = (VcsEntry(url, "a" * 40, "main"),)
    assert described(recipes.hello(), recipes.record(vcs=vcs)).vcs == vcs
    [entry] = described(recipes.hello(), recipes.record(vcs=vcs, compat="jf")).vcs
    assert entry == replace(vcs[0], url=written)


def test_compat_jf_gives_the_document_of_an_index_byte_for_byte(recipes):
    assert as_text(described(recipes.multi(), multi_record(recipes, compat="jf"))) == golden("multi")


def config(*history) -> bytes:
    return json.dumps({"history": [{"created_by": text, "empty_layer": empty} for text, empty in history]}).encode()


@pytest.mark.parametrize(
    ("document", "count"),
    [
        (b"{}", 0),
        (b'{"history": null}', 0),
        (config(("ADD a", False), ("COPY b", False)), 0),  # neither word anywhere
        (config(("ADD a", False), ("COPY b", False), ("ENTRYPOINT x", True)), 2),  # the image's own layers as well
        (config(("ADD a", False), ("MAINTAINER x", True), ("COPY b", False)), 1),
        (config(("ADD a", False), ("RUN echo ENTRYPOINT", False), ("COPY b", False)), 1),
        (config(("ADD a", False), ("ENV x", True), ("ENTRYPOINT x", True), ("CMD y", True)), 1),
    ],
)
def test_dependencies_of_compat_jf_follow_its_rule_of_the_history(document, count):
    """Source: jfrog/jfrog-cli-core, artifactory/utils/container/buildinfo.go."""
    assert dependency_count(document) == count


def test_compat_jf_joins_platforms_and_attestations_that_have_one_id(recipes):
    images = [recipes.image([b"shared", text], [], architecture="arm") for text in (b"v6", b"v7")]
    images = [replace(one, platform=Platform("linux", "arm", v)) for one, v in zip(images, ("v6", "v7"), strict=True)]
    about = [recipes.image([text], []) for text in (b"1", b"2")]
    notes = {str(one.digest): {ATTESTATION: "attestation-manifest"} for one in about}
    index = recipes.index([*images, *about], "h.example/docker-local/app:1", annotations=notes)
    info = described(index, recipes.record(compat="jf"))
    assert ids(info) == ["app:1", "linux/arm/app:1", "attestations/app:1"]
    assert [len(module.artifacts) for module in info.modules] == [1, 7, 6]


def test_compat_jf_lists_platforms_for_every_tag_and_joins_images_of_one_name(recipes):
    index = recipes.multi("h.example/docker-local/app:1", "h.example/docker-local/app:2")
    assert ids(described(index, recipes.record(compat="jf"))) == [
        *("app:1", "linux/amd64/app:1", "linux/arm64/app:1"),
        *("app:2", "linux/amd64/app:2", "linux/arm64/app:2"),
    ]
    pushed = recipes.hello("h.example/docker-local/a/app:1", "h.example/docker-local/b/app:1")
    [module] = described(pushed, recipes.record(compat="jf")).modules
    assert (module.id, module.properties["docker.image.tag"]) == ("app:1", "h.example/docker-local/a/app:1")
    assert len(module.artifacts) == 5
    assert ids(described(pushed, recipes.record(compat="jf", module="web"))) == ["web"]


@pytest.mark.parametrize(
    ("env", "is_ci"), [({}, False), ({"CI": "1"}, False), ({"CI": "true"}, True), ({"GITLAB_CI": "1"}, True)]
)
def test_compat_jf_says_how_long_a_build_took_only_where_jf_finds_a_ci_system(env, is_ci):
    assert in_ci_for_jf(env) is is_ci


# ---- what jf leaves out


def test_the_run_of_the_golden_document_has_the_timestamp_that_jf_sets(recipes):
    assert described(recipes.hello(), recipes.record()).timestamp == 1790856000123


def test_every_tag_has_a_module_and_a_directory(recipes):
    pushed = recipes.hello("acme.jfrog.io/docker-local/team/hello:1.0", "acme.jfrog.io/docker-local/team/hello:latest")
    info = described(pushed, recipes.record())
    assert ids(info) == ["hello:1.0", "hello:latest"]
    assert [m.artifacts[0].path for m in info.modules] == [
        "team/hello/1.0/manifest.json",
        "team/hello/latest/manifest.json",
    ]
    assert len(info.artifacts) == 10


def test_a_tag_that_is_given_twice_is_one_module(recipes):
    name = "acme.jfrog.io/docker-local/team/hello:1.0"
    assert ids(described(recipes.hello(name, name), recipes.record())) == ["hello:1.0"]


def test_equal_names_in_two_directories_are_told_apart_by_their_path(recipes):
    names = ("acme.jfrog.io/docker-local/a/app:1", "acme.jfrog.io/docker-local/b/app:1")
    assert ids(described(recipes.hello(*names), recipes.record())) == ["a/app:1", "b/app:1"]


def test_a_module_name_stands_for_name_and_tag(recipes):
    assert ids(described(recipes.hello(), recipes.record(module="web"))) == ["web"]


def test_a_module_name_for_two_tags_keeps_the_tags(recipes):
    names = ("acme.jfrog.io/docker-local/app:1", "acme.jfrog.io/docker-local/app:2")
    assert ids(described(recipes.hello(*names), recipes.record(module="web"))) == ["web:1", "web:2"]


def test_an_image_without_a_tag_is_kept_under_its_digest(recipes):
    pushed = recipes.hello()
    pushed = replace(pushed, references=(pushed.references[0].repository.at(pushed.digest),))
    [module] = described(pushed, recipes.record()).modules
    assert module.id == f"hello@{pushed.digest}"
    assert module.artifacts[0].path == f"team/hello/{pushed.digest}/manifest.json"


def test_equal_layers_are_one_file(recipes):
    pushed = recipes.image([b"a", b"b", b"a"], [], "h.example/docker-local/app:1")
    [module] = described(pushed, recipes.record()).modules
    assert len(module.artifacts) == 1 + 1 + 2


def test_layers_that_may_not_be_distributed_are_no_artifacts(recipes):
    pushed = recipes.image([b"a"], [], "h.example/docker-local/app:1")
    foreign = recipes.blob(b"w", "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip")
    [module] = described(replace(pushed, layers=(foreign, *pushed.layers)), recipes.record()).modules
    assert foreign.digest.hex not in {artifact.sha256 for artifact in module.artifacts}


@pytest.mark.parametrize(
    ("reference", "key", "prefix", "path"),
    [
        ("acme.jfrog.io/docker-local/team/app:1", "docker-local", None, "team/app/1"),
        ("acme.jfrog.io/docker/team/app:1", "docker-local", "docker/", "team/app/1"),
        ("docker-local.acme.io/team/app:1", "docker-local", None, "team/app/1"),
        ("docker-local.acme.io/docker-local/app:1", "docker-local", "", "docker-local/app/1"),
        ("acme.io:5001/app:1", "docker-local", "", "app/1"),
    ],
)
def test_the_path_inside_the_repository_is_found_for_every_shape_of_a_registry(recipes, reference, key, prefix, path):
    info = describe(recipes.hello(reference), recipes.record(), repository_key=key, prefix=prefix)
    assert info.modules[0].artifacts[0].path == f"{path}/manifest.json"


def test_variants_of_one_architecture_are_modules_of_their_own(recipes):
    images = [replace(recipes.one_platform("arm"), platform=Platform("linux", "arm", v)) for v in ("v6", "v7")]
    images[1] = replace(recipes.image([b"v7"], []), platform=images[1].platform)
    info = described(recipes.index(images, "h.example/docker-local/app:1"), recipes.record())
    assert ids(info) == ["app:1", "linux/arm/v6/app:1", "linux/arm/v7/app:1"]


def test_an_attestation_is_named_after_the_platform_that_it_is_about(recipes):
    image = recipes.one_platform("amd64")
    statement = replace(recipes.image([b"{}"], []), platform=Platform("unknown", "unknown"))
    notes = {ATTESTATION: "attestation-manifest", "vnd.docker.reference.digest": str(image.digest)}
    index = recipes.index(
        [image, statement], "h.example/docker-local/app:1", annotations={str(statement.digest): notes}
    )
    info = described(index, recipes.record())
    assert ids(info) == ["app:1", "linux/amd64/app:1", "attestations/linux/amd64/app:1"]


@pytest.mark.parametrize("about", [{}, {"vnd.docker.reference.digest": f"sha256:{'0' * 64}"}])
def test_an_attestation_of_an_image_that_is_not_in_the_index_is_one_of_an_unknown_platform(recipes, about):
    statement = recipes.image([b"{}"], [])
    notes = {str(statement.digest): {ATTESTATION: "attestation-manifest", **about}}
    index = recipes.index([statement], "h.example/docker-local/app:1", annotations=notes)
    assert ids(described(index, recipes.record())) == ["app:1", "attestations/unknown/app:1"]


def test_a_manifest_that_an_index_lists_twice_is_one_module(recipes):
    image = recipes.one_platform("amd64")
    info = described(recipes.index([image, image], "h.example/docker-local/app:1"), recipes.record())
    assert ids(info) == ["app:1", "linux/amd64/app:1"]


def test_two_manifests_for_one_platform_have_two_ids(recipes):
    images = [recipes.one_platform("amd64"), recipes.image([b"other"], [])]
    info = described(recipes.index(images, "h.example/docker-local/app:1"), recipes.record())
    assert len(set(ids(info))) == 3


def test_the_platforms_of_an_index_with_two_tags_are_listed_once(recipes):
    """Artifactory does not promote a build that lists a file twice."""
    info = described(recipes.multi("h.example/docker-local/app:1", "h.example/docker-local/app:2"), recipes.record())
    assert ids(info) == ["app:1", "app:2", "linux/amd64/app:1", "linux/arm64/app:1"]


def test_checksums_that_the_receipt_does_not_have_stay_empty(recipes):
    pushed = recipes.hello()
    pushed = replace(pushed, config=replace(pushed.config, sha1=None, md5=None))
    artifact = described(pushed, recipes.record()).modules[0].artifacts[1]
    assert (artifact.sha1, artifact.md5) == ("", "")


def test_no_known_secret_and_no_password_of_a_url_is_described(recipes):
    Secret("hunter2-planted")
    record = recipes.record(
        environment={"BUILD_NOTE": "uses hunter2-planted"},
        url="https://bot:hunter2-planted@ci.example.com/1",
        principal="hunter2-planted",
        vcs=(VcsEntry(url="https://x-token:abc@git.example.com/a.git", message="now with hunter2-planted"),),
    )
    text = as_text(described(recipes.hello(), record))
    assert "hunter2-planted" not in text
    assert "abc@" not in text
    assert '"https://git.example.com/a.git"' in text


def test_who_triggered_the_run_stands_beside_who_publishes_it(recipes):
    document = described(recipes.hello(), recipes.record(principal="ann", artifactory_principal="bot")).document()
    assert (document["principal"], document["artifactoryPrincipal"]) == ("ann", "bot")


@pytest.mark.parametrize("reference", ["1", None])
def test_an_index_that_is_kept_elsewhere_takes_its_platforms_along(recipes, reference):
    pushed = recipes.multi("h.example/docker-local/team/app:1")
    if reference is None:
        pushed = replace(pushed, references=(pushed.references[0].repository.at(pushed.digest),))
    [name] = pushed.references
    info = described(pushed, recipes.record())
    moved = moved_home(info, name, info.artifacts[0], Home("other", "docker-local/team/"))
    assert moved == describe(pushed, recipes.record(), repository_key="other", prefix="docker-local/team/")
    assert {module.parent.rpartition("app")[0] for module in moved.modules[1:]} == {""}


def test_of_a_build_info_only_the_image_that_is_kept_elsewhere_moves(recipes):
    pushed = recipes.hello("h.example/docker-local/team/app:1", "h.example/docker-local/team/apple:1")
    info = described(pushed, recipes.record())
    moved = moved_home(info, pushed.references[0], info.artifacts[0], Home("other", "docker-local/"))
    assert [one.repository for one in moved.artifacts] == ["other"] * 5 + ["docker-local"] * 5
    assert [one.path for one in moved.artifacts] == [one.path for one in info.artifacts]


@pytest.mark.parametrize("text", ["", "  ", ".hidden", "two\nlines"])
def test_a_name_or_number_that_artifactory_would_refuse_is_refused_at_once(recipes, text):
    with pytest.raises(SettingsError) as caught:
        recipes.record(name=text)
    assert caught.value.setting == "build_name"
    with pytest.raises(SettingsError) as caught:
        recipes.record(number=text)
    assert caught.value.setting == "build_number"


def test_a_start_without_a_time_zone_is_refused(recipes):
    with pytest.raises(SettingsError, match="time zone"):
        recipes.record(started=datetime(2026, 10, 1))  # noqa: DTZ001
