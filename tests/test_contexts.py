"""Contexts that are not directories: repositories of git, and tars of this machine, of the web, of standard input."""

from __future__ import annotations

import base64
import io
import os
import re
import socket
import subprocess
import sys
import tarfile
import threading
import time
from contextlib import suppress
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import product
from pathlib import Path
from typing import ClassVar
from urllib.parse import unquote

import pytest

import buildpush
from buildpush.foundation.errors import BuildPushError, ContextError, SettingsError, TimeOutError
from buildpush.foundation.limits import _Limit
from buildpush.foundation.secrets import redact
from buildpush.transfer.oci_layout import open_layout

DOCKERFILE = "FROM scratch\nCOPY . /\n"
programs = pytest.mark.programs


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    """Stand in an empty directory; at its end no context is left among the temporary directories."""
    directory, scratch = tmp_path / "place", tmp_path / "scratch"
    directory.mkdir()
    scratch.mkdir()
    monkeypatch.chdir(directory)
    monkeypatch.setenv("TMPDIR", str(scratch))
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    yield directory
    assert list(scratch.iterdir()) == []


def tar_of(path: Path, members, mode="w") -> Path:
    with tarfile.open(path, mode) as tar:
        for name, content in {"Dockerfile": DOCKERFILE, **members}.items():
            member = tarfile.TarInfo(name)
            member.mode, member.mtime = 0o750, 1_000_000_000
            if isinstance(content, tuple):
                member.type, member.linkname = content
            data = content.encode() if isinstance(content, str) else b""
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path


def files(context: str, **more) -> dict[str, tuple]:
    """Build and return what the image holds: type, mode, time and text or target of each path."""
    buildpush.build(context=context, engine="native", output="oci:out", **more)
    (data,) = (reader.read() for _, reader in open_layout(Path("out")).blobs([0]))
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return {one.name: (one.type, one.mode, int(one.mtime), _inside(tar, one)) for one in tar}


def _inside(tar, member) -> str:
    return tar.extractfile(member).read().decode() if member.isreg() else member.linkname


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz"])
def test_a_tar_is_a_context_with_modes_times_and_links(place, mode):
    members = {"d/a": "hello", "d/link": (tarfile.SYMTYPE, "a"), "d/hard": (tarfile.LNKTYPE, "d/a")}
    tar_of(place / "c.tar", members, mode)
    found = files("c.tar")
    assert found["d/a"] == (tarfile.REGTYPE, 0o750, 1_000_000_000, "hello")
    assert found["d/link"][3] == "a"
    assert found["d/hard"][::3] == (tarfile.LNKTYPE, "d/a")


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"link": (tarfile.SYMTYPE, "/etc"), "link/x": "bad"}, "contains link/x"),
        ({"link": (tarfile.SYMTYPE, ".."), "link/x": "bad"}, "contains link/x"),
        ({"x": (tarfile.CHRTYPE, "")}, "contains x"),
        ({"x": (tarfile.FIFOTYPE, "")}, "contains x"),
        ({"x": (tarfile.LNKTYPE, "nope")}, "cannot be unpacked"),
    ],
)
def test_a_tar_that_leads_out_of_the_context_is_refused(place, members, words):
    tar_of(place / "c.tar", members)
    with pytest.raises(ContextError, match=words):
        files("c.tar")


def test_a_directory_in_a_tar_takes_the_place_of_a_link(place, tmp_path):
    """Through the link, mode and time of a directory anywhere would change."""
    victim = tmp_path / "victim"
    victim.mkdir(mode=0o700)
    with tarfile.open("t.tar", "w") as tar:
        for name, kind, target in (("d", tarfile.SYMTYPE, str(victim)), ("d", tarfile.DIRTYPE, "")):
            member = tarfile.TarInfo(name)
            member.type, member.linkname, member.mode = kind, target, 0o777
            tar.addfile(member)
    tar_of(Path("u.tar"), {})
    with tarfile.open("t.tar", "a") as tar, tarfile.open("u.tar") as more:
        for member in more:
            tar.addfile(member, more.extractfile(member))
    found = files("t.tar")
    assert (victim.stat().st_mode & 0o777, found["d"][0]) == (0o700, tarfile.DIRTYPE)


