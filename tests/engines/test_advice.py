"""Advice is held against real builders: BuildKit finds the same by the same rules, and the traps of others are real."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from buildpush.dockerfile.rules import HEREDOCS, MOUNTS, RULES, RUN_INTO_VOLUMES, advise
from buildpush.engines import Tools
from buildpush.engines.buildah import Buildah
from buildpush.engines.docker.classic import Docker
from buildpush.engines.native import Native
from buildpush.foundation.errors import BuildError, StrictError
from buildpush.places import Here, Recorded

pytestmark = pytest.mark.engines

OURS = {rule.name for rule in RULES if rule.buildkit}

# Each ends in a stage called last, which is the target: without one, BuildKit's check looks at every stage.
PARTS = re.split(
    r"^=== (.+)\n", Path(__file__).with_name("advised.txt").read_text(encoding="utf-8"), flags=re.MULTILINE
)
FILES = dict(zip(PARTS[1::2], PARTS[2::2], strict=True))


@pytest.fixture(scope="module")
def found_by(far, tmp_path_factory):
    """Return the function that gives rules and lines as BuildKit finds them, and as we do."""
    directory = tmp_path_factory.mktemp("advice")

    def buildkit(arguments):
        argv = ["docker", "buildx", "build", "--print=lint", "--target", "last"]
        argv += [word for name, value in arguments.items() for word in ("--build-arg", f"{name}={value}")]
        env = {**far, "BUILDX_EXPERIMENTAL": "1"}
        said = subprocess.run([*argv, str(directory)], env=env, capture_output=True, text=True, check=True).stdout
        rules = re.findall(r"^WARNING: (\w+)", said, re.MULTILINE)
        lines = re.findall(r"^Dockerfile:(\d+)$", said, re.MULTILINE)
        return {(rule, int(line)) for rule, line in zip(rules, lines, strict=True) if rule in OURS}

    def both(text, request, ignore="", **arguments):
        (directory / "Dockerfile").write_text(text, encoding="utf-8")
        (directory / ".dockerignore").write_text(ignore, encoding="utf-8")
        order = request(context=directory, dockerfile=directory / "Dockerfile", target="last", build_args=arguments)
        traps = advise(order, frozenset).traps
        return buildkit(arguments), {(trap.rule, trap.line) for trap in traps if trap.buildkit}

    return both


@pytest.mark.parametrize("name", FILES)
def test_buildkit_finds_the_same(found_by, directory, name):
    theirs, ours = found_by(FILES[name], directory.request, "*.log\ndir\n" if name == "ignored" else "")
    assert ours == theirs


def test_every_rule_of_buildkits_is_tried_with_it(found_by, directory):
    met = set()
    for name, text in FILES.items():
        met |= {rule for rule, _ in found_by(text, directory.request, "*.log\n" if name == "ignored" else "")[0]}
    assert met == OURS


@pytest.mark.parametrize("ignore", ["*\n", "*.log\n!a.log\n", "**\n", "a.log\n# a comment\n"])
def test_buildkit_finds_the_same_files_ignored(found_by, directory, ignore):
    theirs, ours = found_by("FROM scratch AS last\nCOPY . /\nCOPY a.log /\nADD / /\n", directory.request, ignore)
    assert ours == theirs


def test_buildkit_finds_the_same_with_build_arguments(found_by, directory):
    text = "# check=skip=all\nARG B\nFROM $B AS one\nFROM scratch AS last\nARG T\nENV a=$T b=$U\nWORKDIR x\n"
    arguments = {"B": "scratch", "T": "1", "U": "2", "BUILDKIT_DOCKERFILE_CHECK": "skip=WorkdirRelativePath"}
    theirs, ours = found_by(text, directory.request, **arguments)
    assert ours == theirs == {("UndefinedVar", 6)}


NAMES = st.sampled_from(["A", "b", "TOKEN", "PATH", "TARGETARCH"])
VALUES = st.sampled_from(["x", "$A", "/$b/c", "${TOKEN:-$b}", "'$A'", '"$b"', "\\$A", "/y", "${PATH}"])
LINES = st.one_of(
    st.builds("ENV {}={}".format, NAMES, VALUES),
    st.builds("ENV {} {}".format, NAMES, VALUES),
    st.builds("ARG {}".format, NAMES),
    st.builds("ARG {}={}".format, NAMES, VALUES),
    st.builds("LABEL {}={}".format, NAMES, VALUES),
    st.builds("COPY {} /x/".format, VALUES),
    st.builds("ONBUILD ENV {}={}".format, NAMES, VALUES),
    st.builds("# check=skip={}".format, st.sampled_from(["UndefinedVar", "WorkdirRelativePath", "all"])),
    st.sampled_from(
        ["", "#", "CMD x", 'CMD ["x"]', "WORKDIR a", "WORKDIR /a", 'SHELL ["x"]', "ENTRYPOINT x", "MAINTAINER me"]
    ),
)
BASES = st.sampled_from(["scratch", "one", "$G", "${G:-one}"])


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(first=st.lists(LINES, max_size=5), base=BASES, last=st.lists(LINES, min_size=1, max_size=6))
def test_buildkit_finds_the_same_in_any_file(found_by, directory, first, base, last):
    text = "\n".join(["ARG G=scratch", "FROM scratch AS one", *first, f"FROM {base} AS last", *last, ""])
    theirs, ours = found_by(text, directory.request)
    assert ours == theirs, text


@pytest.fixture
def old(need, tmp_path):
    """Return builders that lack much: Docker's classic one, and buildah."""
    need("docker", "buildah")
    bare = {**os.environ, "PATH": str(tmp_path / "no-programs")}
    env = dict(os.environ)
    return {"classic": Docker(Tools(bare, Here(bare))), "buildah": Buildah(Tools(env, Here(env)))}


