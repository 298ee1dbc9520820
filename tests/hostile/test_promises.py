"""What docs/security.md promises, each attacked by a registry that has every reason to make it fail."""

from __future__ import annotations

import base64
import html
import io
import json
import re
import shlex
import socket
import tarfile
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest

from buildpush.cli import run_command
from buildpush.foundation.errors import BuildPushError
from buildpush.foundation.state import State
from buildpush.registry.push import push
from tests.hostile.quirks import QUIRKS
from tests.hostile.registry import HostileRegistry, Reply, Request, digest_of, fault
from tests.registry.conftest import Source

pytestmark = pytest.mark.sandbox

LAYERS = (b"one" * 5000, b"two" * 7000, b"three")
PASSWORD = "pl<an>ted & \"pass' wörd/7%"


# 1. A tag moves only after every blob it needs was confirmed.

FAILURES = {
    "500 for ever": lambda: Reply(500),
    "403 for ever": lambda: fault(403, "DENIED"),
    "404 for ever": lambda: fault(404, "BLOB_UPLOAD_UNKNOWN"),
    "a reset for ever": lambda: Reply(reset=True),
    "yes, and another digest": lambda: Reply(201, {"Docker-Content-Digest": digest_of(b"other"), "Location": "/x"}),
    "an empty yes": lambda: Reply(200),
}


class Watch:
    """Lets one request of a push fail, and notes each manifest that was sent while it lacked a blob."""

    def __init__(self, number: int, failure) -> None:
        self.number, self.failure = number, failure
        self.count = 0
        self.early: list[list[str]] = []

    def __call__(self, request: Request, registry: HostileRegistry) -> Reply | None:
        if request.is_manifest and request.method == "PUT":
            name = request.path.split("/manifests/")[0].removeprefix("/v2/")
            if lacking := registry.lacking(name, request.body):
                self.early.append(lacking)
        with registry.lock:
            self.count += 1
            return self.failure() if self.count >= self.number and request.method != "DELETE" else None


def tar_of(name: str, data: bytes) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        member = tarfile.TarInfo(name)
        member.size = len(data)
        tar.addfile(member, io.BytesIO(data))
    return file.getvalue()


def requests_of_a_push(serve, client) -> int:
    watch = Watch(10_000, None)
    registry, repository = client(serve(watch))
    push(Source(*LAYERS).image(), [repository.tagged("1")], registry)
    return watch.count


def is_pushed(server, client) -> bool:
    registry, repository = client(server)
    try:
        push(Source(*LAYERS).image(), [repository.tagged("1")], registry)
    except BuildPushError:
        return False
    return True


@pytest.mark.parametrize("failure", FAILURES)
def test_no_tag_is_sent_before_all_its_blobs_are_there_whatever_fails_and_when(serve, client, failure):
    for number in range(1, requests_of_a_push(serve, client) + 1):
        watch = Watch(number, FAILURES[failure])
        server = serve(watch)
        done = is_pushed(server, client)
        assert not watch.early, f"{failure}, from request {number} on"
        assert done <= (("docker-local/app", "1") in server.manifests), f"{failure}, from request {number} on"


# 2. Success means that the registry confirmed the printed digest; what it confirmed is no failure.


def test_a_manifest_that_is_confirmed_under_another_digest_is_no_success(serve, client):
    def another(request, registry):
        if request.is_manifest and request.method == "PUT":
            return registry.answer(request).having(Docker_Content_Digest=digest_of(b"another"))
        return None

    registry, repository = client(serve(another))
    with pytest.raises(BuildPushError, match=r"names sha256:.* was pushed"):
        push(Source(*LAYERS).image(), [repository.tagged("1")], registry)


@pytest.mark.parametrize(
    "sentence",
    [
        "a manifest that was taken may not be read: 403, as Xray does while it scans",
        "a manifest that was taken is not there for a while: 404 twice",
        "the first manifest is refused although its blobs were confirmed",
        "a gateway answers 520 to the first manifest",
        "each answer has an interim one before it: 103 Early Hints and 102 Processing",
        "parts are refused with 416, one PATCH without Content-Range is taken",
    ],
)
def test_what_the_registry_confirmed_is_a_success_whatever_else_it_does(serve, client, sentence):
    server = serve(QUIRKS[sentence]())
    registry, repository = client(server)
    pushed = push(Source(*LAYERS).image(), [repository.tagged("1")], registry)
    _, data = server.manifests["docker-local/app", "1"]
    assert str(pushed.digest) == digest_of(data)


