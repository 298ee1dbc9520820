"""Which images a build pulls, also where the Dockerfile is one that the engine knows better than we do."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildpush.credentials.docker import Credential
from buildpush.dockerfile.outline import outline
from buildpush.dockerfile.parse import FLAGS, parse
from buildpush.dockerfile.request import BuildRequest
from buildpush.engines import ENGINES, Tools
from buildpush.engines.bases import base_credentials, bases, frontend, insecure_hosts, unknown_bases_note
from buildpush.engines.by_name import Engines
from buildpush.engines.choice import note_traps
from buildpush.foundation.errors import DockerfileError
from buildpush.foundation.events import Note
from buildpush.foundation.secrets import Secret
from buildpush.places import CommandResult, Recorded

NEWER = "# syntax=docker/dockerfile:1-labs\n"
ELSEWHERE = "# syntax=mirror.test/docker/dockerfile:1\n"
BODY = "FROM base.test/a:1 AS one\nFROM base.test/b:1\nCOPY --from=tools.test/c:1 /x /x\nCOPY --from=one /y /y\n"
ALL = ["base.test/a:1", "base.test/b:1", "tools.test/c:1"]


@pytest.fixture
def request_of(tmp_path):
    """Return the function that makes a request of a Dockerfile's text."""

    def make(text: str | bytes, **more) -> BuildRequest:
        path = tmp_path / "Dockerfile"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return BuildRequest(tmp_path, path, (), **more)

    return make


@pytest.mark.parametrize(
    "odd",
    [
        "INCLUDE common.docker\n",
        "INCLUDE <<EOF\nFROM users\nCOPY --from=none.test/x / /\nEOF\n",
        "INCLUDE a <<-'EOF'\nFROM users\n\tEOF\n",
        "RUN --newer=thing true\n",
        "RUN --mount=type=bind,from=base.test/a:1,target=/x --mount=type=new true\n",
        "COPY --newer --from=base.test/a:1 /x /x\n",
        "LABEL a\n",
        'COPY --chown=1 ["a", 1]\n',
        "RUN <<EOF\nnever ends\n",
        "ONBUILD FROM x\n",
        "HEALTHCHECK --newer=1 SOMETHING\n",
        "EXPOSE\n",
    ],
)
def test_what_we_do_not_know_hides_no_base(request_of, odd):
    for text in (BODY + odd, BODY.replace("FROM base.test/b:1\n", f"FROM base.test/b:1\n{odd}")):
        found = request_of(ELSEWHERE + text)
        assert [str(one) for one in bases(found)] == ALL
        assert not unknown_bases_note(found)
    with suppress(DockerfileError):
        parse((NEWER + BODY + odd).encode())
        return
    assert [str(one) for one in bases(request_of(NEWER + BODY + odd))] == ALL


def test_variables_and_targets_count_in_a_file_of_another_language(request_of):
    text = f"{ELSEWHERE}ARG V=1\nFROM base.test/a:$V AS one\nNEWER x\nFROM base.test/b:$V AS two\n"
    assert [str(one) for one in bases(request_of(text, build_args={"V": "2"}, target="one"))] == ["base.test/a:2"]


def test_logins_are_found_for_the_bases_of_another_language(request_of):
    text = f"{ELSEWHERE}FROM base.test/a\nNEWER\n"
    found = base_credentials(request_of(text), lambda host: Credential("u", Secret("p4ssword"), host))
    assert set(found) == {"mirror.test", "base.test"}


def test_the_language_is_known_where_the_rest_is_not(request_of):
    assert [str(one) for one in frontend(request_of(f"{NEWER}FROM a\nLABEL a\n"))] == [
        "docker.io/docker/dockerfile:1-labs"
    ]
    assert [str(one) for one in frontend(request_of("# syntax=words.test/x:1 --more\nFROM a\n"))] == ["words.test/x:1"]


class Any:
    name = "buildx"

    def unsupported_features(self):
        return frozenset()


@pytest.mark.parametrize(
    "text",
    [
        "# syntax=words.test/x\napiVersion: v1\nimages:\n- from: base.test/a\n",
        "# syntax=words.test/x\nVERSION 0.8\nFROM base.test/a\n",
        "# syntax=words.test/x\nFROM $NOWHERE\n",
        "# syntax=words.test/x\n",
        "",
        b"FROM a\0b\n",
    ],
)
def test_a_file_that_tells_no_bases_is_noted_with_what_counts(request_of, text):
    found, told = request_of(text), []
    assert bases(found) == ()
    note_traps(Any(), found, told.append)
    assert [one.text for one in told if isinstance(one, Note) and "cannot be determined" in one.text]
    assert "build_contexts" in unknown_bases_note(found)


