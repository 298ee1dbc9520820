"""Text that others wrote shows no secret and begins no line of its own, however it comes and wherever it goes."""

from __future__ import annotations

import base64
import html
import io
import json
import re
import shlex
import traceback
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from buildpush.cli import messages, report
from buildpush.display.notebook import Notebook
from buildpush.display.plain import Plain
from buildpush.display.terminal import Terminal
from buildpush.dockerfile.request import BuildRequest
from buildpush.engines.docker import buildkit
from buildpush.foundation import secrets
from buildpush.foundation.controls import escaped, without_controls
from buildpush.foundation.errors import BuildError
from buildpush.foundation.events import Decision, Log, Note, Progress, Retry, Started
from buildpush.foundation.secrets import MASK, Secret, is_known, known_in, redact, without_partial_secret
from buildpush.foundation.text import (
    LONGEST_LINE,
    LONGEST_READ,
    Lines,
    decoded,
    lines_of,
    one_line,
    quotation,
    safe,
    shortened,
    with_margin,
    without_tags,
)
from buildpush.http.messages import Answer
from buildpush.pipeline.results import RunResult
from buildpush.pipeline.runlog import RunLog
from buildpush.places import Recorded
from buildpush.places.place import CommandResult
from buildpush.registry.client import refusal

MOST = 3  # characters of a secret in a row that may ever be seen
CONTROLS = [
    *("\x1b[0m", "\x1b[1;38;5;208m", "\x1b[2K", "\x9b31m", "\x1b]0;title\x07", "\x1b]8;;http://h/\x1b\\", "\x1b(B"),
    *("\x1b7", "\x1b=", "\x90q\x9c", "\x1bPq\x1b\\", "\x00", "\x07", "\x08", "\x7f", "\x85", "\x9c", "\r", "\x0b"),
    *("\x0c", "\x1c", "\u2028", "\u2029", "\u202a", "\u202e", "\u2066", "\u2069", "\u200b", "\u200d", "\u200e"),
    *("\u200f", "\u061c", "\u2060", "\ufeff", "\xad", "\u034f", "\ufe0f", "\U000e0061", "\x1b\x1b[0m[1m"),
]
UNENDED = ["\x1b", "\x1b[", "\x9b", "\x1b]", "\x1b(", "\x90"]
STEERING = "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff\xad\ud800-\udfff]"
# Letters of many kinds, and all that some encoding writes in another way.
values = st.text("abcXYZ019 <>&\"'`$!/\\%+=~@:;,*(){}[]|#?äß€漢😀\u2028", min_size=6, max_size=16).filter(
    lambda text: text == text.strip() and len(set(text)) > 3 and len(text.strip("*")) > 5
)


def go_json(text):
    """As Go's encoding/json writes it, for which browsers were thought of."""
    short = json.dumps(text, ensure_ascii=False)[1:-1]
    return re.sub("[<>&\u2028\u2029]", lambda found: f"\\u{ord(found[0]):04x}", short)


ENCODINGS = {
    "as it is": str,
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64 without padding": lambda text: base64.b64encode(text.encode()).decode().rstrip("="),
    "base64 for addresses": lambda text: base64.urlsafe_b64encode(text.encode()).decode().rstrip("="),
    "percent": lambda text: quote(text, safe=""),
    "percent, slash kept": quote,
    "percent in lower case": lambda text: re.sub("%..", lambda found: found[0].lower(), quote(text, safe="")),
    "form": quote_plus,
    "Go's user info": lambda text: quote(text, safe="$&+,;="),
    "Go's path": lambda text: quote(text, safe="$&+=:@"),
    "JavaScript": lambda text: quote(text, safe="!'()*"),
    "JSON": lambda text: json.dumps(text)[1:-1],
    "JSON as UTF-8": lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
    "Go's JSON": go_json,
    "JSON in JSON": lambda text: json.dumps(json.dumps(text))[1:-1],
    "Python": lambda text: repr(text)[1:-1],
    "HTML": html.escape,
    "HTML, all by number": lambda text: "".join(f"&#{ord(mark)};" for mark in text),
    "HTML, all by hexadecimal number": lambda text: "".join(f"&#x{ord(mark):X};" for mark in text),
    "Go's HTML": lambda text: html.escape(text).replace("&quot;", "&#34;").replace("&#x27;", "&#39;"),
    "HTML of JSON": lambda text: html.escape(json.dumps(text)[1:-1]),
    "a shell's word": shlex.quote,
    "octal bytes": lambda text: "".join(f"\\{byte:03o}" for byte in text.encode()),
    "base64 in a query": lambda text: quote(base64.b64encode(text.encode()).decode(), safe=""),
}
few = settings(max_examples=6, deadline=None)
ways = pytest.mark.parametrize("way", ENCODINGS)


