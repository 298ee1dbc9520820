"""Failure strategies as they are written, and which of them counts."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildpush.foundation.documents import parse_yaml
from buildpush.foundation.errors import SourceError
from buildpush.settings.failures import _ERRORS, ACTIONS, FailureAction, FailureStrategy, choose, read_strategies
from buildpush.settings.written import Origin


def read(text):
    node = parse_yaml(text, "p.yml")
    return read_strategies(node.raw(), Origin("file", node.where, "", parts=dict(node.places())))


def entry(action, errors="[AllErrors]"):
    return f"- onFailure: {{errors: {errors}, action: {action}}}"


def action_of(text):
    return read(entry(text))[0].action


def test_a_retry_is_read_whole():
    (found,) = read("""\
- onFailure:
    errors: [Timeout, Connectivity]
    action:
      type: Retry
      spec:
        retryCount: 3
        retryIntervals: [10s, 1m]
        onRetryFailure:
          action:
            type: MarkAsFailure
""")
    assert found.errors == {"Timeout", "Connectivity"}
    assert (found.action.type, found.action.retries, found.action.then.type) == ("Retry", 3, "MarkAsFailure")
    assert [found.action.wait(attempt).total_seconds() for attempt in (1, 2, 3)] == [10, 60, 60]


def test_a_retry_without_intervals_waits_for_nothing():
    assert action_of("{type: Retry, spec: {retryCount: 2}}").wait(2) == timedelta()


def test_an_intervention_has_a_time_and_what_follows_it():
    found = action_of("{type: ManualIntervention, spec: {timeout: 1h 30m, onTimeout: {action: {type: Abort}}}}")
    assert (found.timeout, found.then.type) == (timedelta(minutes=90), "Abort")


@pytest.mark.parametrize(
    "text",
    [
        entry("{type: ManualIntervention, spec: {timeout: 1h, availableActions: [Retry, MarkAsSuccess]}}"),
        "on-failure: {action: {manual-intervention: {timeout: 1h, available-actions: [retry, success]}}}",
        "on-failure: {action: {manual-intervention: {timeout: 1h, available-actions: [{retry: {}}, {success: {}}]}}}",
    ],
)
def test_an_intervention_may_limit_the_answers(text):
    assert read(text)[0].action.answers == ("Retry", "MarkAsSuccess")


def test_an_intervention_after_retries_has_a_day():
    text = "{type: Retry, spec: {retryCount: 1, onRetryFailure: {action: {type: ManualIntervention}}}}"
    assert action_of(text).then.timeout == timedelta(days=1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{a: b}", "failureStrategies is a list"),
        ("- a", "takes|is a map of onFailure"),
        ("- onFailure: {action: {type: Ignore}}", "errors is a list"),
        (entry("{type: Ignore}", "[Timeot]"), "'Timeot' is not the name of an error type"),
        (entry("{type: Retri}"), "'Retri' is not the name of an action"),
        (entry("{type: Retry}"), "retryCount is missing"),
        (entry("{type: Retry, spec: {retryCount: many}}"), "retryCount is 'many', and takes a whole number"),
        (entry("{type: Retry, spec: {retryCount: 10000}}"), "retryCount is '10000', and 9999 is the maximum"),
        (entry("{type: Retry, spec: {retryCount: 1, retryIntervals: 10s}}"), "retryIntervals takes a list"),
        (entry("{type: Retry, spec: {retryCount: 1, retryIntervals: [5s]}}"), "shorter than 10 seconds"),
        (entry("{type: Ignore, spec: {retryCount: 1}}"), "unknown key 'retryCount'"),
        (entry("{type: ManualIntervention}"), "does not have a timeout"),
        (entry("{type: Ignore, spec: {failAll: true}}"), "unknown key 'failAll'"),
        (entry("{type: Abort, spec: {failAll: maybe}}"), "failAll is 'maybe'"),
        (entry("{type: Abort, spec: {fail-all: true}}"), "unknown key 'fail-all'"),
        (entry("{type: ManualIntervention, spec: {timeout: 1h, availableActions: Retry}}"), "availableActions takes a"),
        (
            entry("{type: ManualIntervention, spec: {timeout: 1h, availableActions: [Retri]}}"),
            "'Retri' is not the name",
        ),
        (
            entry(
                "{type: Retry, spec: {retryCount: 1, onRetryFailure: {action: {type: Retry, spec: {retryCount: 1}}}}}"
            ),
            "a retry cannot follow a retry",
        ),
    ],
)
def test_what_is_no_failure_strategy_is_refused_with_its_place(text, message):
    with pytest.raises(SourceError, match=message) as caught:
        read(text)
    assert caught.value.where.startswith("p.yml:1:")
    assert caught.value.hint


def test_a_retry_of_the_group_has_a_count_and_intervals():
    (strategy,) = read(entry("{type: RetryStepGroup, spec: {retryCount: 2, retryIntervals: [10s, 1m]}}"))
    assert strategy.action.retries == 2
    assert [strategy.action.wait(number).total_seconds() for number in (1, 2, 3)] == [10, 60, 60]
    with pytest.raises(SourceError, match="unknown key 'onRetryFailure'"):
        read(entry("{type: RetryStepGroup, spec: {retryCount: 1, onRetryFailure: {action: {type: Ignore}}}}"))


@pytest.mark.parametrize(("name", "row"), ACTIONS.items())
def test_every_action_is_on_the_page_by_each_of_its_names(name, row):
    page = (Path(__file__).parents[2] / "docs" / "errors.md").read_text(encoding="utf-8")
    older, _, newer = page.partition("In the newer form")
    assert f"`{name}`" in older
    assert f"`{row.newer}`" in newer or not row.newer
    assert f"`{row.answer}`" in older or not row.answer


# The newer form


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("all", "AllErrors"),
        ("unknown", "Unknown"),
        ("authentication", "Authentication"),
        ("authorization", "Authorization"),
        ("connectivity", "Connectivity"),
        ("timeout", "Timeout"),
        ("verification", "Verification"),
        ("delegate-provisioning", "DelegateProvisioning"),
        ("delegate-restart", "DelegateRestart"),
        ("policy-evaluation", "PolicyEvaluationFailure"),
        ("input-timeout", "InputTimeoutError"),
        ("approval-rejection", "ApprovalRejection"),
        ("user-mark-fail", "UserMarkedFailure"),
    ],
)
@pytest.mark.parametrize("written", ["[{}]", "{}"])
def test_an_error_type_has_its_name_in_the_newer_form(name, kind, written):
    (found,) = read(f"on-failure: {{errors: {written.format(name)}, action: ignore}}")
    assert found.errors == {kind}


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("ignore", "Ignore"),
        ("success", "MarkAsSuccess"),
        ("fail", "MarkAsFailure"),
        ("abort", "Abort"),
        ("stage-rollback", "StageRollback"),
        ("pipeline-rollback", "PipelineRollback"),
        ("proceed-with-default", "ProceedWithDefaultValues"),
    ],
)
@pytest.mark.parametrize(
    "written", ["{}", "{{{}: {{}}}}", "{{{}: true}}", "{{type: {}}}", "{{{}: {{}}, fail-all: false}}"]
)
def test_an_action_has_its_name_in_the_newer_form(name, kind, written):
    (found,) = read(f"on-failure: [{{action: {written.format(name)}}}]")
    assert (found.errors, found.action.type) == ({"AllErrors"}, kind)


def test_a_retry_of_the_newer_form_is_read_whole():
    text = "on-failure: {errors: [timeout], action: {retry: {attempts: 3, interval: [10s, 1m], failure-action: fail}}}"
    (found,) = read(text)
    assert (found.action.type, found.action.retries, found.action.then.type) == ("Retry", 3, "MarkAsFailure")
    assert [found.action.wait(attempt).total_seconds() for attempt in (1, 2, 3)] == [10, 60, 60]


@pytest.mark.parametrize("interval", ["10s", "'[10s]'"])
def test_an_interval_of_the_newer_form_may_be_one(interval):
    (found,) = read(f"on-failure: {{action: {{retry-step-group: {{attempts: 2, interval: {interval}}}}}}}")
    assert (found.action.type, found.action.wait(2).total_seconds()) == ("RetryStepGroup", 10)


def test_an_intervention_of_the_newer_form_is_read_whole():
    asked = "{manual-intervention: {timeout: 1h, timeout-action: {retry-step-group: {attempts: 1}}}}"
    (found,) = read(f"on-failure: {{action: {asked}}}")
    assert (found.action.timeout, found.action.then.type) == (timedelta(hours=1), "RetryStepGroup")


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("{errors: [Timeout], action: ignore}", "'Timeout' is not the name of an error type", "'timeout'"),
        ("{errors: all, action: Abort}", "'Abort' is not the name of an action", "'abort'"),
        ("{errors: all}", "'' is not the name of an action", "write one of retry, ignore"),
        ("{action: {ignore: {}, abort: {}}}", "this has ignore and abort", "keep one"),
        ("{action: {fail-all: false}}", "this has none", "keep one"),
        ("{action: {ignore: {}, fail-all: true}}", "fail-all has no effect: after ignore the run", "write fail"),
        ("{action: {fail: {}, fail-all: maybe}}", "fail-all is 'maybe'", "true or false"),
        ("{exitcode: many, action: ignore}", "exitcode has 'many', which is not an exit code", "3, 124"),
        ("{exit-code: [3, 256], action: ignore}", "exit-code has '256', which is not an exit code", "3, 124"),
        ("{exit-code: [[3]], action: ignore}", r"exit-code has \['3'\]", "3, 124"),
        ("{exitcode: 0, action: ignore}", "exitcode has '0'", "3, 124"),
        ("{exitcode: 3, exit-code: 4, action: ignore}", "exitcode and exit-code mean the same", "keep one"),
        ("{action: retry}", "attempts is missing", "such as 3"),
        ("{action: {retry: {retryCount: 1}}}", "unknown key 'retryCount'", "attempts"),
        ("{action: {retry: {attempts: 1, interval: 5s}}}", "shorter than 10 seconds", "10s"),
        ("{action: manual-intervention}", "manual-intervention does not have a timeout", "timeout: 1h"),
        (
            "{action: {retry: {attempts: 1, failure-action: {retry: {attempts: 1}}}}}",
            "a retry cannot follow",
            "write one of ignore, success, fail, abort",
        ),
        ("{errors: '[', action: ignore}", "errors is not a list", "JSON"),
        ("{errors: [], action: ignore}", "errors is a list of error types", "all"),
        ("{action: {type: ignore, abort: {}}}", "abort has no effect here", "the action's name"),
        ("{action: {retry: {attempts: 1}, spec: {attempts: 2}}}", "spec has no effect here", "the action's name"),
        ("{action: {ignore: {attempts: 1}}}", "unknown key 'attempts'", "leave it out"),
        ("a", "on-failure is a map of errors", "indentation"),
    ],
)
def test_what_is_no_strategy_of_the_newer_form_is_refused_in_its_words(text, message, hint):
    with pytest.raises(SourceError, match=message) as caught:
        read(f"on-failure: {text}")
    assert hint in caught.value.hint
    assert caught.value.where.startswith("p.yml:1:")


@pytest.mark.parametrize(
    "text",
    [
        entry("{type: PipelineRollback, spec: {failAll: true}}"),
        entry("{type: MarkAsFailure, spec: {failAll: 'True'}}"),
        entry("{type: Retry, spec: {retryCount: 1, failAll: true}}"),
        entry("{type: ManualIntervention, spec: {timeout: 1h, failAll: true}}"),
        entry("{type: RetryStepGroup, spec: {retryCount: 1, failAll: true}}"),
        "on-failure: {action: {fail: {}, fail-all: true}}",
        "on-failure: {action: {retry: {attempts: 1}, fail-all: true}}",
        "on-failure: {action: {type: fail, fail-all: true}}",
    ],
)
def test_an_action_may_fail_all(text):
    assert read(text)[0].action.fail_all
    assert not read(text.replace("true", "false").replace("True", "false"))[0].action.fail_all


@pytest.mark.parametrize(
    ("codes", "chosen"), [("3", {3}), ("[3, 124]", {3, 124}), ("'[3]'", {3}), ("''", {3, 5, 124}), ("[]", {3, 5, 124})]
)
@pytest.mark.parametrize("key", ["exitcode", "exit-code"])
def test_an_entry_of_the_newer_form_may_be_for_some_exit_codes(key, codes, chosen):
    (found,) = read(f"on-failure: {{errors: [unknown], {key}: {codes}, action: ignore}}")
    types = frozenset({"Unknown"})
    assert {code for code in (3, 5, 124) if choose(((found,),), types, code)} == chosen
    assert choose(((found,),), frozenset({"Timeout"}), 3) is None


def entries(*pairs):
    return tuple(FailureStrategy(frozenset(errors), FailureAction(kind)) for kind, errors in pairs)


STEP = entries(("Retry", {"Timeout"}), ("Abort", {"Timeout", "Connectivity"}))
GROUP = entries(("Ignore", {"Connectivity", "Authentication"}))
STAGE = entries(("MarkAsFailure", {"AllErrors"}))


@pytest.mark.parametrize(
    ("types", "action"),
    [
        ({"Timeout"}, "Retry"),
        ({"Connectivity"}, "Abort"),
        ({"Authentication"}, "Ignore"),
        ({"Unknown"}, "MarkAsFailure"),
        ({"Timeout", "Authentication"}, "Retry"),
    ],
)
def test_the_first_entry_of_the_nearest_list_counts(types, action):
    assert choose((STEP, GROUP, STAGE), frozenset(types)).type == action


def test_without_a_fitting_entry_nothing_is_chosen():
    assert choose((STEP, (), GROUP), frozenset({"Unknown"})) is None


ENTRIES = st.lists(
    st.builds(FailureStrategy, st.frozensets(st.sampled_from(_ERRORS)), st.just(FailureAction("Ignore")))
)


@given(st.lists(ENTRIES), st.frozensets(st.sampled_from(_ERRORS), min_size=1))
def test_what_is_chosen_fits_and_nothing_before_it_does(lists, types):
    found = choose(lists, types)
    whole = [one for entries in lists for one in entries]
    fitting = [one for one in whole if one.errors & (types | {"AllErrors"})]
    assert found == (fitting[0].action if fitting else None)