@pytest.mark.parametrize("time", ["1e30", "-1e30"])
def test_a_tar_with_a_time_that_no_clock_shows_is_refused(place, time):
    with tarfile.open("t.tar", "w") as tar:
        member = tarfile.TarInfo("Dockerfile")
        member.pax_headers = {"mtime": time}
        tar.addfile(member, io.BytesIO(b""))
    with pytest.raises(ContextError, match="cannot be unpacked"):
        files("t.tar")


def test_a_tar_whose_links_go_round_is_refused(place):
    tar_of(Path("t.tar"), {"a": (tarfile.SYMTYPE, "a"), "a/b": "x"})
    with pytest.raises(ContextError):
        files("t.tar")


def test_a_list_of_what_is_ignored_does_not_lead_out_of_the_context(place, tmp_path):
    (tmp_path / "hosts-own").write_text("[planted-line\n")
    tar_of(Path("t.tar"), {".dockerignore": (tarfile.SYMTYPE, str(tmp_path / "hosts-own"))})
    with pytest.raises(ContextError, match=r"\.dockerignore is not a file of the context") as caught:
        files("t.tar")
    assert "planted" not in str(caught.value)


@pytest.mark.sandbox
@pytest.mark.parametrize("address", ["http://127.0.0.1:9/404?sig=planted-query", "https://[::1/r.git?t=planted-query"])
def test_the_query_of_an_address_is_never_shown(place, address):
    events = []
    with pytest.raises(BuildPushError) as caught:
        files(address, sink=events.append)
    try:
        checked = str(buildpush.check(context=address, repo="a.test/b/c"))
    except BuildPushError as error:  # as of the run, where it is no address
        checked = f"{error} {error.hint}"
    assert "planted" not in f"{events} {caught.value} {caught.value.hint} {checked}"


def test_the_name_of_a_file_is_told_whole(place):
    Path("a#b?c.tar").write_bytes(b"no tar")
    with pytest.raises(ContextError, match=re.escape("a#b?c.tar cannot be unpacked")):
        files("a#b?c.tar")


@pytest.mark.parametrize("address", ["http://", "http:///x.tar", "https://:443/x.tar", "ssh:///x", "http://h:0/x"])
def test_an_address_without_a_host_is_refused(place, address):
    with pytest.raises(SettingsError, match="is not a valid address"):
        files(address)


def test_names_that_lead_upwards_stay_in_the_context(place):
    tar_of(place / "c.tar", {"../../x": "x", "/y": "y"})
    assert {"x", "y"} <= files("c.tar").keys()


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz"])
@pytest.mark.parametrize(
    "members", [{"zeros": "0" * 2_000_000}, {f"d/{number}": "" for number in range(300)}], ids=["large", "many"]
)
def test_a_tar_is_unpacked_up_to_a_limit_that_a_setting_moves(place, mode, members):
    tar_of(place / "c.tar", members, mode)
    with pytest.raises(ContextError, match="more than 204,800 bytes of files, or too many") as caught:
        files("c.tar", fetch_limit="200Ki")
    assert "fetch_limit" in caught.value.hint
    assert not (place / "out").exists()
    assert len(files("c.tar", fetch_limit="3Mi")) >= len(members)


@pytest.mark.parametrize("content", [b"", b"no tar", b"\x1f\x8bbroken"])
def test_what_is_no_tar_is_refused(place, content):
    (place / "c.tar").write_bytes(content)
    with pytest.raises(ContextError, match="cannot be unpacked") as caught:
        files("c.tar")
    assert caught.value.hint


def test_the_dockerfile_counts_from_such_a_context(place):
    tar_of(place / "c.tar", {"sub/Other": DOCKERFILE + "LABEL a=b\n"})
    assert "sub/Other" in files("c.tar", dockerfile="sub/Other")
    with pytest.raises(SettingsError, match=r"no nope in the context c\.tar"):
        files("c.tar", dockerfile="nope")