@contextmanager
def knowing(*known):
    """Know just these secrets for a while: hypothesis runs one test many times."""
    before, secrets._known = secrets._known, secrets._KnownSecrets()
    try:
        for value in known:
            Secret(value)
        yield
    finally:
        secrets._known = before


def interrupted(text, controls):
    """Return *text* with each of the *controls*, position and text, put in: between its characters, none in another."""
    for at, control in sorted(((at % (len(text) + 1), control) for at, control in controls), reverse=True):
        text = text[:at] + control + text[at:]
    return text


def longest_seen(value, text):
    """Return the length of the longest part of *value* in *text*, as a reader may see it."""
    seen = {text, without_controls(text), html.unescape(text), without_tags(text)}
    seen |= {one.replace("\\\\", "\\") for one in seen}
    parts = ((begin, end) for begin in range(len(value)) for end in range(begin + 1, len(value) + 1))
    return max((end - begin for begin, end in parts if any(value[begin:end] in one for one in seen)), default=0)


controls = st.lists(st.tuples(st.integers(0, 200), st.sampled_from(CONTROLS)), max_size=4)


@ways
@few
@given(value=values, around=st.tuples(st.sampled_from(["", "x ", "="]), st.sampled_from(["", " y", "\n"])))
def test_a_secret_is_found_however_it_is_written(way, value, around):
    with knowing(value):
        assume(not known_in("".join(around)))
        shown = redact(around[0] + ENCODINGS[way](value) + around[1])
        assert MASK in shown
        assert longest_seen(value, shown.replace(MASK, "")) <= MOST
        assert known_in(ENCODINGS[way](value))


@ways
@few
@given(value=values, controls=controls)
def test_no_control_hides_a_secret_and_gives_it_back(way, value, controls):
    with knowing(value):
        shown = safe("< " + interrupted(ENCODINGS[way](value), controls) + " >")
        assert value not in shown
        assert longest_seen(value, shown.replace(MASK, "").strip("<> ")) <= MOST


@few
@given(
    value=values, at=st.integers(0, 30), control=st.sampled_from(["\x1b", "\x1b[", "\x9b", "\x1b]", "\x1b(", "\x90"])
)
def test_a_control_that_never_ends_swallows_no_part_of_a_secret(value, at, control):
    with knowing(value):
        shown = safe(interrupted(f"a{value}b", [(at, control)]))
        assert longest_seen(value, shown.replace(MASK, "")[1:-1]) <= MOST + 1


@few
@given(st.text("ab*x@:/ \x1b[m\n%26&#;\\u0", max_size=60), values)
def test_redacting_and_cleaning_twice_does_no_more_than_once(text, value):
    with knowing(value, "a*", "abab", "x********", "@x@x"):
        for clean in (redact, safe, one_line, quotation, with_margin):
            assert clean(clean(text)) == clean(text)


@few
@given(st.text(st.characters(), max_size=80))
def test_cleaned_text_has_no_controls_and_is_still_text(text):
    shown = safe(text)
    assert not re.search(
        "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff\xad\ud800-\udfff]", shown
    )
    shown.encode()


def test_stars_as_a_secret_do_not_grow():
    with knowing("****", "********", "a********"):
        assert redact("a****") == "a****"
        assert redact("see a******** there") == f"see {MASK} there"


@pytest.mark.parametrize("outer", ["HTML", "Go's HTML", "a shell's word"])
@pytest.mark.parametrize("inner", ["JSON", "Go's JSON", "JSON in JSON", "Python"])
@settings(max_examples=20, deadline=None)
@given(value=st.text(alphabet="ab\"\\'&<", max_size=6))
@example(value='0001"\\')
@example(value="'\\")
def test_a_secret_is_found_in_one_text_written_in_another(outer, inner, value):
    value = f"Pq7{value}Pq7\\" if value.endswith("\\") else f"Pq7{value}Pq7"
    with knowing(value):
        assert "Pq7" not in redact(f"= {ENCODINGS[outer](ENCODINGS[inner](value))} =")