@pytest.mark.parametrize("text", ["FROM scratch\n", f"{ELSEWHERE}FROM scratch\nNEWER x\n", BODY])
def test_a_file_that_tells_its_bases_is_not_noted(request_of, text):
    told = []
    note_traps(Any(), request_of(text), told.append)
    assert not [one for one in told if isinstance(one, Note) and "cannot be determined" in one.text]


def test_a_file_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(DockerfileError, match="cannot be read"):
        bases(BuildRequest(tmp_path, tmp_path / "Dockerfile", ()))


LINES = st.lists(
    st.one_of(
        st.sampled_from(
            [*BODY.splitlines(), "ARG V=1", "RUN <<E", "E", "ODD --x=y <<E", "RUN [", "COPY \\", "# x", ""]
        ),
        st.sampled_from(sorted(FLAGS)),
        st.text(max_size=20),
    ),
    max_size=12,
)


@given(LINES)
def test_whatever_is_read_strictly_is_read_alike_in_another_language(tmp_path_factory, lines):
    """Both readings give the same stages and images; the lenient one raises nothing."""
    text = "\n".join(lines)
    path = tmp_path_factory.mktemp("x") / "Dockerfile"
    path.write_text(ELSEWHERE + text, encoding="utf-8", errors="replace")
    loosely = outline(path)
    bases(BuildRequest(path.parent, path, ()))
    with suppress(DockerfileError):
        strictly = parse(b"# syntax=docker/dockerfile:1\n" + path.read_bytes().partition(b"\n")[2])
        assert [(one.base, one.name, one.line) for one in loosely.stages] == [
            (one.base, one.name, one.line) for one in strictly.stages
        ]


@pytest.mark.parametrize("engine", ENGINES)
def test_a_plan_names_the_host_of_a_syntax_line_for_who_follows_it(request_of, engine):
    """To buildah and kaniko it is a comment; buildah was seen to build under one whose host does not exist."""
    asks = engine in {"docker", "buildx"}
    request = request_of("# syntax=words.test/x:1\nFROM base.test/a:1\n")
    named = [str(one) for one in Engines(Tools({}, Recorded()))[engine].images(request)]
    assert named == ["words.test/x:1"] * asks + ["base.test/a:1"]


@pytest.mark.parametrize(
    ("engine", "host", "noted"),
    [("docker", "bases.test", True), ("buildx", "bases.test", True), ("docker", "other.test", False)]
    + [(name, "bases.test", False) for name in ("native", "buildah", "kaniko")]
    + [("docker", "127.0.0.1", False)],
)
def test_an_engine_that_does_not_learn_which_hosts_are_insecure_is_named(request_of, engine, host, noted):
    events = []
    request = request_of("FROM bases.test/a\nCOPY --from=127.0.0.1:5000/b /b /b\n", insecure=frozenset({host}))
    note_traps(Engines(Tools({}, Recorded(lambda _: CommandResult(1))))[engine], request, events.append)
    found = [event.text for event in events if "insecure-registries" in event.text]
    words = f"the engine {engine} connects to {host} as its own configuration says"
    assert [words in text for text in found] == [True] * noted


@pytest.mark.parametrize("engine", ENGINES)
def test_an_engine_that_does_not_learn_of_certificates_is_named(request_of, engine):
    events = []
    request = request_of("FROM bases.test/a\n", authorities={"bases.test": "PEM", "elsewhere.test": "PEM"})
    note_traps(Engines(Tools({}, Recorded(lambda _: CommandResult(1))))[engine], request, events.append)
    found = [event.text for event in events if "certs.d/bases.test/ca.crt" in event.text]
    assert len(found) == (engine not in {"native", "kaniko"})
    assert not any("elsewhere" in event.text for event in events)


def test_where_the_base_images_are_not_known_every_host_declared_insecure_counts(request_of):
    request = request_of(f"{ELSEWHERE}SOMETHING base.test/a\n", insecure=frozenset({"b.test", "a.test"}))
    assert insecure_hosts(request) == ("a.test", "b.test")