def test_check_fetches_and_unpacks_nothing(place):
    tar_of(place / "c.tar", {})
    plan = buildpush.check(context="c.tar", engine="native", repo="127.0.0.1:1/a/b", tags=["1"], push=False)
    rows = dict(plan.rows())
    assert rows["engine"] == "native, because the step asks for it"
    assert (rows["context"], rows["image"], rows["credential"]) == ("c.tar", "127.0.0.1:1/a/b:1", "none found")
    assert "only a run fetches or unpacks the context c.tar, and reads the Dockerfile in it" in plan.notes
    assert not list(place.glob("**/*-*"))


@pytest.mark.parametrize(
    "address", ["https://[::1/r.git", "https://u:planted@git.test/r.git", "https://g.test/r.git?a=b"]
)
def test_check_refuses_an_address_that_a_run_refuses(place, address):
    with pytest.raises(SettingsError) as ran:
        files(address)
    with pytest.raises(SettingsError) as checked:
        buildpush.check(context=address, repo="a.test/b/c")
    assert str(checked.value) == str(ran.value)


def test_check_goes_on_behind_a_step_whose_context_is_elsewhere(place):
    (place / "Dockerfile").write_text("FROM scratch\n")
    step = "{repo: 127.0.0.1:1/a/NAME, tags: [1], context: WHERE, envVariables: {PLUGIN_ENGINE: native}}"
    steps = [
        f"- step: {{type: BuildAndPushDockerRegistry, identifier: {name}, name: {name}, spec: "
        f"{step.replace('NAME', name).replace('WHERE', where)}}}\n"
        for name, where in (("one", "'https://git.test/x/y.git#main'"), ("two", "."))
    ]
    (place / "p.yml").write_text("".join(steps))
    first, second = buildpush.check_pipeline(place / "p.yml")
    assert (first.engine, first.order.elsewhere) == ("native", "https://git.test/x/y.git#main")
    assert second.engine == "native"


def test_the_plan_of_a_step_whose_context_is_elsewhere_shows_login_and_pushes(place):
    options = {"registry": "127.0.0.1:1", "username": "me", "password": "env:PASS"}
    plan = buildpush.check(
        context="https://t.test/x.tar?a=planted",
        repo="127.0.0.1:1/a/b",
        tags=["1", "2"],
        env={"PASS": "planted"},
        **options,
    )
    rows = list(plan.rows())
    assert ("engine", "auto, because only the Dockerfile decides it") in rows
    assert ("setting", "context = https://t.test/x.tar  [context=]") in rows
    assert [value for name, value in rows if name == "push"] == ["127.0.0.1:1/a/b:1", "127.0.0.1:1/a/b:2"]
    assert plan.credential.startswith("me, from")
    assert not any(name == "dockerfile" for name, _ in rows)
    assert plan.as_json()["engine"]["name"] == "auto"
    assert "planted" not in f"{plan} {plan.as_json()}"


def test_a_plan_knows_an_image_that_a_step_with_a_context_elsewhere_builds(place):
    steps = (
        "- step: {type: BuildAndPushDockerRegistry, identifier: one, name: one, spec: {repo: 127.0.0.1:1/a/b, tags: [1]"
        ", context: 'https://git.test/x/y.git', envVariables: {PLUGIN_NO_PUSH: 'true', PLUGIN_ENGINE: native}}}\n"
        "- step: {type: BuildAndPushDockerRegistry, identifier: two, name: two, spec: {repo: 127.0.0.1:1/a/b, tags: [1]"
        ", envVariables: {PLUGIN_PUSH_ONLY: 'true'}}}\n"
    )
    (place / "p.yml").write_text(steps)
    _, second = buildpush.check_pipeline(place / "p.yml")
    assert second.order.source.built_by == "one"


@programs
def test_a_tar_may_come_from_standard_input(place):
    tar = tar_of(place / "c.tar", {"a": "hello"}, "w:gz").read_bytes()
    words = [sys.executable, "-m", "buildpush", "build", "--context", "-", "--engine", "native", "--output", "oci:out"]
    ended = subprocess.run(words, input=tar, capture_output=True, check=False)
    assert (ended.returncode, (place / "out/index.json").exists()) == (0, True), ended.stderr


def test_without_a_pipe_standard_input_is_refused(place, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO())  # as in a notebook
    with pytest.raises(SettingsError, match="nothing is piped"):
        files("-")


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_arguments):
        pass