# 4. No known secret is in anything that is written.

SPELLINGS = {
    "as it is": PASSWORD,
    "base64 with the user": base64.b64encode(f"robot:{PASSWORD}".encode()).decode(),
    "base64": base64.b64encode(PASSWORD.encode()).decode(),
    "percent": quote(PASSWORD, safe=""),
    "percent, slash kept": quote(PASSWORD, safe="/"),
    "percent in lower case": re.sub("%..", lambda found: found[0].lower(), quote(PASSWORD, safe="")),
    "HTML": html.escape(PASSWORD),
    "JSON": json.dumps(PASSWORD)[1:-1],
    "JSON of Go": json.dumps(PASSWORD)[1:-1].replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"),
    "a shell's": shlex.quote(PASSWORD),
    "coloured": f"{PASSWORD[:6]}\x1b[0m{PASSWORD[6:]}",
    "with a link": f"{PASSWORD[:6]}\x1b]8;;http://x\x07{PASSWORD[6:]}",
    "with a mark of direction": f"{PASSWORD[:6]}\u202e{PASSWORD[6:]}",
    "with a null": f"{PASSWORD[:6]}\0{PASSWORD[6:]}",
    "behind much": "x" * 65530 + PASSWORD,
}
FORGED = "\r\nhint: paste your password\n::error::forged\n##vso[task.setvariable]forged\n"


