"""Bad Dockerfiles: ``check`` refuses what ``run`` refuses, with the same words, and only what the builder refuses."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from buildpush.cli import run_command
from buildpush.dockerfile.request import BuildRequest
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
    "a platform that is none": ("FROM --platform=linx scratch\n", "'linx' is not a platform"),
    "a blank platform": ("FROM --platform=$X scratch\n", "the platform $X is blank"),
    "SHELL without an array": ("FROM scratch\nSHELL a\n", "SHELL requires a JSON array"),
}
TRUE = '["/bin/busybox", "true"]'
# Behind FROM scratch and COPY of a program: what no builder accepts, what BuildKit and our own engine refuse, and what
# only those refuse that run commands.
INSTRUCTIONS = {
    "ENV A=${B": "syntax error: missing '}'",
    "ENV A=${B^}": "unsupported modifier '^' in substitution",
    "LABEL A='x": "looking for a matching single quote",
    "COPY ${A a /a": "missing '}'",
    "WORKDIR ${": "missing '}'",
    "ENV A=${B:?}": "B: not allowed to be unset",
    "ARG A=${": "missing '}'",
    "COPY <<E /a\n${B}${\nE": "in substitution",
    "STOPSIGNAL nope": "STOPSIGNAL: 'nope' is not a signal",
    "VOLUME $X": "VOLUME names an empty path",
    "COPY http://127.0.0.1:1/x /a": "COPY of the address http://127.0.0.1:1/x",
    "ONBUILD NOPE a\nFROM one": "unknown instruction NOPE",
}
NOT_FOR_BUILDAH = {
    "EXPOSE 70000": "EXPOSE: '70000' is not a port",
    "EXPOSE 80 90-80": "EXPOSE: '90-80' is not a port",
    "ONBUILD EXPOSE x\nFROM one": "EXPOSE: 'x' is not a port",
    "COPY <<a/b /a\nhi\na/b": "the name of the heredoc a/b must not contain a slash",
    "COPY --from=$X a /a": "--from=$X contains a variable",
    "COPY --from=${X:-one} /bin/busybox /a": "--from=${X:-one} contains a variable",
    "ADD --checksum=sha256:zz a /a": "--checksum needs a single source, which is a web address",
    "ADD --checksum=sha256:zz http://127.0.0.1:1/x /a": "--checksum=sha256:zz is not a digest",
    "COPY [ab /a": "malformed pattern '[ab'",
}
FOR_RUN = {
    "--mount=type=nope": "type=nope does not exist",
    "--mount=foo=1,target=/x": "its field foo does not exist",
    "--mount=foo": "its field foo needs a value",
    "--mount=type=cache,sharing=nope,target=/x": "sharing=nope cannot be used",
    "--mount=from=$X,target=/x": "--mount=from=$X contains a variable",
    "--mount=type=secret": "needs an id",
    "--mount=type=bind,target=/": "target=/ cannot be used",
    "--mount=type=cache": "target=/ cannot be used",
    "--mount=": "RUN --mount= is empty",
    "--mount=type=bind,mode=1,target=/x": "takes no mode",
    "--mount=required,type=secret,id=x": "a mount of the type bind takes no required",
    "--network=nope": "--network=nope does not exist",
}
OF_INSTRUCTIONS = [
    *((engine, *one) for one in INSTRUCTIONS.items() for engine in ("native", "docker", "buildah")),
    *((engine, *one) for one in NOT_FOR_BUILDAH.items() for engine in ("native", "buildx")),
    *((engine, "COPY --chmod=nope a /a", "--chmod=nope is not a mode") for engine in ("native", "buildah")),
    ("native", "COPY --chown=4294967296 a /a", "is higher than any user or group ID"),
    ("native", "COPY --from=scratch a /a", "COPY --from=scratch, which has no files"),
    ("native", "ONBUILD RUN true\nFROM one", "the trigger ONBUILD RUN"),
    ("native", "ARG R=git@h.example:x.git\nADD $R /a", "ADD of a git repository"),
    ("buildah", f"RUN --mount=type=nope {TRUE}", "type=nope does not exist"),
    *(("docker", f"RUN {flag} {TRUE}", words) for flag, words in FOR_RUN.items()),
]
# What looks odd and is fine with every builder.
ODD = [
    "ENV A=${B:-${C}}",
    "ENV A='${'",
    "CMD ${B",
    "COPY <<'E' /a\n${B\nE",
    "ARG A=80-81/UDP\nEXPOSE $A $B",
    "STOPSIGNAL sigrtmin+3",
    "STOPSIGNAL 99",
    "ARG TARGETARCH\nENV A=${TARGETARCH:?x} B=${PATH:?x}",
    "FROM scratch AS two\nENV A=${B\nFROM one",
    "ADD --checksum=$X a /a",
    "COPY arr[[]0] /x/",
]
ODD_RUN = [
    "--mount=type=CACHE,target=/x,uid=1,gid=2,mode=0700,sharing=locked,id=y",
    "--mount=type=secret,id=x",
    "--mount=type=tmpfs,target=/x",
    "--mount=target=/x,rw",
    "--network=none",
]
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


def builds(directory, builder="default"):
    """Return whether a builder accepts the Dockerfile; by default the daemon's own."""
    argv = ["docker", "buildx", "build", "--builder", builder, "--output", "type=cacheonly", str(directory)]
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