@pytest.mark.sandbox
def test_a_tar_may_come_from_the_web(place, tmp_path):
    (tmp_path / "web").mkdir()
    tar_of(tmp_path / "web/c.tgz", {"a": "hello"}, "w:gz")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path / "web")))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        address = f"http://127.0.0.1:{server.server_address[1]}"
        assert files(f"{address}/c.tgz")["a"][3] == "hello"
        with pytest.raises(buildpush.foundation.errors.BuildError, match="status 404"):
            files(f"{address}/nope.tgz")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@programs
def test_a_host_that_never_answers_git_is_left_when_the_time_is_over(place, monkeypatch):
    """The shortest timeout that can be said is 10 s."""
    monkeypatch.setattr("buildpush.foundation.limits._Limit", lambda _seconds: _Limit(0.5))
    begun = time.monotonic()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"git://127.0.0.1:{silent.getsockname()[1]}/x.git"
        with pytest.raises(TimeOutError, match="10s"):
            buildpush.build(context=address, engine="native", timeout="10s")
    assert time.monotonic() - begun < 8


@pytest.fixture
def repository(tmp_path, place, monkeypatch):
    """Serve a repository with two branches over git's own protocol; give its address and the commits."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    source = tmp_path / "served/repo.git"
    source.mkdir(parents=True)

    def git(*words):
        said = ["git", "-c", "user.name=me", "-c", "user.email=me@example.com", "-C", str(source), *words]
        return subprocess.run(said, check=True, capture_output=True, text=True).stdout.strip()

    git("init", "--quiet", "--initial-branch=main")
    (source / "sub").mkdir()
    for name in ("Dockerfile", "sub/Dockerfile"):
        (source / name).write_text(DOCKERFILE)
    (source / "a").write_text("main")
    git("add", "--all")
    git("commit", "--quiet", "--message", "one")
    git("checkout", "--quiet", "-b", "other")
    (source / "a").write_text("other")
    git("commit", "--quiet", "--all", "--message", "two")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["git", "daemon", "--export-all", "--listen=127.0.0.1", f"--port={port}", f"--base-path={source.parent}"]
    process = subprocess.Popen([*words, str(source.parent)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _wait_for(port)
    yield f"git://127.0.0.1:{port}/repo.git", git
    process.terminate()
    process.wait()


def _wait_for(port: int) -> None:
    for _ in range(100):
        with socket.socket() as tried:
            if tried.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)


@programs
def test_a_repository_is_a_context_with_branch_and_directory(repository):
    address, git = repository
    assert files(f"{address}#main")["a"][3] == "main"
    assert files(f"{address}#other")["a"][3] == "other"
    assert files(address).keys() == {"Dockerfile", "a", "sub", "sub/Dockerfile"}
    assert files(f"{address}#main:sub").keys() == {"Dockerfile"}
    assert files(f"{address}#{git('rev-parse', 'main')}")["a"][3] == "main"


@programs
@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("#nope", "nope"),
        ("#main:nope", "is not a directory"),
        ("#main:../..", "is not a directory"),
        ("#--upload-pack=x", "is not the address"),
    ],
)
def test_what_a_repository_does_not_have_is_refused(repository, more, words):
    with pytest.raises((ContextError, SettingsError), match=words) as caught:
        files(repository[0] + more)
    assert caught.value.hint


@programs
def test_the_reason_that_git_gives_is_told_and_not_its_advice(place):
    with pytest.raises(ContextError) as caught:
        files("ssh://127.0.0.1:1/repo.git")
    assert "refused" in str(caught.value) or "ssh" in str(caught.value)
    assert "repository exists" not in str(caught.value)


def test_an_address_with_a_password_is_refused(place):
    with pytest.raises(SettingsError, match="holds a password") as caught:
        files("https://me:planted-password@example.com/repo.git")
    assert "planted" not in str(caught.value)


TOKEN = "Planted-Token%2Fof_git"


class Smart(BaseHTTPRequestHandler):
    """git's own server over HTTP, for who knows the token; it looks what others could see meanwhile."""

    wanted = base64.b64encode(f"{unquote(TOKEN)}:".encode()).decode()
    root: ClassVar[str]
    seen: ClassVar[list[str]]
    served: ClassVar[list[str]]

    def do_GET(self):
        processes = [one for one in Path("/proc").iterdir() if one.name.isdecimal()]
        for process, name in product(processes, ("cmdline", "environ")):
            with suppress(OSError):  # it has ended by now
                text = (process / name).read_bytes().decode(errors="replace")
                self.seen += [text] if TOKEN in text or unquote(TOKEN) in text or self.wanted in text else []
        if self.headers["Authorization"] != f"Basic {self.wanted}":
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="git"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        path, _, query = self.path.partition("?")
        self.served.append(path)
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        env = {
            "GIT_PROJECT_ROOT": self.root,
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers["Content-Type"] or "",
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers["Content-Encoding"] or "",
            "PATH": os.environ["PATH"],
            "GIT_PROTOCOL": self.headers["Git-Protocol"] or "",
        }
        ran = subprocess.run(["git", "http-backend"], input=body, env=env, capture_output=True, check=True)
        head, _, content = ran.stdout.partition(b"\r\n\r\n")
        self.send_response(200)
        for line in head.decode().splitlines():
            self.send_header(*line.split(": ", 1))
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_GET  # noqa: N815 - the name that the library calls

    def log_message(self, *_):
        pass


