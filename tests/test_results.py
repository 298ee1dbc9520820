"""How a result shows itself: escaped, and with no secret in it."""

from __future__ import annotations

import json
import re
from pathlib import Path

from buildpush.foundation.events import Decision, Note, Traffic
from buildpush.foundation.secrets import MASK, Secret
from buildpush.pipeline.results import PipelineResult, RunResult
from buildpush.pipeline.runlog import RunLog

SECRET = "planted-in-a-result"


def test_html_is_escaped():
    shown = RunResult(step="<script>alert(1)</script>")._repr_html_()
    assert "<script>" not in shown
    assert "&lt;script&gt;" in shown


def test_a_cell_of_markdown_stays_one_cell():
    shown = RunResult(step="a|b\\|c\nd <b>")._repr_markdown_()
    assert r"| step | a\|b\\\|c d &lt;b> |" in shown.splitlines()


def test_what_a_push_moved_and_spent_is_told_to_people_and_programs():
    traffic = Traffic(2_000_000, 1_500_000, 500_000, 0, 7_000, {"compress": 1.26, "send": 0.5})
    log = RunLog(lambda _: None)
    log(traffic)
    result = RunResult(step="s", traffic=log.traffic)

    rows = dict(result.rows())
    for words in ("read", "sent", "of it again", "already there"):
        assert words in rows["moved"]
    assert "mounted" not in rows["moved"]
    assert rows["spent"] == "compress 1.3 s, send 0.5 s (all threads)"
    assert result.as_json()["traffic"]["again"] == 500_000
    assert result.as_json()["traffic"]["seconds"] == {"compress": 1.26, "send": 0.5}
    assert RunResult(step="s").as_json()["traffic"] is None


def test_all_names_of_an_image_in_the_daemon_are_shown_and_the_archive_beside_it():
    loaded = ("docker-daemon:h.test/a:1", "docker-daemon:h.test/a:2")
    result = RunResult(step="s", output="docker-archive:a.tar", loaded=loaded)
    assert [text for name, text in result.rows() if name == "written"] == [*loaded, "docker-archive:a.tar"]
    assert ", ".join([*loaded, "docker-archive:a.tar"]) in PipelineResult((result,))._repr_html_()
    assert result.as_json()["loaded"] == [*loaded]
    result = RunResult(step="s", output=loaded[0], loaded=loaded)
    assert [text for name, text in result.rows() if name == "written"] == [*loaded]


def test_no_form_of_a_result_tells_a_secret():
    Secret(SECRET)
    log = RunLog(lambda _: None)
    log(Note(f"said {SECRET}"))
    log(Decision("engine", "native", f"because {SECRET}"))
    decisions, notes = tuple(log.decisions), tuple(log.notes)
    result = RunResult(step=SECRET, output=SECRET, decisions=decisions, notes=notes)

    forms = [str(result), result._repr_html_(), result._repr_markdown_(), json.dumps(result.as_json()), repr(notes)]
    forms.append(repr(decisions))
    assert not [form for form in forms if SECRET in form]
    assert all(MASK in form.replace("\\", "") for form in forms)  # Markdown escapes each star


def test_every_key_of_the_receipt_is_explained_in_the_docs():
    page = (Path(__file__).parents[1] / "docs" / "command-line.md").read_text(encoding="utf-8")
    table = page.partition("| key of a receipt |")[2]
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == list(RunResult(step="s").as_json())


def test_the_timeline_shows_what_ran_at_the_same_time_beside_each_other():
    steps = (
        RunResult(step="a", begun=100.0, seconds={"build": 5.0}),
        RunResult(step="b", begun=101.0, seconds={"build": 9.0}),
        RunResult(step="c", begun=110.0, skipped="no"),
    )
    shown = PipelineResult(steps)._repr_html_()
    assert "time, of 10.0 s" in shown
    bars = re.findall(
        r'(?:width:([0-9.]+)em"></div>)?<div style="display:inline-block;height:.45em;width:([0-9.]+)em', shown
    )
    assert bars == [("", "4.50"), ("0.90", "8.10")]