@ways
@few
@given(value=values, cut=st.integers(2, 200), controls=controls)
@example(value='0001"\\', cut=7, controls=[])
def test_a_cut_shows_no_part_of_a_secret(way, value, cut, controls):
    with knowing(value):
        text = f"= {interrupted(ENCODINGS[way](value), controls)} ="
        for shorten in (quotation, one_line):
            shown = shorten(text, cut)
            assert len(shown) <= cut
            assert longest_seen(value, shown.replace(MASK, "").strip("…= ")) <= MOST


@ways
@few
@given(value=values, before=st.integers(0, 40), pieces=st.lists(st.integers(1, 30), min_size=1, max_size=5))
def test_a_long_line_in_pieces_shows_no_part_of_a_secret(way, value, before, pieces):
    with knowing(value):
        text = "." * (LONGEST_LINE - before) + ENCODINGS[way](value) + "." * 4 * LONGEST_LINE + "\nnext\n"
        shown = []
        lines = Lines(shown.append)
        at, turn = 0, 0
        while at < len(text):
            near = abs(at - LONGEST_LINE) < 100
            size = pieces[turn % len(pieces)] if near else LONGEST_LINE - 100
            lines.write(text[at : at + size])
            at, turn = at + size, turn + 1
        lines.close()
        assert shown[-1] == "next"
        assert longest_seen(value, "".join(shown[:-1]).replace(MASK, "").replace(".", "")) <= MOST
        assert max(map(len, shown)) <= LONGEST_LINE


def test_a_line_that_was_cut_ends_before_a_secret_that_begins_there():
    with knowing("hunter2-of-the-cut"):
        assert list(lines_of("10%\r20% hunter2-of-the", whole=False)) == ["10%", "20% …"]


def test_what_is_taken_from_the_end_of_a_cut_text_is_little():
    with knowing("hunter2-of-the-cut"):
        assert without_partial_secret("a password: hunter2-of-t") == "a password: "
        assert without_partial_secret("a password: hun\x1b[0mter2\x1b[3") == "a password: "
        assert without_partial_secret("a password: none at all") == "a password: none at all"


# ---- every sink


def told_by(display):
    """Return the events of foreign text that a display may be given."""

    def tell(text):
        for event in (
            Log(text),
            Note(f"server says {text}"),
            Retry(f"PUT {text}", text, 1.0, 1),
            Started("push", text),
            Decision("engine", text, text),
            Progress(text, 5, 10),
        ):
            display(event)
        display.close()

    return tell


def plain(text):
    stream = io.StringIO()
    told_by(Plain(stream, clock=lambda: 0.0))(text)
    return stream.getvalue()


def terminal(text):
    stream = io.StringIO()
    told_by(Terminal(stream))(text)
    return stream.getvalue()


def in_notebook(text):
    stream, shown = io.StringIO(), []
    display = Notebook(stream, shown.append, clock=iter(range(0, 1000, 5)).__next__)
    told_by(display)(text)
    return stream.getvalue() + "".join(map(str, shown))


def error_of(text):
    return BuildError(f"it said {text}", hint=f"look at {text}", where=text)


def error(text):
    caught = error_of(text)
    lines = "".join(traceback.format_exception_only(caught))
    return "\n".join([str(caught), repr(caught), str(caught.hint), lines, repr(caught.__dict__)])


def error_box(text, capsys):
    messages.show_error(error_of(text))
    return re.sub("\x1b\\[[0-9;]*m", "", capsys.readouterr().err)


def failing_build(text):
    request = BuildRequest(context=Path("/c"), dockerfile=Path("/c/Dockerfile"), references=())
    return str(buildkit.failure(f"#1 step\n{text}\nERROR: it broke: {text}\n", request))


def server(text):
    bodies = [
        {"errors": [{"code": "DENIED", "message": text, "detail": {"why": text, text: [text]}}]},
        {"errors": [{"status": 403, "message": text}]},
        {"error": text, "error_description": text},
        [text],
    ]
    raw = [json.dumps(body).encode() for body in bodies]
    raw += [json.dumps(body, ensure_ascii=False).encode(errors="replace") for body in bodies]
    raw += [
        text.encode(errors="replace"),
        f"<html><title>{text}</title><p>{html.escape(text)}</p>".encode(errors="replace"),
    ]
    answers = [Answer(403, {"Location": "/x"}, body, "http://h.test/v2/") for body in raw]
    return "\n".join(str(refusal(answer, "it was not accepted")) for answer in answers)


def document(text):
    result = RunResult(step=text, output=text, notes=(text,), decisions=(Decision("a", text, text),))
    shown = report.as_json({"steps": [result.as_json()], "error": messages.error_json(error_of(text))})
    return "\n".join([shown, json.dumps(json.loads(shown), ensure_ascii=False)])


