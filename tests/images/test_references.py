"""Names: what is one, what they mean, and that reading what was written gives the same."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildpush.foundation.errors import BadNameError
from buildpush.images.references import Digest, Reference, Repository, Tag, check_host, references_in_mirrors

HEX = "0123456789abcdef" * 4

hosts = st.from_regex(r"\A[a-z0-9]{1,8}(\.[a-z0-9]{1,8}){1,3}(:[1-9][0-9]{0,3})?\Z") | st.sampled_from(
    ["localhost", "127.0.0.1:5000", "[::1]:5000", "localhost:80"]
)
parts = st.from_regex(r"\A[a-z0-9]{1,6}((\.|_|__|-{1,3})[a-z0-9]{1,6}){0,2}\Z")
repositories = st.builds(
    lambda host, path: Repository(host, "/".join(path)), hosts, st.lists(parts, min_size=1, max_size=5)
)
tags = st.builds(Tag, st.from_regex(r"\A[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}\Z"))
digests = st.builds(lambda text: Digest(f"sha256:{text}"), st.text(string.hexdigits[:16], min_size=64, max_size=64))


@given(st.builds(Reference, repositories, st.none() | tags, st.none() | digests))
def test_a_reference_reads_back(reference):
    written = str(reference)
    read = Reference.parse(written)

    assert read.repository == reference.repository
    assert read.digest == reference.digest
    assert read.tag == (reference.tag or (None if reference.digest else Tag("latest")))
    assert Reference.parse(str(read)) == read


@given(st.text(max_size=60))
def test_any_text_is_a_reference_or_a_bad_name(text):
    """Whatever a user types, it is understood or refused; nothing else happens."""
    try:
        read = Reference.parse(text)
    except BadNameError:
        return
    assert Reference.parse(str(read)) == read


@pytest.mark.parametrize(
    ("text", "host", "path"),
    [
        ("alpine", "docker.io", "library/alpine"),
        ("acme/app", "docker.io", "acme/app"),
        ("acme.jfrog.io/docker-local/app", "acme.jfrog.io", "docker-local/app"),
        ("localhost/app", "localhost", "app"),
        ("localhost:5000/app", "localhost:5000", "app"),
        ("registry:5000/app", "registry:5000", "app"),
        ("[fd00::1]:5000/app", "[fd00::1]:5000", "app"),
        ("Registry/app", "Registry", "app"),
    ],
)
def test_the_host_is_told_from_the_path(text, host, path):
    assert Repository.parse(text) == Repository(host, path)


@pytest.mark.parametrize(
    "text",
    ["a" * 129, "", "-x", ".x", "a b", "a;b", "a\nb", "ä", "a/b", "a:b", "\u202ea", "1\n"],
)
def test_what_breaks_the_grammar_of_tags_is_refused(text):
    with pytest.raises(BadNameError, match="is not a tag"):
        Tag(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("r.io/Acme/App", "acme/app"),
        ("r.io/acme/app:1", "tags"),
        ("r.io/acme//app", "grammar"),
        ("r.io/acme/app ", "grammar"),
        ("r.io/--flag", "grammar"),
        ("https://r.io/app", "address"),
        ("r.io/" + "a" * 256, "256"),
        ("r.io/", "1 to 255"),
        ("r_io.x:y/app", "registry host"),
        ("r.io:99999/app", "registry host"),
    ],
)
def test_bad_repositories_are_refused_with_a_reason(text, words):
    with pytest.raises(BadNameError) as caught:
        Repository.parse(text)
    assert words in f"{caught.value} {caught.value.hint}"


@pytest.mark.parametrize("text", ["sha256:abc", f"sha256:{HEX.upper()}", f"md5:{HEX}", HEX, f"sha256:{HEX}\n"])
def test_bad_digests_are_refused(text):
    with pytest.raises(BadNameError, match="is not a digest"):
        Digest(text)


def test_a_colon_without_a_tag_is_refused():
    with pytest.raises(BadNameError):
        Reference.parse("r.io/app:")


def test_a_digest_counts_more_than_a_tag():
    reference = Reference.parse(f"r.io/app:1@sha256:{HEX}")

    assert (reference.target, str(reference.tag)) == (f"sha256:{HEX}", "1")
    assert Reference.parse("r.io/app").target == "latest"


def test_parts_of_names():
    repository = Repository("r.io", "a/b/app")

    assert repository.name == "app"
    assert str(repository.tagged("1")) == "r.io/a/b/app:1"
    assert str(repository.at(Digest(f"sha256:{HEX}"))) == f"r.io/a/b/app@sha256:{HEX}"
    assert (Digest(f"sha256:{HEX}").algorithm, Digest(f"sha256:{HEX}").hex) == ("sha256", HEX)
    assert check_host("r.io:443") == "r.io:443"


@pytest.mark.parametrize(
    ("name", "mirrors", "pulled"),
    [
        ("alpine:3", ["a.example/docker-hub"], ["a.example/docker-hub/library/alpine:3"]),
        ("team/app", ["a.example"], ["a.example/team/app:latest"]),
        ("team/app", ["a.example", "docker.io"], ["a.example/team/app:latest", "docker.io/team/app:latest"]),
        ("other.example/app:1", ["a.example/docker-hub"], ["other.example/app:1"]),
        ("alpine:3", [], ["docker.io/library/alpine:3"]),
    ],
)
def test_mirrors_replace_docker_hub_alone_in_their_order(name, mirrors, pulled):
    assert list(map(str, references_in_mirrors(Reference.parse(name), mirrors))) == pulled


@pytest.mark.parametrize("text", ["alpine", "library/alpine", "docker.io/alpine", "index.docker.io/library/alpine"])
def test_all_names_of_docker_hub_are_one(text):
    assert str(Repository.parse(text)) == "docker.io/library/alpine"
    assert list(map(str, references_in_mirrors(Reference.parse(text), ["m.test/hub"]))) == [
        "m.test/hub/library/alpine:latest"
    ]