@pytest.fixture
def smart(repository, tmp_path):
    """Serve the same repository over HTTP; give the host, what of the token was seen, and what was served."""
    handler = type("Handler", (Smart,), {"root": str(tmp_path / "served"), "seen": [], "served": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}", handler.seen, handler.served
    server.shutdown()
    server.server_close()


@programs
def test_a_token_in_the_address_reaches_git_and_is_seen_by_nobody(smart, place):
    host, seen, served = smart
    assert files(f"http://{TOKEN}@{host}/repo.git#main")["a"][3] == "main"
    assert served
    assert seen == []


@programs
def test_a_wrong_token_is_told_nowhere(smart, place):
    host, _, served = smart
    with pytest.raises(ContextError) as caught:
        files(f"http://planted-wrong-token@{host}/repo.git#main")
    assert "planted" not in f"{caught.value} {caught.value.hint}"
    assert served == []


@programs
def test_a_query_is_not_shown_to_the_whole_machine(smart, place):
    host, _, served = smart
    with pytest.raises(SettingsError, match="has a query") as caught:
        files(f"http://{host}/repo.git?token=planted#main")
    assert "planted" not in str(caught.value)
    assert "***" not in redact(caught.value.hint or "")  # https://TOKEN@HOST would be shown as stars
    assert served == []


def test_a_user_of_an_address_adds_no_lines_to_a_file(place):
    with pytest.raises(SettingsError, match="characters that no name may have"):
        files("https://a%0a%5Bcore%5D@127.0.0.1:9/repo.git")


@programs
def test_the_repository_of_a_hook_is_left_alone(repository, tmp_path, monkeypatch):
    """In a hook, git's variables name the repository that the hook is of."""
    address, git = repository
    mine = tmp_path / "mine"
    subprocess.run(["git", "clone", "--quiet", address, str(mine)], check=True)
    monkeypatch.setenv("GIT_INDEX_FILE", str(mine / ".git/index"))
    monkeypatch.setenv("GIT_DIR", str(mine / ".git"))
    assert files(f"{address}#main:sub").keys() == {"Dockerfile"}
    assert git("-C", str(mine), "status", "--short") == ""


@programs
def test_the_build_info_names_the_commit_that_was_built(repository, place, box, monkeypatch):
    address, git = repository
    monkeypatch.setenv("SANDBOX_PASSWORD", box.password.reveal())
    result = buildpush.run(
        context=f"{address}#main", engine="native", repo=f"{box.host}/docker-local/app", tags=["1"],
        username=box.username, password="env:SANDBOX_PASSWORD", artifactory_url=f"{box.url}/artifactory/",
        build_name="app", build_number="7",
    )  # fmt: skip
    assert result.published
    (document,) = box.builds("app")
    assert document["vcs"][0]["revision"] == git("rev-parse", "main")
    assert document["vcs"][0]["url"] == address