def result(text):
    shown = RunResult(step=text, output=text, seconds={"build": 1.0})
    return "\n".join([str(shown), shown._repr_html_(), shown._repr_markdown_()])


def log_file(text):
    log = RunLog()
    with TemporaryDirectory() as directory:
        path = Path(directory, "log")
        with log.engine_log(path.open("w", encoding="utf-8")):
            log(Log(text))
        written = path.read_text(encoding="utf-8")
    log(Note(text))
    log(Decision("a", text, text))
    return "\n".join([written, *log.notes, *(f"{one.choice} {one.reason}" for one in log.decisions)])


def program(text):
    shown = []
    Recorded([CommandResult(1, f"{text}\n", text)]).run(["x"], stream=shown.append)
    return "\n".join(shown)


SINKS = (plain, terminal, in_notebook, error, failing_build, server, document, result, log_file, program)
sinks = pytest.mark.parametrize("sink", SINKS)


@sinks
@pytest.mark.parametrize("way", ["as it is", "JSON", "Go's JSON", "percent in lower case", "HTML", "a shell's word"])
@few
@given(value=values, controls=controls)
@example(value="00'019", controls=[(6, "\x85")])
@example(value="<?>000", controls=[])
@example(value="><a>00", controls=[(1, "\x1b\x1b[0m[1m")])
def test_no_sink_shows_a_secret(sink, way, value, controls):
    value = f"{value}Pq7"  # what all of the sinks' own words have not in them
    with knowing(value):
        shown = sink(interrupted(ENCODINGS[way](value), controls))
        seen = re.sub(r"\*+", "*", shown)
        for begin in range(len(value) - 5):
            part = value[begin : begin + 6]
            if not (set(part) <= set(" */\\.,:;{}[]()\"'=|<>&") or part in sink("")):
                assert part not in seen
                assert part not in without_controls(seen)


FORGED = [
    "hint: run this",
    "error: gone",
    "note: all is well",
    "::error::x",
    "::add-mask::e",
    "##vso[task.x]y",
    "##[error]z",
]
FORGED += ["##teamcity[x]", "section_start:1:x\r\x1b[0K", "##VSO[a]b"]
LINE_ENDS = [
    "\n",
    "\r",
    "\r\n",
    "\x0b",
    "\x0c",
    "\x1c",
    "\x1d",
    "\x1e",
    "\x85",
    "\u2028",
    "\u2029",
    "\n\x1b[0m",
    "\x1b[2K\r",
]


@pytest.mark.parametrize("sink", [plain, terminal, in_notebook, error, failing_build, server, result, log_file])
@pytest.mark.parametrize("end", LINE_ENDS)
@pytest.mark.parametrize("forged", FORGED)
def test_foreign_text_begins_no_line_and_is_no_command(sink, end, forged):
    shown = sink(f"x{end}{forged}{end}  {forged}")
    assert "x" in shown
    command = re.compile(
        r"^\s*(?:hint|error|note|::)|##(?:vso|teamcity)?\[|section_start:1:x\r", re.MULTILINE | re.IGNORECASE
    )
    if sink is failing_build:
        shown = re.sub(r"(?m)\Aerror", "", shown)
    for line in re.split("[\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]", shown):
        assert line.startswith(("note: server says x", "hint: look at x")) or not command.match(line), line


@pytest.mark.parametrize("forged", FORGED)
def test_the_box_of_an_error_is_not_forged(forged, capsys):
    shown = error_box(f"x\n{forged}\r{forged}", capsys).splitlines()
    assert [line.partition(":")[0] for line in shown if not line.startswith("  | ")] == ["error", "hint"]
    assert not [line for line in shown if "##[" in line or "##vso[" in line.lower()]


def test_lines_of_a_detail_stand_behind_a_margin_once():
    inner = BuildError("it broke:\none\n\ntwo")
    assert str(inner) == "it broke:\n  | one\n  | two"
    assert str(BuildError(f"again: {inner}")) == f"again: {inner}"


def test_what_overwrites_itself_on_a_terminal_is_shown_as_lines():
    assert list(lines_of("10%\r50%\r100%\r")) == ["10%", "50%", "100%"]


def test_a_document_keeps_its_texts_and_shows_no_controls():
    text = "a\u202eb\x9bc\x7f\ud800\U000e0061"
    shown = escaped(json.dumps([text], ensure_ascii=False))
    assert shown.isascii()
    assert json.loads(shown) == [text]


