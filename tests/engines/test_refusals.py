"""Bad Dockerfiles: ``check`` refuses what ``run`` refuses, with the same words, and only what the builder refuses."""

from __future__ import annotations

import subprocess
from types import SimpleNamespace

import pytest

from buildpush.cli import run_command
from buildpush.engines.docker.frontend import Release, find_refusal
from buildpush.foundation.errors import DockerfileError

# Not among them: a file of nothing but ARG, at which the daemon of Docker 26.1 crashes.
BAD = {
    "a FROM that names nothing": ("FROM ${X}\nCOPY a /a\n", "the base name ${X} is blank"),
    "an argument without a value": ("ARG X\nFROM ${X}\nCOPY a /a\n", "the base name ${X} is blank"),
    "an unknown instruction": ("FROM scratch\nCOPPY a /a\n", "unknown instruction COPPY"),
    "an unknown flag": ("FROM scratch\nCOPY --nosuch a /a\n", "unknown flag --nosuch of COPY"),
    "a later stage": (
        "FROM scratch AS one\nCOPY --from=two a /a\nFROM scratch AS two\nFROM scratch\nCOPY --from=one /a /a\n",
        "from=two is the stage two, which begins only at line 3",
    ),
    "no stage of that number": ("FROM scratch\nCOPY --from=7 a /a\n", "there is no stage with that number"),
    "a stage from itself": ("FROM scratch AS own\nCOPY --from=own a /a\n", "the stage own copies from itself"),
    "an empty file": ("", "the Dockerfile has no FROM"),
    "no FROM": ("COPY a /a\n", "COPY comes before the first FROM"),
}
# What BuildKit's grammar forbids and buildah accepts, or reports while it builds.
FOR_BUILDKIT = {
    "a name that no image has": ("FROM Scratch\n", "is not a repository path"),
    "an open substitution": ("FROM ${X:-\n", "syntax error: missing '}'"),
    "COPY without a destination": ("FROM scratch\nCOPY a\n", "COPY requires at least two arguments"),
    "ENV without a value": ("FROM scratch\nENV a\n", "ENV must have two arguments"),
    "an open heredoc": ("FROM scratch\nCOPY <<A /a\nhi\n", "unterminated heredoc"),
    "a stage with a number in front": ("FROM scratch AS 1a\nCOPY a /a\n", "invalid name for a build stage"),
    "SHELL without an array": ("FROM scratch\nSHELL a\n", "SHELL requires a JSON array"),
}
# What is newer than Docker 26.1, or not.
NEWER = {
    "COPY --parents a /a": "COPY --parents, which Docker",
    "COPY --exclude=b a /a": "COPY --exclude, which Docker",
    "ADD --exclude=b a /a": "ADD --exclude, which Docker",
    "ADD --unpack=false a /a": "ADD --unpack, which Docker",
    "RUN --security=insecure true": "RUN --security, which Docker",
}
FINE = ["COPY --link a /a", "ONBUILD COPY --parents a /a", "ONBUILD NOPE a", "COPY --chmod=644 a /a"]
GRID = [(engine, name) for name in BAD for engine in ("native", "docker", "buildx", "buildah", "auto")]
GRID += [(engine, name) for name in FOR_BUILDKIT for engine in ("native", "docker", "buildx", "auto")]


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Return a function that writes a Dockerfile, and stand beside it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PLUGIN_NO_PUSH", "true")
    monkeypatch.setenv("PLUGIN_LOAD", "false")
    (tmp_path / "a").write_text("hello")

    def write(text):
        (tmp_path / "Dockerfile").write_text(text)
        return tmp_path

    return write


@pytest.fixture
def both(capsys):
    """Return a function that gives the exit code and the error of ``check`` and of ``run``."""

    def answers(engine):
        found = []
        for command in ("check", "run"):
            code = run_command([command, "--repo", "127.0.0.1:1/a/b", "--tags", "1", "--engine", engine])
            shown = capsys.readouterr().err.splitlines()
            found.append((code, next((line for line in shown if line.startswith("error: ")), "")))
        return found

    return answers


def builds(directory):
    """Return whether the daemon's own builder accepts the Dockerfile."""
    argv = ["docker", "buildx", "build", "--builder", "default", "--output", "type=cacheonly", str(directory)]
    return subprocess.run(argv, check=False, capture_output=True).returncode == 0


@pytest.mark.engines
@pytest.mark.parametrize(("engine", "name"), GRID)
def test_check_and_run_refuse_with_the_same_words(need, place, both, engine, name):
    if engine not in {"native", "auto"}:
        need(engine)
    text, words = (BAD | FOR_BUILDKIT)[name]
    place(text)
    (check, run) = both(engine)
    assert check == run
    assert check[0] == 3
    assert words in check[1]


