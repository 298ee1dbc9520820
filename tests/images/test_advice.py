"""What is said about a Dockerfile before it is built."""

from __future__ import annotations

import pytest

from buildpush.dockerfile import rules as advice
from buildpush.dockerfile.request import BuildRequest
from buildpush.dockerfile.rules import SOME_MOUNTS, advise
from buildpush.images.references import Reference

EVERYTHING = frozenset(advice.BUILDERS_WITHOUT)


@pytest.fixture
def told(tmp_path):
    """Return the function that gives rules and lines for a Dockerfile."""

    def told(text, lacks=frozenset(), **changes):
        return [(trap.rule, trap.line) for trap in looked_at(tmp_path, text, lacks, **changes).traps]

    return told


def looked_at(directory, text, lacks=frozenset(), **changes):
    (directory / "Dockerfile").write_text(text, encoding="utf-8")
    request = BuildRequest(
        directory, directory / "Dockerfile", (Reference.parse("127.0.0.1:5000/local/app:1"),), **changes
    )
    return advise(request, lambda: frozenset(lacks))


def test_a_note_says_file_line_rule_and_what_to_do(tmp_path):
    [trap] = looked_at(tmp_path, "FROM scratch\nWORKDIR me\n").traps
    assert str(trap).startswith("Dockerfile:2: WorkdirRelativePath: ")
    assert "write it as an absolute path" in str(trap)


def test_no_note_holds_a_value(tmp_path):
    text = (
        "ARG BASE=hunter2/\nFROM ${BASE}x AS one\nFROM scratch\nARG MY_TOKEN=hunter2\nARG W\nENV A_PASSWORD hunter2\n"
        "WORKDIR $W\nWORKDIR $W\nEXPOSE $W:80\nCOPY $W /\nLABEL a hunter2\nVOLUME /$W\n"
        "RUN echo hunter2 > /hunter2\nENV ${W}_TOKEN=1\nENV V=$X\nCMD hunter2\nCMD hunter2\n"
    )
    (tmp_path / ".dockerignore").write_text("hunter2\n", encoding="utf-8")
    found = looked_at(tmp_path, text, EVERYTHING, build_args={"W": "hunter2", "MY_TOKEN": "hunter2"}).traps
    assert len({trap.rule for trap in found}) >= 6
    assert {"RunIntoVolume", "SecretsUsedInArgOrEnv"} <= {trap.rule for trap in found}
    assert not [str(trap) for trap in found if "hunter2" in str(trap)]


@pytest.mark.parametrize(
    ("image", "lines"),
    [("alpine", 1), ("alpine:latest", 1), ("r.test/a/b", 1), ("alpine:3", 0), (f"alpine@sha256:{'0' * 64}", 0)],
)
def test_an_image_that_may_be_another_one_tomorrow_is_named(told, image, lines):
    assert told(f"FROM {image}\n") == [("UnpinnedImage", 1)] * lines
    assert told(f"FROM scratch\nCOPY --from={image} /a /b\n") == [("UnpinnedImage", 2)] * lines


def test_an_image_called_as_a_later_stage_is_noted(tmp_path, told):
    text = "FROM b:1 AS x\nFROM b AS a\nFROM golang:1 AS golang\nFROM a\nCOPY --from=golang x y\nFROM scratch AS b\n"
    assert ("StageBeginsLater", 2) in told(text, target="3") + told(
        text.replace("FROM a\n", "FROM a AS c\n"), target="c"
    )
    [trap] = [
        one for one in looked_at(tmp_path, "FROM b AS a\nFROM scratch AS b\n", target="a").traps if one.line == 1
    ][:1]
    assert "FROM b may be" in str(trap)
    assert told("FROM golang:1 AS golang\nFROM golang\n") == []


def test_stages_and_contexts_are_no_images(told):
    text = "FROM scratch AS a\nFROM a\nCOPY --from=a /x /y\nCOPY --from=0 /x /y\nCOPY --from=more /x /y\n"
    assert told(text, build_contexts={"more": "/somewhere"}) == []


def test_a_variable_that_the_base_image_may_set_is_left_alone(told):
    assert told("FROM node:20\nENV V=$NODE_VERSION\nWORKDIR $HOME_OF_NODE\n") == []
    assert told("FROM scratch\nENV V=$NODE_VERSION\n") == [("UndefinedVar", 2)]


def test_stages_that_the_target_does_not_need_are_not_walked(told):
    text = "FROM scratch AS other\nENV V=$X\nFROM scratch AS wanted\n"
    assert told(text, target="wanted") == []
    assert told(text, target="other") == [("UndefinedVar", 2)]


def test_a_global_argument_must_be_asked_for_in_the_stage(tmp_path):
    [trap] = looked_at(tmp_path, "ARG V=1\nFROM scratch\nENV W=$V\n").traps
    assert "repeat ARG V in this stage" in str(trap)