def test_a_value_that_is_written_otherwise_is_known_as_a_whole():
    Secret("pa ss/w&rd")
    assert is_known("pa%20ss%2Fw%26rd")
    assert not is_known("pa%20ss")


# ---- each function by itself


def test_bytes_that_are_no_text_are_marked_and_half_a_character_waits_for_its_end():
    assert decoded(b"\xff") == "\ufffd"
    assert decoded(b"a\xc3") == "a\ufffd"
    assert decoded(b"a\xc3", whole=False) == "a"
    assert decoded(b"a\xc3\xa4") == "a\u00e4"


def test_ends_of_lines_become_blanks_and_other_blanks_stay():
    assert one_line("a  b\nc\n\nd") == "a  b c  d"
    assert one_line("a  b") == "a  b"
    assert one_line("a\r\nb") == "a b"
    assert quotation("  a  b\n\nc ") == "a b c"


def test_a_text_is_cut_where_it_is_longer_than_it_may_be():
    assert shortened("abc", 3) == "abc"
    assert shortened("abcd", 3) == "ab\u2026"
    assert one_line("abcd", 3) == quotation("abcd", 3) == "ab\u2026"


def test_only_lines_behind_the_first_stand_behind_a_margin():
    assert with_margin("a") == "a"
    assert with_margin("a \nb\n\n  | c \n\n") == "a\n  | b\n  | c"
    assert with_margin("\na") == "\n  | a"
    assert with_margin("x" * (LONGEST_LINE + 1)) == "x" * (LONGEST_LINE - 1) + "\u2026"


def test_of_a_page_what_a_reader_sees_is_left():
    assert without_tags("a<b>c</b>&amp;d<!-- e -->f<style>g</style>h<script>i") == "ac&dfh"
    assert without_tags("a<br>c&lt;d", " ") == "a c<d"


def test_what_overwrites_itself_stands_in_lines_of_its_own():
    assert list(lines_of("XaX")) == ["XaX"]
    assert list(lines_of("a\rb\r")) == ["a", "b"]
    assert list(lines_of("x" * (LONGEST_LINE + 1))) == ["x" * (LONGEST_LINE - 1) + "\u2026"]


def test_lines_are_shown_when_they_end_and_the_last_one_at_the_end():
    shown = []
    lines = Lines(shown.append)
    lines.write("a")
    lines.write("b\nc\n\nd")
    lines.flush()
    assert shown == ["ab", "c", ""]
    lines.close()
    lines.close()
    assert shown == ["ab", "c", "", "d"]
    lines.write("e\n")
    assert shown[4:] == ["e"]


def test_of_a_line_that_is_too_long_the_beginning_is_shown_and_the_next_line_again():
    shown = []
    lines = Lines(shown.append)
    for _ in range(3):
        lines.write("x" * (LONGEST_READ + 1))
    lines.write("y\nz\n")
    assert shown == ["x" * (LONGEST_LINE - 1) + "\u2026", "z"]


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x9b31mred", "red"),
        ("\x1b]0;title\x07a\x1b]8;;\x1b\\b\x9dc\x9cd", "abd"),
        ("\x1bPq\x1b\\a\x1b(Bb\x1b7c\x1bMd", "abcd"),
        ("\x1b[", ""),
        ("\x1b[3", ""),
        ("\x1b]never ends", "]never ends"),
        ("a\r\nb\rc\x0bd\x0ce\x85f\u2028g\u2029h", "a\nb\nc\nd\ne\nf\ng\nh"),
        ("a\tb", "a\tb"),
        ("a\u200b\u202e\ufeff\U000e0041b\x00\x7f", "ab"),
        ("a\ud800b", "a\ufffdb"),
        ("\x1b\u200b[31mred", "red"),
        ("\x1b\x1b[31m[31mred", "red"),
        ("\u00e4", "\u00e4"),
    ],
)
def test_text_without_controls_is_what_a_reader_sees(text, seen):
    assert without_controls(text) == seen


def test_controls_that_hide_in_one_another_without_end_are_read_as_text_in_the_end():
    deep = "\x1b" * 40 + "[1m" * 40
    assert without_controls(deep) == "[1m" * 24


def test_controls_in_a_document_are_written_as_json_writes_them():
    assert escaped("a\x1b\u200b\U000e0041\ud800\t") == "a\\u001b\\u200b\\udb40\\udc41\\ud800\t"
