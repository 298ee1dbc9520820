"""Dockerfiles are read as BuildKit reads them, and an error names its line."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from buildpush.dockerfile import parse as reading
from buildpush.dockerfile.model import Heredoc
from buildpush.dockerfile.parse import parse
from buildpush.dockerfile.request import BuildRequest
from buildpush.dockerfile.stages import StageOrderError, base_images, check_order, find_base, global_arguments, needed
from buildpush.foundation.errors import DockerfileError
from buildpush.images.model import Platform
from tests.images.steps import lines_run


def only(text: str):
    """Return the one instruction after FROM."""
    (instruction,) = parse(f"FROM scratch\n{text}\n".encode()).stages[0].instructions
    return instruction


def refused(text: str) -> DockerfileError:
    with pytest.raises(DockerfileError) as caught:
        parse(text.encode())
    return caught.value


def test_stages_have_numbers_names_and_lines():
    found = parse(b"# a comment\nARG V=1\nFROM scratch AS Build\nLABEL a=b\n\nFROM build\nCOPY --from=0 /a /b\n")

    assert [(stage.number, stage.name, stage.base, stage.line) for stage in found.stages] == [
        (0, "build", "scratch", 3),
        (1, None, "build", 6),
    ]
    assert found.stages[1].instructions[0].line == 7
    assert found.arguments[0].pairs == (("V", "1"),)


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("LABEL a=b \\\n c=d", "a=b  c=d"),
        ("LABEL a=b \\\n# a comment\n c=d", "a=b  c=d"),
        ("LABEL a=b \\\n\n\n c=d", "a=b  c=d"),
        ("LABEL a=b \\  \n c=d", "a=b  c=d"),
        ("LABEL a=b \\\r\n c=d\r", "a=b  c=d"),
        ("  label a=b", "a=b"),
        ("\\\n  LABEL a=b", "a=b"),
        ("LABEL \\\n  # c \\\n a=b", "a=b"),
        ("LABEL \\\n \u2003\n a=b\u2003", "a=b"),
        ("LABEL a=\\\\\n", "a=\\\\"),
        ("LABEL a=b\\\r\r\nc\r\r", "a=bc"),
    ],
)
def test_continued_lines_are_one_instruction(text, rest):
    assert only(text).rest == rest


def test_the_line_of_an_instruction_is_its_first():
    found = parse(b"FROM scratch\nLABEL a=b \\\n c=d\nUSER x\n")
    assert [instruction.line for instruction in found.stages[0].instructions] == [2, 4]


def test_a_byte_order_mark_and_windows_line_ends_are_no_trouble():
    found = parse(b"\xef\xbb\xbfFROM scratch\r\nCOPY a b\r\n")
    assert found.stages[0].instructions[0].words == ("a", "b")


def test_a_comment_in_latin_1_is_no_trouble():
    assert parse(b"# gr\xfc\xdfe\nFROM scratch\n").stages[0].line == 2


def test_ten_thousand_continued_lines_are_read():
    text = "FROM scratch\nLABEL a=b" + " \\\n  x=y" * 10_000 + "\nUSER z\n"
    found = parse(text.encode()).stages[0].instructions
    assert len(found[0].pairs) == 10_001
    assert found[1].line == 10_003


def test_the_escape_directive_changes_the_escape():
    found = parse(b"# escape=`\nFROM scratch\nCOPY a `\n c:\\\nUSER b\n")
    assert found.stages[0].instructions[0].words == ("a", "c:\\")
    assert found.escape == "`"


@pytest.mark.parametrize("head", [b"# x=y\n", b"\n", b"# a comment\n", b"#escape\n"])
def test_directives_end_at_the_first_line_that_is_none(head):
    assert parse(head + b"# escape=`\nFROM scratch\n").escape == "\\"
    assert parse(b"\xef\xbb\xbf  #\tEscape =\t` \r\n" + head + b"FROM scratch\n").escape == "`"


def test_a_foreign_syntax_is_left_to_its_builder():
    found = parse(b"# syntax=example.com/other:1\nTHIS IS NOT OURS\n")
    assert (found.syntax, found.stages) == ("example.com/other:1", ())


def test_dockers_own_syntax_is_read():
    assert parse(b"# syntax=docker/dockerfile:1\nFROM scratch\n").stages


@pytest.mark.parametrize(
    ("text", "words", "exec_form"),
    [
        ('CMD ["a", "b c"]', ("a", "b c"), True),
        ("CMD a b", ("a b",), False),
        ('CMD ["a"] && b', ('["a"] && b',), False),
        ("CMD ['a']", ("['a']",), False),
        ("CMD", ("",), False),
        ("CMD []", (), True),
        ("CMD [NaN]", ("[NaN]",), False),
        ('CMD  [ "a" ] \t', ("a",), True),
        ('CMD ["\\ud800"]', ("\ufffd",), True),
        ("CMD -- --a", ("--a",), False),
        ("CMD \u2028--", ("--",), False),
        ('EXPOSE ["80"]', ('["80"]',), False),
        ("VOLUME /a\u2003b", ("/a\u2003b",), False),
        ("healthcheck cmd  a  b", ("CMD", "a  b"), False),
        ("HEALTHCHECK NONE []", ("NONE",), True),
        ("COPY a  b\tc /d/", ("a", "b", "c", "/d/"), False),
        ('COPY ["a b", "/c"]', ("a b", "/c"), True),
        ("VOLUME /a /b", ("/a", "/b"), False),
        ("EXPOSE 80 81/udp", ("80", "81/udp"), False),
        ("HEALTHCHECK --interval=5s CMD test -f /a", ("CMD", "test -f /a"), False),
        ('HEALTHCHECK CMD ["test"]', ("CMD", "test"), True),
        ("healthcheck none", ("NONE",), False),
        ('SHELL ["/bin/ash", "-c"]', ("/bin/ash", "-c"), True),
    ],
)
def test_arguments_are_words_or_an_array(text, words, exec_form):
    found = only(text)
    assert (found.words, found.exec_form) == (words, exec_form)


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ("ENV a=b c='d e' f=\"g h\" i=j\\ k", (("a", "b"), ("c", "'d e'"), ("f", '"g h"'), ("i", "j\\ k"))),
        ("ENV a b c", (("a", "b c"),)),
        ("LABEL a.b=", (("a.b", ""),)),
        ("ARG a b=c", (("a", None), ("b", "c"))),
        ("ENV a b=c", (("a", "b=c"),)),
        ("ENV a='b c", (("a", "'b c"),)),
        ("ENV a=\"b' c", (("a", "\"b' c"),)),
        ('ENV a=\\" b=1', (("a", '\\"'), ("b", "1"))),
        ("ENV a='\\' b=1", (("a", "'\\'"), ("b", "1"))),
        ("ENV a=b\\\\\\", (("a", "b\\\\"),)),
        ('ENV a="b\\\\\\', (("a", '"b\\\\'),)),
        ("ENV a=1\u2003b=2\x1cc=3", (("a", "1"), ("b", "2\x1cc=3"))),
        ('LABEL "a b"=c', (('"a b"', "c"),)),
        ("ARG --x=y 'a'=b", (("'a'", "b"),)),
    ],
)
def test_names_and_values_keep_their_quotes(text, pairs):
    assert only(text).pairs == pairs


def test_flags_stand_before_the_arguments():
    found = only("COPY --from=0 --chown='1:2' --link a --x b")
    assert found.flags == {"from": "0", "chown": "1:2", "link": "true"}
    assert found.words == ("a", "--x", "b")


@pytest.mark.parametrize(
    ("text", "flags"),
    [
        ("COPY --link=False --parents a b", {"link": "false", "parents": "true"}),
        ("COPY --exclude=x --exclude='y z' a b", {"exclude": "x\ny z"}),
        ('COPY --chown="it\'s"\\ x a b', {"chown": "it's x"}),
        ("COPY --chown= -- --a b", {"chown": ""}),
        ("STOPSIGNAL --x TERM", {}),
        ("ARG --x a", {}),
        ("HEALTHCHECK --x NONE", {}),
    ],
)
def test_flags_lose_quotes_and_escapes(text, flags):
    assert only(text).flags == flags


def test_a_heredoc_ends_at_its_word():
    found = only("COPY <<A <<-'B' /x/\none $y\nA\n\ttwo\n\tB")
    assert found.heredocs == (Heredoc("A", "one $y\n", True), Heredoc("B", "two\n", False))


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ("<<E", [("E", True)]),
        ("<<'E'", [("E", False)]),
        ("<<E'F'\"G\"", [("EFG", False)]),
        ("<<\\E", [("E", True)]),
        ("<<$E", [("$E", True)]),
        ("3<<E x<<F", [("E", True)]),
        ("<<E <<E", [("E", True), ("E", True)]),
        ("<<''", []),
        ("<<E '", []),
        ("<<E ${", []),
    ],
)
def test_words_announce_heredocs(words, names):
    ends = "".join(f"{name}\n" for name, _ in names)
    found = only(f"COPY {words} /x\n{ends}")
    assert [(heredoc.name, heredoc.expand) for heredoc in found.heredocs] == names


def test_an_array_announces_no_heredoc():
    assert only('COPY ["<<E", "/x"]').heredocs == ()


def test_a_trigger_is_read_but_not_run():
    assert only("ONBUILD COPY a b").trigger.words == ("a", "b")
    assert only("ONBUILD NOPE x").trigger is None


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("OnBuild  ENV a=b  ", "ENV a=b  "),
        ("ONBUILD\\\n  COPY a \\\n# c\n b", "COPY a  b"),
        ("ONBUILD COPY <<-E /x\n\ta\n\tE\n", "COPY <<-E /x\n\ta\nE"),
        ("ONBUILD USER", "USER"),
        ("ONBUILD CMD --x", "CMD --x"),
    ],
)
def test_an_image_keeps_a_trigger_as_written(text, kept):
    """What is wrong with it is said by the build that runs it, as with BuildKit."""
    assert only(text).rest == kept


def test_a_kept_trigger_reads_as_what_was_written():
    found = reading.parse_trigger("COPY <<-E /x\n\ta\nE", "Dockerfile", 3)
    assert found.heredocs == (Heredoc("E", "a\n", True),)


@pytest.mark.parametrize(
    ("text", "where", "words"),
    [
        ("", "Dockerfile:1", "no FROM"),
        ("ARG a\n", "Dockerfile:1", "no FROM"),
        ("\nCOPY a b\nFROM scratch\n", "Dockerfile:2", "before the first FROM"),
        ("FROM scratch\n\nCOPPY a b\n", "Dockerfile:3", "unknown instruction COPPY"),
        ("FROM scratch\nCOPY --chwon=1 a b\n", "Dockerfile:2", "unknown flag --chwon"),
        ("FROM scratch\nADD --from=a b c\n", "Dockerfile:2", "unknown flag --from"),
        ("FROM scratch\nCOPY --chown a b\n", "Dockerfile:2", "needs a value"),
        ("FROM scratch\nCOPY a\n", "Dockerfile:2", "at least two"),
        ("FROM scratch\nENV a\n", "Dockerfile:2", "two arguments"),
        ("FROM scratch\nENV a=b # c\n", "Dockerfile:2", "cannot find ="),
        ("FROM scratch\nENV A=${U:-two words}\n", "Dockerfile:2", "cannot find ="),
        ("FROM scratch\nENV =b\n", "Dockerfile:2", "blank"),
        ("FROM scratch\nARG =b\n", "Dockerfile:2", "blank"),
        ('FROM scratch\nCMD ["a", 1]\n', "Dockerfile:2", "string"),
        ("FROM scratch\nUSER\n", "Dockerfile:2", "at least one"),
        ("FROM scratch\nSHELL sh\n", "Dockerfile:2", "JSON array"),
        ("FROM scratch\nHEALTHCHECK NONE x\n", "Dockerfile:2", "no arguments"),
        ("FROM scratch\nHEALTHCHECK x\n", "Dockerfile:2", "CMD or NONE"),
        ("FROM scratch\nHEALTHCHECK CMD\n", "Dockerfile:2", "command"),
        ("FROM scratch\nHEALTHCHECK CMD\u2003x\n", "Dockerfile:2", "CMD or NONE"),
        ("FROM scratch\nHEALTHCHECK --interval=-1s CMD x\nFROM scratch\n", "Dockerfile:2", "millisecond"),
        ("FROM scratch\nHEALTHCHECK --timeout=5 CMD x\nFROM scratch\n", "Dockerfile:2", "duration"),
        ("FROM scratch\nHEALTHCHECK --retries=-1 CMD x\nFROM scratch\n", "Dockerfile:2", "number"),
        ("FROM scratch\nLABEL \\\v\n", "Dockerfile:2", "at least one"),
        ("FROM scratch\nONBUILD FROM x\n", "Dockerfile:2", "not allowed"),
        ("FROM scratch\nONBUILD CMD [1]\n", "Dockerfile:2", "string"),
        ("FROM scratch\nONBUILD ENV a\n", "Dockerfile:2", "two arguments"),
        ("FROM scratch\nONBUILD --x CMD a\n", "Dockerfile:2", "unknown flag --x"),
        ("FROM scratch\nCMD --x\n", "Dockerfile:2", "unknown flag --x"),
        ("FROM scratch\nCOPY --link=1 a b\n", "Dockerfile:2", "neither true nor false"),
        ("FROM scratch\nCOPY --link= a b\n", "Dockerfile:2", "neither true nor false"),
        ("FROM scratch\nCOPY --chown=1 --chown=1 a b\n", "Dockerfile:2", "twice"),
        ("FROM scratch\nCOPY a <<E\nE\n", "Dockerfile:2", "heredoc"),
        ("FROM scratch\nVOLUME []\n", "Dockerfile:2", "empty path"),
        ('FROM scratch\nVOLUME ["/a", " "]\n', "Dockerfile:2", "empty path"),
        ("FROM scratch\n\\\n", "Dockerfile:2", "unknown instruction"),
        ("FROM scratch\nCOPY <<A /x\nb\n", "Dockerfile:2", "unterminated"),
        ("FROM a b\n", "Dockerfile:1", "one argument, or three"),
        ("FROM a AS 1b\n", "Dockerfile:1", "invalid name"),
        ("# escape=x\nFROM a\n", "Dockerfile:1", "escape"),
        ("# escape=`\n# escape=`\nFROM a\n", "Dockerfile:2", "only one escape"),
        ("FROM a\nLABEL x=\0\n", "Dockerfile:2", "NUL"),
    ],
)
def test_an_error_names_its_line(text, where, words):
    error = refused(text)
    assert error.where == where
    assert words in str(error)


def test_a_misspelled_instruction_gets_its_nearest_name():
    assert refused("FROM scratch\nCOPPY a b\n").hint == "did you mean COPY?"


def test_a_dockerfile_over_a_mebibyte_is_refused():
    assert "larger" in str(refused("#" * (1024 * 1024 + 1)))


def test_a_missing_dockerfile_names_what_is_there(tmp_path):
    (tmp_path / "web.Dockerfile").touch()
    with pytest.raises(DockerfileError) as caught:
        reading.read(tmp_path / "Dockerfile")
    assert "web.Dockerfile" in caught.value.hint


def test_arguments_before_from_see_each_other_and_what_is_given():
    found = parse(b"ARG A=1\nARG B=x$A\nARG C\nFROM img:$B\n")
    assert global_arguments(found, {}) == {"A": "1", "B": "x1", "C": None}
    values = global_arguments(found, {"A": "2"})
    assert find_base(found, found.stages[0], values).image == "img:x2"


def test_a_blank_base_is_an_error_with_its_line():
    found = parse(b"ARG BASE\nFROM $BASE\n")
    with pytest.raises(DockerfileError) as caught:
        find_base(found, found.stages[0], global_arguments(found, {}))
    assert caught.value.where == "Dockerfile:2"


def test_only_the_stages_that_the_target_takes_are_needed():
    found = parse(
        b"FROM scratch AS a\nFROM scratch AS b\nFROM a AS c\nFROM scratch AS d\nCOPY --from=1 / /\n"
        b"FROM d AS e\nRUN --mount=type=bind,from=c,source=/ true\n"
    )
    assert [stage.name for stage in needed(found, "c", {})] == ["a", "c"]
    assert [stage.name for stage in needed(found, "D", {})] == ["b", "d"]
    assert [stage.name for stage in needed(found, None, {})] == ["a", "b", "c", "d", "e"]


def test_an_unknown_target_names_the_stages():
    found = parse(b"FROM scratch AS build\n")
    with pytest.raises(DockerfileError) as caught:
        needed(found, "biuld", {})
    assert caught.value.hint == "did you mean build?"


def test_a_stage_may_be_called_scratch():
    found = parse(b"FROM scratch AS scratch\nFROM scratch\n")
    assert find_base(found, found.stages[1], {}).stage is found.stages[0]


def test_the_name_of_a_stage_is_lower_case_for_from():
    found = parse(b"FROM scratch AS Build\nFROM Build\nFROM build\n")
    assert [find_base(found, stage, {}).stage for stage in found.stages] == [None, None, found.stages[0]]
    assert find_base(found, found.stages[1], {}).image == "Build"


def request_of(text: str, directory: Path = Path("/"), **more) -> BuildRequest:
    return BuildRequest(directory, directory / "Dockerfile", (), **more)


# What BuildKit 0.34 says was asked for each of these; the engine tests hold the two together.
@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("FROM scratch AS a\nCOPY --from=b a /x\nFROM scratch AS b\n", "2: from=b is the stage b"),
        ("FROM scratch AS a\nCOPY --from=B a /x\nFROM scratch AS b\n", "2: from=B is the stage b"),
        ("FROM scratch AS a\nCOPY --from=1 a /x\nFROM scratch AS b\n", "2: from=1 is the stage b"),
        ("FROM scratch AS a\nCOPY --from=7 a /x\n", "2: --from=7: there is no stage with that number"),
        ("FROM scratch AS a\nCOPY --from=-1 a /x\n", "2: --from=-1: there is no stage with that number"),
        ("FROM scratch AS a\nCOPY --from=a a /x\n", "2: the stage a copies from itself"),
        ("FROM scratch AS a\nCOPY --from=+0 a /x\n", "2: the stage a copies from itself"),
        ("FROM scratch AS a\nRUN --mount=from=a,target=/m x\n", "2: the stage a copies from itself"),
        ("FROM scratch AS a\nRUN --mount=type=cache,from=b,target=/m x\nFROM scratch AS b\n", "2: from=b is the"),
        ("FROM scratch AS b\nFROM scratch AS a\nCOPY --from=b a /x\nFROM scratch AS b\n", "3: from=b is the"),
        ("FROM scratch AS a\nCOPY --from=b a /\nFROM a AS b\n", "2: the stages a (line 2), b (line 3) take"),
        (
            "FROM scratch AS a\nCOPY --from=c a /\nFROM scratch AS b\nCOPY --from=0 a /\nFROM b AS c\n",
            "2: the stages a (line 2), c (line 5), b (line 4) take files from one another",
        ),
    ],
)
def test_stages_that_no_order_fits_are_an_error_with_the_line(text, says):
    with pytest.raises(StageOrderError) as caught:
        check_order(parse(text.encode()), request_of(text, target="a"))
    assert str(caught.value).startswith(f"Dockerfile:{says}")
    assert "move that stage up" in caught.value.hint


@pytest.mark.parametrize(
    "text",
    [
        "FROM b AS a\nCOPY a /x\nFROM scratch AS b\n",
        "FROM a AS a\n",
        "FROM 1 AS a\nFROM scratch\n",
        "FROM scratch AS a\nCOPY --from=99999999999999999999 a /x\n",
        "FROM scratch AS a\nRUN --mount=from=1,target=/m x\nFROM scratch AS b\n",
        "FROM scratch AS a\nCOPY --from=more a /x\nFROM scratch AS more\n",
    ],
)
def test_what_stands_for_an_image_or_a_context_is_left_alone(text):
    check_order(parse(text.encode()), request_of(text, target="a", build_contexts={"more": "/somewhere"}))


def test_the_order_of_stages_that_nothing_needs_does_not_matter_but_circles_do():
    later = "FROM scratch AS a\nCOPY --from=b a /x\nFROM scratch AS b\nFROM scratch AS c\n"
    check_order(parse(later.encode()), request_of(later))
    circle = later.replace("AS b\n", "AS b\nCOPY --from=a a /\n")
    with pytest.raises(StageOrderError, match="take files from one another"):
        check_order(parse(circle.encode()), request_of(circle))


STAGES = st.lists(st.lists(st.integers(0, 5), max_size=3), min_size=1, max_size=6)


@given(STAGES, st.booleans())
def test_stages_are_in_order_or_the_error_names_a_line_that_is_to_blame(stages, by_number):
    names = [f"s{number}" for number in range(6)]
    text, blamed = "", set()
    for number, sources in enumerate(stages):
        text += f"FROM scratch AS s{number}\n"
        for one in (one for one in sources if one < len(stages)):
            text += f"COPY --from={one if by_number else names[one]} a /\n"
            if one >= number:
                blamed.add(text.count("\n"))
    file = parse(text.encode())
    wanted = {stage.number for stage in file.stages}
    try:
        for stage in file.stages:
            check_order(file, request_of(text, target=stage.name))
    except StageOrderError as error:
        assert blamed
        lines = {
            int(found) for found in re.findall(r"Dockerfile:(\d+)|line (\d+)\)", str(error)) for found in found if found
        }
        assert lines & blamed
    else:
        assert not blamed
        assert wanted


@pytest.mark.parametrize("other", ["COPY --from=s{last} a b", "COPY --from=s0 a b", "COPY --from={last} a b"])
def test_a_file_of_many_stages_takes_steps_in_proportion(other):
    """A Dockerfile of the largest size has tens of thousands of stages; each was looked for among all others."""

    def steps(count: int) -> int:
        stages = "".join(f"FROM x AS s{n}\n{other.format(last=n - 1)}\n" for n in range(1, count))
        file = parse(f"FROM x AS s0\n{stages}".encode())
        return lines_run(lambda: check_order(file, request_of("")))

    assert steps(800) < 2.5 * steps(400)


WORDS = st.sampled_from(
    [
        *reading.FLAGS,
        *("\n", "\\\n", " ", "\t", "#", "--from=", "--chown=1", "[", "]", '"', "'", "=", "$", "{", "}", "${a:-", "<<E"),
        *("E\n", "a", "b", ".", "/", "escape=`", "syntax=", "AS", "\r", "\\", "`", "\x85", "é", "\ud800"),
    ]
)


@settings(deadline=None, max_examples=150)
@given(st.one_of(st.binary(max_size=300), st.lists(WORDS, max_size=40).map("".join)))
@example(b"FROM a\nCMD " + b"[" * 5000)
@example(b"FROM a\nCMD [" + b"1" * 5000 + b"]")
@example(b"FROM a\nLABEL a=" + b"${a:-" * 500)
def test_the_parser_raises_nothing_but_its_own_error(content):
    raw = content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass")
    with suppress(DockerfileError):
        found = parse(raw)
        if found.stages:
            needed(found, None, global_arguments(found, {}))


def test_base_images_are_those_of_all_platforms(tmp_path):
    file = parse(b"FROM r.test/$TARGETARCH/base:1 AS one\nFROM r.test/tools:$BUILDOS\nCOPY --from=one /a /a\n")
    platforms = (Platform("linux", "amd64"), Platform("linux", "arm64"))
    found = base_images(file, BuildRequest(tmp_path, tmp_path / "Dockerfile", (), platforms=platforms))
    assert [str(image) for image in found] == ["r.test/amd64/base:1", "r.test/tools:linux", "r.test/arm64/base:1"]