def test_a_build_argument_may_silence_what_the_head_of_the_file_does_not(told):
    text = "# check=skip=UndefinedVar\nFROM scratch\nWORKDIR x\nENV V=$X\n"
    assert told(text) == [("WorkdirRelativePath", 3)]
    assert told(text, build_args={"BUILDKIT_DOCKERFILE_CHECK": "skip=WorkdirRelativePath"}) == [("UndefinedVar", 4)]


def test_our_own_rules_are_silenced_like_those_of_buildkit(told):
    assert told("# check=skip=UnpinnedImage\nFROM alpine\n") == []
    assert told("# check=skip=all\nFROM alpine\n") == []
    assert told("# it is ours\n# check=skip=UnpinnedImage\nFROM alpine\n") == []


def test_the_file_may_ask_to_be_refused_for_rules_of_buildkit(tmp_path):
    head = "# check=error=true\n"
    assert looked_at(tmp_path, f"{head}FROM scratch\nWORKDIR x\n").errors == ("WorkdirRelativePath",)
    assert looked_at(tmp_path, f"{head}FROM alpine\n").errors == ()
    assert looked_at(tmp_path, "# check=skip=WorkdirRelativePath;error=true\nFROM scratch\nWORKDIR x\n").errors == ()


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("COPY <<A /x\nhi\nA", "HeredocUnknown"),
        ("RUN <<A\nhi\nA", "HeredocPassedOver"),
        ("RUN --mount=type=cache,target=/c make", "MountUnknown"),
        ("RUN --mount=target=/c make", "MountPassedOver"),
        ("RUN --mount=type=cache,target=/c --mount=type=ssh make", "MountPassedOver"),
        ("VOLUME /data\nRUN echo hi > /data/x", "RunIntoVolume"),
        ("VOLUME /data\nRUN a && mkdir -p /data/x/y", "RunIntoVolume"),
        ("VOLUME /data\nRUN chown -R 7 '/data'", "RunIntoVolume"),
        ('VOLUME ["/data/"]\nCOPY a /data/', "CopyIntoVolume"),
        ("WORKDIR /data\nVOLUME /data\nADD a .", "CopyIntoVolume"),
    ],
)
def test_what_an_engine_lacks_is_a_trap_for_that_engine(told, line, rule):
    text = f"FROM scratch\n{line}\n"
    assert rule in [found for found, _ in told(text, EVERYTHING)]
    assert told(text) == []


@pytest.mark.parametrize(
    ("mount", "words"),
    [
        ("target=/c", "is ignored before kaniko 1.28;"),
        ("type=bind,from=other,target=/c", "is ignored;"),
        ("type=tmpfs,target=/c", "is ignored;"),
    ],
)
def test_kanikos_note_on_a_mount_says_which_versions_pass_it_over(tmp_path, mount, words):
    (trap,) = looked_at(tmp_path, f"FROM scratch\nRUN --mount={mount} make\n", frozenset({SOME_MOUNTS})).traps
    assert words in str(trap)


@pytest.mark.parametrize(
    "lines",
    [
        "RUN --mount=type=cache,target=/c --mount=type=secret,id=s make",
        "VOLUME /data\nRUN ls /data && cat </data/x",
        "VOLUME /data\nRUN touch /data-of-others /data.txt /x/data",
        "RUN touch /data/x\nCOPY a /data/\nVOLUME /data",
        "VOLUME /data\nCOPY a /database/",
        "RUN make # << not a heredoc",
    ],
)
def test_what_only_looks_like_a_trap_is_none(told, lines):
    lacks = EVERYTHING - {advice.MOUNTS}
    assert told(f"FROM scratch\n{lines}\n", lacks) == []


def test_an_engine_is_asked_only_where_it_matters(tmp_path):
    (tmp_path / "Dockerfile").write_text("FROM scratch\nWORKDIR x\n", encoding="utf-8")
    request = BuildRequest(tmp_path, tmp_path / "Dockerfile", (Reference.parse("127.0.0.1:5000/local/app:1"),))

    def asked():
        raise AssertionError

    assert len(advise(request, asked).traps) == 1


@pytest.mark.parametrize("text", ["# syntax=example.test/other\nwhatever\n", "FROM scratch\nENV a=${\n", "FROM\n", ""])
def test_what_only_the_engine_can_read_is_left_to_it(told, text):
    assert told(text) == []


def test_rules_have_names_of_their_own_and_a_sentence_each():
    names = [rule.name for rule in advice.RULES]
    assert len(set(names)) == len(names)
    assert all(rule.sentence.endswith(".") for rule in advice.RULES)
    assert {rule.needs for rule in advice.RULES} - {""} == set(advice.BUILDERS_WITHOUT)