@pytest.mark.parametrize("name", ["classic", "buildah"])
def test_what_run_writes_into_a_volume_is_lost_where_it_is_said(old, directory, busybox, name):
    directory.write("busybox", busybox.read_bytes(), mode=0o755)
    directory.dockerfile(
        # Its own label: the classic builder keeps a step as an image, which another test with that step may remove.
        f"FROM scratch\nLABEL test={uuid4().hex}\nCOPY busybox /bin/sh\nCOPY busybox /data/kept\nVOLUME /data\n"
        'RUN ["/bin/sh", "-c", "echo hi > /data/lost"]\nCOPY Dockerfile /data/copied\n'
    )
    with old[name].build(directory.request()) as image:
        files = directory.files_of(image)
    assert ("data/lost" not in files) == (RUN_INTO_VOLUMES in old[name].unsupported_features())
    assert {"data/kept", "data/copied"} <= files.keys()


@pytest.mark.parametrize(
    ("name", "lack", "line"),
    [
        ("classic", HEREDOCS, "COPY <<A /x\nhi\nA"),
        ("buildah", HEREDOCS, "COPY <<A /x\nhi\nA"),
        ("classic", MOUNTS, 'RUN --mount=type=cache,target=/c ["/bin/sh", "-c", "true"]'),
        ("buildah", MOUNTS, 'RUN --mount=type=cache,target=/c ["/bin/sh", "-c", "true"]'),
    ],
)
def test_a_builder_fails_at_what_it_is_said_to_lack(old, directory, busybox, name, lack, line):
    directory.write("busybox", busybox.read_bytes(), mode=0o755)
    directory.dockerfile(f"FROM scratch\nLABEL test={uuid4().hex}\nCOPY busybox /bin/sh\n{line}\n")
    if lack not in old[name].unsupported_features():
        with old[name].build(directory.request()):
            return
    with pytest.raises(BuildError), old[name].build(directory.request()):
        pass


def test_a_docker_with_buildx_lacks_nothing(need):
    need("docker", "buildx")
    assert Docker(Tools(dict(os.environ), Here(dict(os.environ)))).unsupported_features() == frozenset()


def test_a_file_that_asks_for_it_is_refused(directory):
    from buildpush.engines.choice import note_traps

    directory.dockerfile("# check=error=true\nFROM scratch\nWORKDIR x\n")
    told = []
    with pytest.raises(StrictError, match="WorkdirRelativePath"):
        note_traps(Native(Tools({}, Recorded())), directory.request(), told.append)
    assert "Dockerfile:3" in told[0].text