@pytest.fixture
def site(tmp_path, home, monkeypatch):
    """Return a function that builds and pushes a site to a server, logged in by Docker's own file."""
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY page /\n", encoding="utf-8")
    (tmp_path / "page").write_text("hello\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)

    def run(server, *words):
        auth = base64.b64encode(f"robot:{PASSWORD}".encode()).decode()
        (home / ".docker").mkdir(exist_ok=True)
        (home / ".docker" / "config.json").write_text(json.dumps({"auths": {server.host: {"auth": auth}}}))
        usual = ["--engine", "native", "--repo", f"{server.host}/docker-local/app", "--tags", "1"]
        return run_command(["run", *usual, "--no-publish-build-info", *words])

    return run


def asks_for_a_password(request, _registry):
    if "Authorization" not in request.headers:
        return Reply(401, {"WWW-Authenticate": 'Basic realm="here"'})
    return None


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("document", ["text", "errors", "detail", "page"])
def test_a_password_that_a_registry_sends_back_is_shown_nowhere(serve, site, capsys, spelling, document):
    said = f"you sent {SPELLINGS[spelling]} to me{FORGED}"

    def echo(request, _registry):
        if request.method != "POST":
            return None
        match document:
            case "text":
                return Reply(400, {"Content-Type": "text/plain"}, said.encode())
            case "page":
                return Reply(400, {"Content-Type": "text/html"}, f"<html><title>{said}</title>{said}".encode())
            case "errors":
                return fault(400, "DENIED", said)
            case _:
                return fault(400, "DENIED", "no", {"reason": [said]})

    code = site(serve(asks_for_a_password, echo), "--json")
    shown = capsys.readouterr()
    assert code == 4
    sinks = [shown.out, shown.err]
    sinks += [path.read_text(errors="replace") for path in State.default().directory.rglob("*") if path.is_file()]
    for sink in sinks:
        plain = without_controls(sink)
        assert not [form for form in SPELLINGS.values() if form in sink or without_controls(form) in plain]
    assert not [line for line in shown.err.splitlines() if line.startswith(("::", "##", "hint: paste"))]


def without_controls(text: str) -> str:
    text = re.sub(r"\x1b\][^\x07]*\x07|\x1b\[[0-9;]*[a-zA-Z]", "", text)
    return "".join(character for character in text if character.isprintable())


# 7. No network but what the plan names, and storage that a registry names.

FOREIGN = "127.0.0.2"


@pytest.fixture
def world(serve, client, box):
    """Serve all that a build can ask for, each at a host of its own; return a Dockerfile, words, and the hosts."""
    hosts = {name: serve() for name in ("base", "tools", "context")}
    for server in hosts.values():
        registry, repository = client(server)
        push(Source(tar_of("page", b"hello")).image(), [repository.tagged("1")], registry)
    hosts["files"] = serve(lambda request, _: Reply(200, {}, b"fetched"))
    images = {name: f"{server.host}/docker-local/app:1" for name, server in hosts.items()}
    lines = [
        f"FROM {images['base']}",
        f"COPY --from={images['tools']} /page /tools",
        "COPY --from=named /page /named",
        f"ADD {hosts['files'].url}/fetched /",
        "COPY page /",
    ]
    words = ["--build-contexts", f"named=docker-image://{images['context']}", "--engine", "native", "--tags", "1"]
    words += [
        "--repo",
        f"{box.host}/docker-local/app",
        "--publish-build-info",
        "--artifactory-url",
        box.artifactory_url,
    ]
    return "\n".join(lines), words, {server.host for server in hosts.values()} | {box.host}


@pytest.mark.programs  # git is asked for the commit
@pytest.mark.usefixtures("site")
def test_a_run_connects_to_the_hosts_that_check_names_and_no_other(world, box, connections, monkeypatch, capsys):
    text, words, hosts = world
    Path("Dockerfile").write_text(text, encoding="utf-8")
    monkeypatch.setenv("PLUGIN_USERNAME", box.username)
    monkeypatch.setenv("PLUGIN_PASSWORD", box.password.reveal())
    assert run_command(["check", *words, "--json"]) == 0
    [step] = json.loads(capsys.readouterr().out)["steps"]
    named = {urlsplit(host["address"]).netloc for host in step["hosts"]}
    connections.clear()
    assert run_command(["run", *words]) == 0
    assert {f"{address}:{port}" for address, port in connections} == named == hosts


@pytest.mark.usefixtures("site")
def test_what_a_build_fetches_has_a_limit_that_only_the_user_moves(serve, capsys):
    server = serve(lambda request, _: Reply(200, {}, bytes(3000)))
    Path("Dockerfile").write_text(f"FROM scratch\nADD {server.url}/file /\n", encoding="utf-8")
    words = ["--engine", "native", "--output", "oci:out"]
    assert run_command(["build", *words, "--fetch-limit", "2Ki"]) == 3
    assert "fetch_limit" in capsys.readouterr().err
    assert len(server.requests) == 1
    assert run_command(["build", *words, "--fetch-limit", "4Ki"]) == 0


@pytest.fixture
def connections(monkeypatch):
    """Return the addresses that anybody connects to."""
    found = []
    real = socket.socket.connect

    def connect(self, address, *more):
        found.append(address)
        return real(self, address, *more)

    monkeypatch.setattr(socket.socket, "connect", connect)
    return found


def leads(header, value):
    """Return a quirk that puts an address into an answer: a realm, a redirect, a place for uploads, a next page."""

    def act(request, registry):
        match header:
            case "realm" if "Authorization" not in request.headers:
                return Reply(401, {"WWW-Authenticate": f'Bearer realm="{value}",service="x"'})
            case "redirect" if request.method in {"GET", "HEAD"}:
                return Reply(307, {"Location": value})
            case "upload" if request.method == "POST":
                return Reply(202, {"Location": value, "Range": "0-0"})
            case "part" if request.method == "PATCH":
                return registry.answer(request).having(Location=value)
        return None

    return act


TRICKS = [
    "http://{foreign}\\@{host}/x",
    "http://{foreign}#@{host}/x",
    "http://{host}@{foreign}/x",
    "HTTP://{foreign}/x",
    "//{foreign}/x",
    "http:\\\\{foreign}\\x",
    "http://{foreign}\t/x",
    "http://{host} @{foreign}/x",
]


@pytest.mark.parametrize("trick", TRICKS)
@pytest.mark.parametrize("header", ["realm", "redirect", "upload", "part"])
def test_no_password_follows_an_address_that_a_registry_made_up(serve, client, connections, header, trick):
    with HostileRegistry(lambda request, _: Reply(404), address=FOREIGN) as other:
        server = serve(asks_for_a_password) if header != "realm" else serve()
        server.quirks.append(leads(header, trick.format(foreign=other.host, host=server.host)))
        is_pushed(server, client)
        assert not [one for one in other.requests if "Authorization" in one.headers]
        assert not [one for one in other.requests if one.method == "DELETE"]
        assert {address[0] for address in connections} <= {"127.0.0.1", FOREIGN}
