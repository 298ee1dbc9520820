"""A file that COPY names and the context does not have: what it may have been meant to be."""

from __future__ import annotations

import pytest

from buildpush.advice.sources import missing_source, whole_source
from buildpush.advice.table import advice_named
from buildpush.dockerfile import missing
from buildpush.dockerfile.missing import hint_for


@pytest.fixture
def tree(tmp_path):
    """Return a function that makes files in a directory, and gives the hint about a path in its context."""

    def ask(files, path, context="."):
        for name in files.split():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).touch()
        (tmp_path / context).mkdir(parents=True, exist_ok=True)
        return hint_for((tmp_path / context).resolve(), None, path)

    return ask


@pytest.mark.parametrize(
    ("files", "path", "names"),
    [
        ("src/App.py", "src/app.py", "src/App.py"),
        ("Src/App.py", "src/app.py", "Src/App.py"),
        ("src/server.py", "src/sever.py", "src/server.py"),
        ("a/src/app.py", "src/app.py", "a/src/app.py"),
        ("lib/app.py", "src/app.py", "lib/app.py"),
        ("a/b/c/app.py x/app.py", "b/d/app.py", "a/b/c/app.py or x/app.py"),
        ("requirements.txt", "requirement.txt", "requirements.txt"),
        ("services/web/main.go", "service/web", "services/web"),
    ],
    ids=["case", "case of directories", "spelling", "below", "elsewhere", "nearest first", "at the top", "directory"],
)
def test_a_file_that_is_not_there_leads_to_those_like_it(tree, files, path, names):
    assert tree(files, path) == f"did you mean {names}?"


def test_the_name_of_the_context_in_front_is_left_out(tree):
    assert tree("service/app.py", "service/app.py", "service") == "did you mean app.py?"


def test_a_context_that_is_too_low_is_said_to_be(tree, tmp_path):
    hint = tree("shared/lib.py", "shared/lib.py", "services/web")
    assert hint == f"{tmp_path.resolve()} has it: choose that directory as the context"


def test_a_file_that_dockerignore_hides_is_named_with_the_line_and_offered_nowhere(tree, tmp_path):
    (tmp_path / ".dockerignore").write_text("# c\nsecret\n*.log\n")
    assert tree("a.log", "a.log") == ".dockerignore:3, '*.log', hides it; add a line !a.log below"
    assert tree("secret/app.py", "src/app.py") is None


def test_nothing_alike_is_no_hint(tree):
    assert tree("a b", "zebra/quagga") is None


def test_no_more_than_a_bounded_number_of_entries_is_looked_at(tree, tmp_path, monkeypatch):
    monkeypatch.setattr(missing, "_MOST_ENTRIES", 20)
    files = " ".join(f"many/{number:03}" for number in range(40))
    assert tree(f"{files} top/app.py", "src/app.py") is None
    assert tree("top/app.py", "top/App.py") is None  # it comes after them
    monkeypatch.setattr(missing, "_MOST_ENTRIES", 100)
    assert tree("top/app.py", "src/app.py") == "did you mean top/app.py?"


def test_links_and_the_history_of_git_are_not_followed(tree, tmp_path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "app.py").touch()
    (tmp_path / "context").mkdir()
    (tmp_path / "context" / "link").symlink_to(tmp_path / "outside")
    assert tree("context/.git/app.py", "src/app.py", "context") is None


@pytest.mark.parametrize(
    ("line", "path"),
    [
        *zip(advice_named("copy-source").examples, ["app", "app", "app.jar", "app.jar"], strict=True),
        ('Error: building at STEP "COPY x /": no items matching glob "/build/x" copied (1 filtered out)', "build/x"),
        ("failed to walk /v/buildkit-mount4/src: lstat /v/buildkit-mount4/src: no such file or directory", "src"),
        ("COPY failed: stat /var/lib/docker/tmp/docker-builder7/a/b: no such file or directory", "a/b"),
        ("COPY failed: something else", None),
        ("COPY failed: stat ../app: file does not exist", None),
    ],
)
def test_the_file_is_read_from_the_message_of_each_builder(line, path):
    assert missing_source(line) == path


def test_the_source_is_that_of_the_instruction_where_a_message_names_its_first_directory():
    lines = ["#5 [1/1] COPY src/app.py lib/b /:", "src/other.py: no instruction"]
    assert whole_source("src", lines) == "src/app.py"
    assert whole_source("lib/b", lines) == "lib/b"
    assert whole_source("sr", lines) == "sr"


def test_a_path_in_the_context_is_relative_to_it():
    line = 'Error: no items matching glob "/build/x" copied (1 filtered out)'
    assert missing_source(line, "/build") == "x"