@pytest.mark.engines
@pytest.mark.parametrize("name", [*BAD, *FOR_BUILDKIT])
def test_docker_refuses_what_we_refuse(need, place, name):
    need("docker")
    assert not builds(place((BAD | FOR_BUILDKIT)[name][0]))


@pytest.mark.engines
@pytest.mark.parametrize("engine", ["docker", "buildx"])
@pytest.mark.parametrize("line", [*NEWER, *FINE])
def test_a_flag_is_refused_by_check_and_run_where_this_docker_does_not_have_it(need, place, both, engine, line):
    need(engine)
    directory = place(f"FROM scratch\n{line}\n")
    (check, run) = both(engine)
    assert check == run
    assert (check[0] == 0) is builds(directory)
    assert NEWER.get(line, "") in check[1]


@pytest.mark.engines
@pytest.mark.parametrize("line", ["COPY --parents a /a", "COPY --nosuch a /a"])
def test_a_flag_that_an_old_buildah_does_not_have_is_refused_by_both(need, place, both, line):
    need("buildah")
    place(f"FROM scratch\n{line}\n")
    check, run = both("buildah")
    assert check[0] == run[0]


@pytest.mark.engines
def test_auto_takes_an_engine_that_has_the_flag(need, place, both):
    need("docker")
    place("FROM scratch\nCOPY --parents a /a\n")
    assert both("auto") == [(0, ""), (0, "")]


def request(directory, **more):
    return SimpleNamespace(
        dockerfile=directory / "Dockerfile", build_args={}, build_contexts={}, platforms=(), target=None, **more
    )


@pytest.mark.parametrize(
    ("release", "line", "words"),
    [
        (Release("Docker", (26, 1)), "COPY --parents a /a", "Dockerfile:2: COPY --parents, which Docker 26.1 does not"),
        (Release("Docker", (29, 1)), "COPY --parents a /a", None),
        (Release("BuildKit", (0, 13)), "ADD --unpack a /a", "ADD --unpack, which BuildKit 0.13 does not have"),
        (Release("BuildKit", (0, 34)), "ADD --unpack a /a", None),
        (Release("classic"), "COPY --link a /a", "COPY --link, which Docker's classic builder does not have"),
        (Release("classic"), "COPY --chown=1 --from=scratch a /a", None),
        (Release("classic"), "HEALTHCHECK --interval=1s CMD a", None),
        (None, "COPY --parents a /a", None),
        (None, "COPY --nosuch a /a", None),
        (Release("BuildKit", (0, 99)), "COPY --nosuch a /a", None),
    ],
)
def test_which_flags_a_builder_has(place, release, line, words):
    found = find_refusal(request(place(f"FROM scratch\n{line}\n")), lambda: release)
    assert found is None if words is None else words in found


@pytest.mark.parametrize("line", ["COPY --parents a /a", "COPY --nosuch a /a"])
def test_a_frontend_that_is_fetched_may_have_every_flag(place, line):
    text = f"# syntax=docker/dockerfile:1\nFROM scratch\n{line}\n"
    assert find_refusal(request(place(text)), lambda: Release("Docker", (26, 1))) is None


@pytest.mark.parametrize("text", ["# syntax=example.com/other\nWHAT is this\n", "FROM scratch\n# \0\n"])
def test_what_we_cannot_read_is_left_to_the_builder(place, text):
    assert find_refusal(request(place(text)), lambda: Release("Docker", (26, 1))) is None


def test_a_stage_that_nothing_needs_may_not_begin_from_nothing_either(place):
    with pytest.raises(DockerfileError, match="is blank"):
        find_refusal(request(place("FROM ${X} AS other\nFROM scratch\n")), lambda: None)


@pytest.mark.parametrize(
    ("answer", "release"),
    [
        ({"Version": "26.1.5+dfsg1", "Components": [{"Name": "Engine"}]}, Release("Docker", (26, 1))),
        ({"Version": "5.4.0", "Components": [{"Name": "Podman Engine"}]}, None),
        ({"Version": "dev", "Components": [{"Name": "Engine"}]}, None),
        ({}, None),
    ],
)
def test_only_dockers_own_version_counts(answer, release):
    assert Release.of_daemon(answer) == release


def test_a_buildkit_of_an_unknown_version_is_not_judged():
    assert Release.parse("BuildKit", "v0.0.0+unknown") is None
