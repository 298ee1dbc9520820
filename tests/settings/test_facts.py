"""What names stand for, and who is asked first."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from buildpush.expressions import ci as systems
from buildpush.expressions.builtin import BUILT_IN
from buildpush.expressions.ci import ci, files, revision_of
from buildpush.expressions.ci_systems import CI_SYSTEMS, CiSystem
from buildpush.expressions.evaluate import AbsentError, evaluate
from buildpush.expressions.facts import Counter, Facts, Git, Vcs, vcs
from buildpush.foundation.errors import EngineMissingError, ExpressionError, SecretError, SettingsError
from buildpush.foundation.secrets import Secret
from buildpush.places import CommandResult, Here, Recorded

REVISION = "0123456789abcdef0123456789abcdef01234567"
REPOSITORY = {
    ("rev-parse", "--show-toplevel"): "/src/shop",
    ("rev-parse", "--verify", "--quiet", "HEAD"): REVISION,
    ("symbolic-ref", "--quiet", "--short", "HEAD"): "feature/lane",
    ("log", "-1", "--format=%B"): "Open the shop\n\nAt last.",
    ("log", "-1", "--format=%an"): "Ada",
    ("log", "-1", "--format=%ae"): "ada@example.com",
    ("config", "--get", "remote.origin.url"): "https://ada:hunter22@git.example.com/shop.git",
    ("config", "user.name"): "Ada L.",
}


def git(answers=REPOSITORY):
    def answer(call):
        words = call.argv[call.argv.index("--no-pager") + 1 :]
        return (
            CommandResult(0, answers[words] + "\n")
            if words in answers
            else CommandResult(128, "", "fatal: not a git repository")
        )

    return Git(Recorded(answer), Path("/src/shop"))


def test_a_directory_of_the_same_repository_is_asked_about_once():
    repository = git({("rev-parse", "--show-toplevel"): "/src"})

    assert repository.at(Path("/src/shop/web")) is repository.at(Path("/src/shop/web")) is repository
    assert len(repository.place.calls) == 2


def nobody(identifier):
    message = f"no secret {identifier}"
    raise SecretError(message)


@pytest.fixture
def facts(tmp_path):
    def make(env=None, *, answers=REPOSITORY, dry=False, **more):
        ids = iter(["first", "second"])
        return Facts(
            env or {}, git(answers), Counter(tmp_path, dry=dry), 1700000000.5, nobody, new_id=lambda: next(ids), **more
        )

    return make


FROM_GIT = {
    "codebase.branch": "feature/lane",
    "codebase.commitSha": REVISION,
    "codebase.shortCommitSha": "0123456",
    "codebase.commitRef": "refs/heads/feature/lane",
    "codebase.commitMessage": "Open the shop\n\nAt last.",
    "codebase.tag": "",
    "codebase.repoUrl": "https://git.example.com/shop.git",
    "codebase.build.type": "branch",
    "codebase.prNumber": "",
    "codebase.gitUser": "Ada",
    "codebase.gitUserEmail": "ada@example.com",
    "pipeline.name": "shop",
    "pipeline.identifier": "shop",
    "pipeline.executionId": "first",
    "pipeline.executionUrl": "",
    "pipeline.executionMode": "NORMAL",
    "pipeline.startTs": 1700000000500,
    "pipeline.triggerType": "MANUAL",
    "pipeline.triggeredBy.name": "Ada L.",
    "pipeline.sequenceId": 1,
    "pipeline.branchSeqId": 1,
}

FROM_CI = [
    ({"HARNESS_BUILD_ID": "7", "BUILD_NUMBER": "8"}, "pipeline.sequenceId", 7),
    ({"GITHUB_RUN_NUMBER": "12"}, "pipeline.sequenceId", 12),
    ({"CI_PIPELINE_IID": "13"}, "pipeline.sequenceId", 13),
    ({"BUILD_NUMBER": "14"}, "pipeline.sequenceId", 14),
    ({"BUILD_NUMBER": "1.4-beta"}, "pipeline.sequenceId", "1.4-beta"),
    ({"DRONE_BUILD_NUMBER": "15"}, "pipeline.sequenceId", 15),
    ({"BUILD_BUILDID": "16"}, "pipeline.sequenceId", 16),
    ({"HARNESS_PIPELINE_ID": "Deploy_Site"}, "pipeline.name", "Deploy_Site"),
    ({"GITHUB_RUN_ID": "99"}, "pipeline.executionId", "99"),
    ({"CI_JOB_URL": "https://ci.example.com/j/1"}, "pipeline.executionUrl", "https://ci.example.com/j/1"),
    (
        {"GITHUB_RUN_ID": "99", "GITHUB_REPOSITORY": "a/b", "GITHUB_SERVER_URL": "https://gh.example.com/"},
        "pipeline.executionUrl",
        "https://gh.example.com/a/b/actions/runs/99",
    ),
    (
        {"SYSTEM_COLLECTIONURI": "https://dev/acme/", "SYSTEM_TEAMPROJECT": "shop", "BUILD_BUILDID": "3"},
        "pipeline.executionUrl",
        "https://dev/acme/shop/_build/results?buildId=3",
    ),
    ({"GITHUB_EVENT_NAME": "schedule"}, "pipeline.triggerType", "SCHEDULER_CRON"),
    ({"GITHUB_EVENT_NAME": "push"}, "pipeline.triggerType", "WEBHOOK"),
    ({"GITHUB_ACTOR": "octo"}, "pipeline.triggeredBy.name", "octo"),
    ({"DRONE_COMMIT_BRANCH": "main"}, "codebase.branch", "main"),
    ({"GITHUB_REF_TYPE": "branch", "GITHUB_REF_NAME": "main"}, "codebase.branch", "main"),
    ({"GITHUB_HEAD_REF": "fix"}, "codebase.branch", "fix"),
    ({"GIT_BRANCH": "origin/main"}, "codebase.branch", "main"),
    ({"BUILD_SOURCEBRANCH": "refs/heads/a/b"}, "codebase.branch", "a/b"),
    ({"GITHUB_REF_TYPE": "tag", "GITHUB_REF_NAME": "v1"}, "codebase.tag", "v1"),
    ({"BUILD_SOURCEBRANCH": "refs/tags/v2"}, "codebase.tag", "v2"),
    ({"DRONE_TAG": "v3"}, "codebase.build.type", "tag"),
    ({"DRONE_TAG": "v3"}, "codebase.commitRef", "refs/tags/v3"),
    ({"DRONE_PULL_REQUEST": "5"}, "codebase.prNumber", "5"),
    ({"DRONE_PULL_REQUEST": "5"}, "codebase.build.type", "PR"),
    ({"GIT_URL": "https://u:p@git.example.com/x"}, "codebase.repoUrl", "https://git.example.com/x"),
    ({"HARNESS_ACCOUNT_ID": "acc"}, "account.identifier", "acc"),
    ({"HARNESS_PROJECT_ID": "shop"}, "project.identifier", "shop"),
    ({"HARNESS_STAGE_ID": "build"}, "stage.identifier", "build"),
    ({"PORT": "8080"}, "env.PORT", "8080"),
]


@pytest.mark.parametrize("name", FROM_GIT)
def test_without_a_ci_system_git_and_the_machine_answer(facts, name):
    assert evaluate(f"<+{name}>", facts()) == FROM_GIT[name]


@pytest.mark.parametrize(("env", "name", "value"), FROM_CI)
def test_variables_of_ci_systems_come_first(facts, env, name, value):
    assert evaluate(f"<+{name}>", facts(env)) == value


def test_what_the_file_says_comes_before_that(facts):
    known = facts({"HARNESS_PIPELINE_ID": "x"}, written={"pipeline.name": "Site", "step.name": "Build"})
    assert evaluate("<+pipeline.name> <+step.name>", known) == "Site Build"


def test_and_what_flags_and_loops_say_before_all(facts):
    known = facts({"HARNESS_BUILD_ID": "7"}).within({"pipeline": {"sequenceId": 9}, "matrix": {"os": "linux"}})
    assert evaluate("<+pipeline.sequenceId>-<+matrix.os>", known) == "9-linux"


def test_a_flag_names_a_variable_with_or_without_its_path(facts):
    known = facts(
        written={"pipeline.variables.v": "file", "variable.w": "file"}, inputs={"v": "flag", "variable.w": "flag"}
    )
    assert evaluate("<+pipeline.variables.v> <+variable.w>", known) == "flag flag"
    assert evaluate("<+pipeline.sequenceId>", facts(inputs={"pipeline.sequenceId": "5"})) == "5"


class TestVariables:
    def test_a_variable_may_hold_an_expression(self, facts):
        known = facts(
            written={"pipeline.variables.v": "<+stage.variables.w>!", "stage.variables.w": "<+codebase.tag>w"}
        )
        assert evaluate("<+pipeline.variables.v>", known) == "w!"

    def test_variables_that_need_each_other_are_an_error(self, facts):
        known = facts(
            written={
                "pipeline.variables.a": "<+pipeline.variables.b>",
                "pipeline.variables.b": "<+pipeline.variables.a>",
            }
        )
        with pytest.raises(
            ExpressionError, match=r"pipeline.variables.a -> pipeline.variables.b -> pipeline.variables.a"
        ):
            evaluate("<+pipeline.variables.a>", known)

    def test_many_variables_of_variables_do_not_take_forever(self, facts):
        written = {f"variable.v{n}": f"<+variable.v{n + 1}><+variable.v{n + 1}>" for n in range(12)}
        assert evaluate("<+variable.v0>", facts(written={**written, "variable.v12": "x"})) == "x" * 4096

    def test_values_of_loops_and_of_the_environment_are_never_evaluated(self, facts):
        known = facts({"BRANCH": "<+pipeline.name>"}).within({"matrix": {"os": "<+pipeline.name>"}})
        assert evaluate("<+env.BRANCH> <+matrix.os>", known) == "<+pipeline.name> <+pipeline.name>"

    def test_a_variable_that_asks_is_given_its_input(self, facts):
        known = facts(
            written={"pipeline.variables.v": "<+input>.allowedValues(a,b)"}, inputs={"pipeline.variables.v": "b"}
        )
        assert evaluate("<+pipeline.variables.v>", known) == "b"

    def test_a_variable_follows_the_loop(self, facts):
        known = facts(written={"pipeline.variables.v": "<+matrix.os>"})
        assert [evaluate("<+pipeline.variables.v>", known.within({"matrix": {"os": os}})) for os in "ab"] == ["a", "b"]

    def test_an_error_inside_names_the_variable(self, facts):
        with pytest.raises(ExpressionError, match=r"in variable.v: unknown name pipelin.name \(column 3\)"):
            evaluate("ab <+variable.v>", facts(written={"variable.v": "<+pipelin.name>"}))

    def test_names_with_dots_and_dashes_are_names(self, facts):
        known = facts(written={"pipeline.variables.a.b": "1", "pipeline.variables.c-d": "2"})
        assert evaluate('<+pipeline.variables.a.b><+pipeline.variables["c-d"]>', known) == "12"


class TestUnknown:
    def refused(self, facts, name, **more):
        with pytest.raises(ExpressionError) as caught:
            evaluate(f"<+{name}>", facts(**more))
        return caught.value

    def test_near_names_are_offered(self, facts):
        assert "pipeline.sequenceId" in self.refused(facts, "pipeline.sequenceid").hint
        assert "codebase.branch" in self.refused(facts, "codebas.branch").hint
        assert (
            "pipeline.variables.version"
            in self.refused(facts, "pipeline.variables.versoin", written={"pipeline.variables.version": "1"}).hint
        )

    def test_else_what_there_is(self, facts):
        assert "stage.name" in self.refused(facts, "stage.qqqqqqqq").hint
        assert "names begin with" in self.refused(facts, "qqqqq").hint

    def test_names_of_deployments_say_so(self, facts):
        for name in ("artifact.image", "infra.name", "service.name", "env.name", "env"):
            assert "not available outside CD" in str(self.refused(facts, name))

    def test_names_of_loops_have_a_value_in_loops_only(self, facts):
        assert "inside a matrix" in str(self.refused(facts, "matrix.os"))
        assert evaluate("<+matrix.os ?? 'linux'>", facts()) == "linux"
        assert evaluate("<+trigger.branch ?? 'manual'>", facts()) == "manual"

    def test_a_missing_environment_variable_has_near_names(self, facts):
        error = self.refused(facts, "env.PROT", env={"PORT": "1"})
        assert isinstance(error, AbsentError)
        assert error.hint == "did you mean PORT?"

    def test_a_fact_that_is_empty_lets_others_go_first(self, facts):
        assert evaluate("<+codebase.tag ?? 'none'>", facts()) == "none"
        assert evaluate("<+codebase.tag>|<+empty codebase.tag>", facts()) == "|true"

    def test_no_git_is_an_error_only_where_it_is_needed(self, facts):
        assert evaluate("<+pipeline.name>", facts(answers={})) == "shop"
        assert "not in a git repository" in str(self.refused(facts, "codebase.branch", answers={}))
        assert "not in a git repository" in str(self.refused(facts, "codebase.commitSha", answers={}))


class TestNothingKnown:
    def test_it_stands_for_the_empty_text_with_one_note_by_name(self, facts):
        notes = []
        known = facts(note=notes.append)
        assert evaluate("<+codebase.tag><+codebase.tag>", known) == ""
        assert evaluate("<+codebase.tag><+codebase.prNumber>", known.within({"matrix": {"a": "b"}})) == ""
        assert notes == [
            "codebase.tag has no value: this commit has no tag; here it becomes the empty text",
            next(note for note in notes if note.startswith("codebase.prNumber has no value: no CI variable gives it")),
        ]

    def test_nothing_is_noted_where_the_expression_has_a_value_for_this_case(self, facts):
        notes = []
        known = facts(note=notes.append)
        assert evaluate("<+codebase.tag ?? 'x'><+empty codebase.tag><+codebase?.tag ?? 'x'>", known) == "xtruex"
        assert notes == []

    def test_in_an_image_it_is_an_error_also_in_a_variable(self, facts):
        known = facts(written={"pipeline.variables.v": "v<+codebase.tag>"})
        assert evaluate("<+pipeline.variables.v>", known) == "v"
        for text in ("<+codebase.tag>", "<+pipeline.variables.v>", "<+regex.extract('x', 'y')>"):
            with pytest.raises(AbsentError) as caught:
                evaluate(text, known.for_image())
        assert caught.value.hint
        assert evaluate("<+codebase.tag ?? 'none'>", known.for_image()) == "none"

    def test_the_error_says_how_to_give_it(self, facts):
        with pytest.raises(AbsentError) as caught:
            evaluate("<+codebase.tag>", facts().for_image())
        assert caught.value.hint == (
            "give it with --var codebase.tag=VALUE, or write a fallback: <+codebase.tag ?? 'x'>"
        )


class TestCounter:
    def test_a_run_has_one_number(self, facts):
        known = facts()
        assert evaluate("<+pipeline.sequenceId> <+pipeline.sequenceId>", known) == "1 1"
        assert evaluate("<+pipeline.sequenceId>", known.within({"matrix": {"a": "b"}})) == 1
        assert evaluate("<+pipeline.sequenceId>", facts()) == 2

    def test_it_does_not_move_unless_asked(self, facts, tmp_path):
        evaluate("<+pipeline.name> <+codebase.branch>", facts())
        assert list(tmp_path.iterdir()) == []

    def test_a_dry_run_only_looks(self, facts, tmp_path):
        assert evaluate("<+pipeline.sequenceId>", facts(dry=True)) == 1
        assert list(tmp_path.iterdir()) == []
        facts().lookup(("pipeline", "sequenceId"))
        assert evaluate("<+pipeline.sequenceId>", facts(dry=True)) == 2
        assert evaluate("<+pipeline.sequenceId>", facts(dry=True)) == 2

    def test_pipelines_and_projects_count_apart(self, tmp_path):
        counter = Counter(tmp_path)
        assert [counter.take("/a", "x"), counter.take("/a", "y"), counter.take("/b", "x"), counter.take("/a", "x")] == [
            1,
            1,
            1,
            2,
        ]

    def test_runs_at_the_same_time_get_different_numbers(self, tmp_path):
        taken = []
        threads = [
            threading.Thread(target=lambda: taken.extend(Counter(tmp_path).take("p") for _ in range(5)))
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(taken) == list(range(1, 21))

    def test_a_damaged_file_is_named(self, tmp_path):
        counter = Counter(tmp_path)
        counter.take("p")
        next(path for path in tmp_path.iterdir() if path.suffix != ".lock").write_text("oops")
        with pytest.raises(SettingsError, match="does not contain a number"):
            counter.take("p")

    def test_a_directory_that_cannot_be_made_is_named(self, tmp_path):
        (tmp_path / "file").write_text("")
        with pytest.raises(SettingsError, match=r"file/inner.*Not a directory") as caught:
            Counter(tmp_path / "file" / "inner").take("p")
        assert "XDG_STATE_HOME" in caught.value.hint


class TestVcs:
    def test_it_names_url_revision_branch_and_message(self):
        assert vcs(git()) == Vcs(
            "https://git.example.com/shop.git", REVISION, "feature/lane", "Open the shop\n\nAt last."
        )

    def test_a_detached_head_has_the_branch_that_ci_says(self):
        answers = {words: text for words, text in REPOSITORY.items() if words[0] != "symbolic-ref"}
        assert vcs(git(answers)).branch == ""
        assert vcs(git(answers), revision_of({"CI_COMMIT_BRANCH": "main"})).branch == "main"

    def test_without_a_repository_ci_says_all(self):
        env = {"GITHUB_SHA": REVISION, "GITHUB_REPOSITORY": "a/b", "GITHUB_HEAD_REF": "fix"}
        assert vcs(git({}), revision_of(env)) == Vcs("https://github.com/a/b", REVISION, "fix", "")

    def test_without_anything_there_is_none(self):
        assert vcs(git({}), revision_of({})) is None

    def test_without_git_there_is_none(self):
        class Without(Recorded):
            def run(self, argv, **_):
                message = "the program 'git' is not on this machine"
                raise EngineMissingError(message)

        assert vcs(Git(Without(), Path("/src"))) is None

    def test_a_question_is_asked_once(self):
        place = Recorded([CommandResult(0, "x")])
        asked = Git(place, Path("/src"))
        assert asked.root == asked.root == "x"
        assert len(place.calls) == 1


def test_the_ci_system_is_recognised():
    found = ci({"GITHUB_ACTIONS": "true", "GITHUB_RUN_NUMBER": "4", "GITHUB_ACTOR": "octo"})
    assert (found.name, found.number, found.actor, found.url) == ("GitHub Actions", "4", "octo", "")
    assert ci({}).name == ""


@pytest.mark.parametrize("system", CI_SYSTEMS, ids=lambda system: system.name)
def test_a_ci_system_says_only_names_that_expressions_know(system):
    assert set(system.values) <= set(BUILT_IN)
    assert ci({system.marker: "true"}).name == system.name


def test_one_more_ci_system_is_one_row(facts, monkeypatch, tmp_path):
    values = {"pipeline.sequenceId": "KILN_RUN", "codebase.sourceBranch": "KILN_FROM", "codebase.commitSha": "KILN_SHA"}
    kiln = CiSystem("Kiln", "KILN", values, files={"KILN_OUTPUT": "outputs"})
    monkeypatch.setattr(systems, "CI_SYSTEMS", (*CI_SYSTEMS, kiln))
    env = {"KILN": "1", "KILN_RUN": "7", "KILN_FROM": "fix", "KILN_SHA": REVISION, "KILN_OUTPUT": str(tmp_path)}
    known = facts(env)
    assert [evaluate(f"<+{name}>", known) for name in values] == [7, "fix", REVISION]
    assert (ci(env).name, ci(env).number, revision_of(env)["revision"]) == ("Kiln", "7", REVISION)
    assert files(env, "outputs") == {"KILN_OUTPUT": tmp_path}


def test_a_secret_goes_through_whoever_knows_it():
    known = Facts({}, git(), Counter(Path("/nowhere")), 0.0, lambda identifier: Secret(f"value-of-{identifier}"))
    assert evaluate('<+secrets.getValue("org.token")>', known).reveal() == "value-of-org.token"


@pytest.mark.programs
class TestRealGit:
    @pytest.fixture
    def directory(self, tmp_path):
        place = Here(
            {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1", "HOME": str(tmp_path)}
        )
        root = tmp_path / "src"
        root.mkdir()

        def do(*words, cwd=root):
            ran = place.run(["git", "-c", "user.name=Ada", "-c", "user.email=a@example.com", *words], cwd=cwd)
            assert ran.status == 0, ran.stderr
            return ran.stdout.strip()

        return place, root, do

    def test_before_the_first_commit_there_is_no_revision(self, directory):
        place, root, do = directory
        assert vcs(Git(place, root)) is None
        do("init", "-q", "-b", "main")
        assert vcs(Git(place, root)) is None
        assert Git(place, root).branch == "main"

    def test_a_commit_a_tag_and_a_worktree(self, directory):
        place, root, do = directory
        do("init", "-q", "-b", "main")
        do("commit", "-q", "--allow-empty", "-m", "One")
        do("tag", "v1")
        do("remote", "add", "origin", "https://me:secret-token@git.example.com/x.git")
        do("worktree", "add", "-q", "../tree", "-b", "side")
        do("commit", "-q", "--allow-empty", "-m", "Two", cwd=root.parent / "tree")
        assert vcs(Git(place, root)) == Vcs("https://git.example.com/x.git", do("rev-parse", "HEAD"), "main", "One")
        assert Git(place, root).tag == "v1"
        side = vcs(Git(place, root.parent / "tree"))
        assert (side.branch, side.message, side.revision) == ("side", "Two", do("rev-parse", "side"))
        do("checkout", "-q", "--detach")
        assert vcs(Git(place, root)).branch == ""