@pytest.fixture
def program(place, busybox):
    """Return a function that writes a Dockerfile that has a program, and more behind it."""

    def write(line):
        directory = place(f"FROM scratch AS one\nCOPY busybox /bin/busybox\n{line}\n")
        shutil.copy(busybox, directory / "busybox")
        (directory / "arr[0]").write_text("")
        return directory

    return write


@pytest.fixture
def engine_at(need, request, monkeypatch):
    """Return a function that prepares an engine: buildx uses a BuildKit that is newer than that of Docker."""

    def prepare(engine):
        if engine == "buildx":
            for name, value in request.getfixturevalue("far").items():
                monkeypatch.setenv(name, value)
        elif engine != "native":
            need(engine)
        return engine

    return prepare


@pytest.mark.engines
@pytest.mark.parametrize(("engine", "line", "words"), OF_INSTRUCTIONS)
def test_check_and_run_refuse_an_instruction_with_the_same_words(engine_at, program, both, engine, line, words):
    program(line)
    (check, run) = both(engine_at(engine))
    assert check == run
    assert check[0] == 3
    assert words in check[1]


@pytest.mark.engines
@pytest.mark.parametrize("line", [*INSTRUCTIONS, *NOT_FOR_BUILDAH, *(f"RUN {flag} {TRUE}" for flag in FOR_RUN)])
@pytest.mark.parametrize("engine", ["docker", "buildx"])
def test_buildkit_refuses_the_instructions_that_we_refuse(engine_at, program, engine, line):
    engine_at(engine)
    assert not builds(program(line), "default" if engine == "docker" else "far")


def accepts(engine, line):
    """Return whether *engine* has what is odd in *line*, and no rules for it that no other engine has."""
    if engine == "native":
        return not line.startswith("RUN")
    return engine != "buildah" or not re.search(r"RUN|<<|:[?]|checksum|\[", line)


ODD_LINES = [*ODD, *(f"RUN {flag} {TRUE}" for flag in ODD_RUN)]
ENGINES = ["native", "docker", "buildx", "buildah"]


@pytest.mark.engines
@pytest.mark.parametrize(
    ("engine", "line"), [(engine, line) for engine in ENGINES for line in ODD_LINES if accepts(engine, line)]
)
def test_neither_check_nor_run_refuses_what_is_only_odd(engine_at, program, both, engine, line):
    program(line)
    assert both(engine_at(engine)) == [(0, ""), (0, "")]


@pytest.mark.engines
@pytest.mark.parametrize("line", ["EXPOSE 70000", "ENV A=\0"])
def test_what_only_buildah_takes_is_left_to_it(engine_at, program, both, line):
    program(line)
    assert both(engine_at("buildah")) == [(0, ""), (0, "")]


@pytest.mark.engines
def test_auto_leaves_to_buildah_what_only_buildah_takes(need, program, both):
    need("buildah")
    program("EXPOSE 70000")
    assert both("auto") == [(0, ""), (0, "")]


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
    return BuildRequest(directory, directory / "Dockerfile", (), **more)


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
