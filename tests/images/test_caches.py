"""Caches as buildx is told of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildpush.dockerfile.caches import CacheSpec
from buildpush.foundation.errors import BadNameError


def test_a_name_alone_is_a_cache_in_a_registry():
    spec = CacheSpec.parse("acme.test/team/api")
    assert (spec.kind, spec.host) == ("registry", "acme.test")
    assert str(spec) == "type=registry,ref=acme.test/team/api:latest"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("type=registry,ref=acme.test/api:c", "type=registry,ref=acme.test/api:c"),
        ("ref=acme.test/api:c,type=registry,mode=max", "type=registry,ref=acme.test/api:c,mode=max"),
        ("type=local,src=a b", "type=local,src=/w/a b"),
        ('"type=local","dest=a,b"', 'type=local,"dest=/w/a,b"'),
        ("type=local,dest=/abs", "type=local,dest=/abs"),
        ("type=gha,scope=x", "type=gha,scope=x"),
    ],
)
def test_a_cache_is_told_in_one_line_with_paths_made_absolute(text, said):
    assert str(CacheSpec.parse(text).at(Path("/w"))) == said


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("ref=acme.test/api:c", "which type"),
        ("type=inline;type=local,dest=c", "several caches"),
        ("type=registry,ref=acme.test/api:1;type=local,dest=c", "several caches"),
        ("acme.test/api:1,acme.test/api:2", "several caches"),
        ("type=registry", "ref= is missing"),
        ("type=registry,ref=No/Such", "repository path"),
        ("type=local,src", "not KEY=VALUE"),
        ("type=local,=x", "not KEY=VALUE"),
        ('"type=local', "CSV"),
        ("", "which type"),
        ("No/Such:Name", "repository path"),
    ],
)
def test_what_is_no_cache_is_refused(text, words):
    with pytest.raises(BadNameError, match=words):
        CacheSpec.parse(text)


@pytest.mark.parametrize("field", ["secret_access_key", "SESSION_TOKEN", "token", "account_key"])
def test_a_secret_is_refused_without_saying_it(field):
    with pytest.raises(BadNameError) as caught:
        CacheSpec.parse(f"type=s3,nonsense,{field}=s3cr3t-of-cache")
    assert "s3cr3t-of-cache" not in str(caught.value)
    assert "variable" in str(caught.value.hint)


@given(
    st.dictionaries(
        st.sampled_from(["src", "scope", "x"]), st.text(st.characters(exclude_categories=["C"])), max_size=3
    )
)
def test_what_is_told_reads_back(fields):
    spec = CacheSpec("s3", tuple(fields.items()))
    assert CacheSpec.parse(str(spec)) == spec
