"""One table of logins for a run: each credential opens its own host, for every step, and is sent nowhere else."""

from __future__ import annotations

import base64
import itertools
import json
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

import buildpush
from buildpush import places
from buildpush.artifactory import publishing
from buildpush.credentials.docker import Credential, Keychain
from buildpush.engines.docker.buildkit import auths
from buildpush.foundation.errors import AuthenticationError, BuildPushError
from buildpush.foundation.secrets import Secret
from buildpush.http import client
from buildpush.pipeline import tools
from buildpush.places import CommandResult, Recorded
from tests.connectors import connector, connectors

sandbox = pytest.mark.sandbox

BUILD = """\
- step:
    type: BuildAndPushDockerRegistry
    name: Build
    identifier: build_{n}
    spec:
      repo: {repo}
      tags: ["{n}"]
      {more}
      envVariables: {{PLUGIN_ENGINE: native, {variables}}}
"""
PUBLISH = """\
- step:
    type: Plugin
    name: Publish
    identifier: publish_{n}
    spec:
      connectorRef: account.plugins
      image: plugins/artifactory-publish-docker-buildinfo
      settings:
        url: http://{host}/artifactory/
        docker_image: {image}
        build_name: site
        build_number: "{n}"
        {more}
"""


class Place:
    """A directory with a Dockerfile, and a run of steps against the sandbox in it."""

    def __init__(self, directory, box, monkeypatch):
        self.directory, self.box, self.setenv = directory, box, monkeypatch.setenv
        self.numbers = itertools.count(1)
        self.setenv("BUILDPUSH_SECRET_ORG_ARTIFACTORY_TOKEN", box.token.reveal())
        self.setenv("OF_CONNECTOR", box.password.reveal())
        (directory / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /a\n")
        (directory / "c.yml").write_text(connectors(connector(box.url, box.username, "env:OF_CONNECTOR")))

    def build(self, more="connectorRef: jfrog", repo="docker-local/site", variables=""):
        return BUILD.format(n=next(self.numbers), repo=repo, more=more, variables=variables)

    def publish(self, more='access_token: <+secrets.getValue("org.artifactory_token")>', image=None):
        image = image or f"{self.box.host}/docker-local/site:1"
        return PUBLISH.format(n=next(self.numbers), host=self.box.host, image=image, more=more)

    def file(self, *steps):
        (self.directory / "p.yml").write_text("".join(steps))
        return self.directory / "p.yml"

    def run(self, *steps):
        return buildpush.run_pipeline(self.file(*steps), connectors="c.yml")

    def check(self, *steps):
        return buildpush.check_pipeline(self.file(*steps), connectors="c.yml")


@pytest.fixture(autouse=True)
def _without_git_and_waiting(monkeypatch):
    monkeypatch.setitem(publishing.publish.__kwdefaults__, "sleep", lambda _: None)
    monkeypatch.setattr(client, "Http", partial(client.Http, sleep=lambda _: None))
    for room in (places, tools):
        monkeypatch.setattr(room, "Here", lambda *_, **__: Recorded(lambda _: CommandResult(128)))


@pytest.fixture
def place(tmp_path, monkeypatch, box):
    monkeypatch.chdir(tmp_path)
    return Place(tmp_path, box, monkeypatch)


@sandbox
def test_a_build_then_build_info_by_a_token_alone(place, box):
    built, published = place.run(place.build(), place.publish())
    assert built.digest == published.digest
    assert str(built.digest).removeprefix("sha256:") in json.dumps(box.builds())


@sandbox
@pytest.mark.parametrize(
    "more",
    [
        "access_token: env:OF_CONNECTOR_TOKEN",
        "access_token: env:OF_CONNECTOR_TOKEN\n        username: developer",
        "access_token: env:OF_CONNECTOR_TOKEN\n        username: whoever-that-is",
    ],
)
@pytest.mark.parametrize("image", ["docker-local/site:1", None])
def test_a_token_alone_opens_the_registry_of_its_artifactory(place, box, more, image):
    place.setenv("OF_CONNECTOR_TOKEN", box.token.reveal())
    place.run(place.build())
    (published,) = place.run(place.publish(more, image))
    assert published.published is not None
    assert len(box.builds()) == 1


@sandbox
def test_a_step_without_a_login_has_that_of_the_step_before_it(place, box):
    _, published = place.run(place.build(), place.publish(more=""))
    assert published.published is not None
    plans = place.check(place.build(), place.publish(more=""))
    assert plans[1].credential == f"{box.username}, from connector jfrog"
    assert plans[1].order.sources["artifactory credentials"] == "connector jfrog"


@sandbox
@pytest.mark.programs
def test_a_resumed_run_has_the_logins_of_steps_that_are_not_run_again(place, box, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(place.directory / "state"))
    other = {"repo": f"{box.host}/docker-local/other", "more": ""}
    file = place.file(place.build(), place.build(**other))
    box.add_fault("PUT", "/other/manifests/", status=403, times=1)
    with pytest.raises(BuildPushError):
        buildpush.run_pipeline(file, connectors="c.yml")
    first, second = buildpush.run_pipeline(file, connectors="c.yml", resume=True)
    assert first.as_json()["resumed"]
    assert box.digest("docker-local/other", "2") == str(second.digest)


@sandbox
def test_a_build_without_a_login_has_the_token_of_the_step_before_it(place, box):
    place.run(place.build())
    _, pushed = place.run(place.publish(), place.build(more="", repo=f"{box.host}/docker-local/other"))
    assert box.digest("docker-local/other", "3") == str(pushed.digest)


@sandbox
def test_the_own_login_of_a_step_comes_before_that_of_another(place, box):
    plans = place.check(place.build(), place.publish())
    first, second = (plan.credential for plan in plans)
    assert first.endswith(", from connector jfrog")
    assert second.endswith("p.yml:22:9")


@sandbox
def test_the_login_of_base_images_is_for_no_push_of_a_later_step(place, box):
    first = place.build(more="baseImageConnectorRefs: [jfrog]", repo="other.test/site")
    plans = place.check(first, place.build(more="", repo=f"{box.host}/docker-local/site"))
    assert [plan.credential for plan in plans] == ["none found", "none found"]


@sandbox
def test_a_login_of_a_run_is_not_there_in_the_next(place):
    place.run(place.build())
    with pytest.raises(AuthenticationError, match="requires credentials"):
        place.run(place.publish(more=""))


@sandbox
@pytest.mark.parametrize("login", [{"JF_ACCESS_TOKEN": "token"}, {"JF_USER": "username", "JF_PASSWORD": "password"}])
def test_jfrogs_variables_open_the_registry_of_their_own_host(place, box, login):
    for name, attribute in login.items():
        value = getattr(box, attribute)
        place.setenv(name, value if isinstance(value, str) else value.reveal())
    repo = f"{box.host}/docker-local/site"
    with pytest.raises(AuthenticationError, match="requires credentials"):
        place.run(place.build(more="", repo=repo))
    place.setenv("JF_URL", box.url)
    place.run(place.build(more="", repo=repo))
    assert box.digest("docker-local/site", "2")


def test_whoever_is_named_for_a_host_comes_before_dockers_files_and_these_before_jfrogs_variables(tmp_path):
    def login(name):
        return Credential(name, Secret(f"word-of-{name}", name), name)

    text = json.dumps({"auths": {"a.test": {"username": "docker", "password": "w0rd"}}})
    for given, env, found in (
        ({"a.test": login("own")}, {"DOCKER_AUTH_CONFIG": text}, "own"),
        ({"b.test": login("own")}, {"DOCKER_AUTH_CONFIG": text}, "docker"),
        ({}, {}, "last"),
    ):
        chain = Keychain(given, last={"a.test": login("last")}, env=env, home=tmp_path)
        assert chain.find("a.test").username == found
        assert chain.find("c.test") is None


@pytest.mark.parametrize(
    ("claims", "user"),
    [
        ('{"sub":"jfac@01abc/users/ci-bot"}', "ci-bot"),
        ('{"sub":"ci-bot"}', "ci-bot"),
        ('{"sub":"jfac@01/users/a:b"}', ""),
        ('{"sub":"jfac@01/users/a\\nb"}', ""),
        ('{"sub":7}', ""),
        ("[]", ""),
        ("{", ""),
    ],
)
def test_an_access_token_names_its_user(claims, user):
    part = base64.urlsafe_b64encode(claims.encode()).decode().rstrip("=")
    assert Credential("", Secret(f"e30.{part}.sig", "t"), "t", "access").user == user
    assert Credential("me", Secret(f"e30.{part}.sig", "t"), "t", "access").user == "me"
    assert Credential("", Secret(f"e30.{part}.sig", "t"), "t").user == ""


def test_a_token_without_parts_names_nobody():
    assert Credential("", Secret("cmVmdGtuOjAxOjE3", "t"), "t", "access").user == ""


# ---- each credential goes to its own host: sources of logins and hosts and orders of steps

HOSTS = ("one.test", "two.test", "one.test:8443")
LOGINS = {
    "connector": BUILD.replace("{more}", "connectorRef: {id}"),
    "password": BUILD.replace(
        "{variables}",
        "PLUGIN_USERNAME: me, PLUGIN_PASSWORD: 'env:WORD_{id}', PLUGIN_REGISTRY: '{host}'",
    ),
    "docker_config": BUILD.replace("{variables}", "PLUGIN_CONFIG: 'env:CONFIG_{id}'"),
    "artifactory_token": BUILD.replace(
        "{variables}",
        "PLUGIN_ARTIFACTORY_URL: 'https://{host}/artifactory', PLUGIN_ARTIFACTORY_TOKEN: 'env:WORD_{id}'",
    ),
    "access_token": PUBLISH.replace("http:", "https:").replace("{more}", "access_token: env:WORD_{id}"),
    "user": PUBLISH.replace("http:", "https:").replace("{more}", "username: me\n        api_key: env:WORD_{id}"),
    "none": BUILD,
    "none-publish": PUBLISH.replace("http:", "https:"),
}


def step_of(login, host, n):
    """Return a step with a *login* for *host*."""
    identifier = f"c{HOSTS.index(host)}"
    known = {"host": host, "id": identifier, "n": n, "more": "", "variables": ""}
    return LOGINS[login].format(repo=f"{host}/docker-local/site", image=f"{host}/docker-local/site:1", **known)


PAIRS = list(itertools.product(LOGINS, HOSTS))


@pytest.mark.parametrize(("login", "host"), PAIRS)
def test_no_step_gets_a_login_for_another_host(tmp_path, monkeypatch, login, host):
    """The first step is this one, the second any other: what each knows of a host was given for this host."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    entries = []
    for n, one in enumerate(HOSTS):
        word = f"word-for-{one}"
        monkeypatch.setenv(f"WORD_c{n}", word)
        monkeypatch.setenv(f"CONFIG_c{n}", json.dumps({"auths": {one: {"username": "me", "password": word}}}))
        entries.append(connector(f"https://{one}", "me", f"env:WORD_c{n}", name=f"c{n}"))
    (tmp_path / "c.yml").write_text(connectors(*entries))
    for other, there in PAIRS:
        (tmp_path / "p.yml").write_text(step_of(login, host, 1) + step_of(other, there, 2))
        plans = buildpush.check_pipeline("p.yml", connectors="c.yml")
        for plan in plans:
            found = {host: one.password.reveal() for host, one in plan.order.credentials.items()}
            assert found == {host: f"word-for-{host}" for host in found}
            target = plan.order.artifactory
            if target and target.credential:
                assert target.credential.password.reveal() == f"word-for-{target.host}"
        if host == there and not login.startswith("none"):
            assert host in plans[1].order.credentials, (other, "the second step knows what the first one knew")


# ---- registries that send on to another host: sources of logins and ways to lead elsewhere and orders of steps


class Elsewhere(ThreadingHTTPServer):
    """A server at another host that takes everything and notes what it was sent."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.2", 0), _Taker)
        self.taken = []

    @property
    def url(self):
        return f"http://127.0.0.2:{self.server_address[1]}"


class _Taker(BaseHTTPRequestHandler):
    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.taken.append(f"{self.path} {self.headers} {body[:4096]!r}")
        self.send_response(404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        """Say nothing."""


for _method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"):
    setattr(_Taker, f"do_{_method}", _Taker.answer)


@contextmanager
def elsewhere() -> Iterator[Elsewhere]:
    with ExitStack() as stack:
        server = stack.enter_context(Elsewhere())
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        stack.callback(server.shutdown)
        yield server


def challenge(url):
    return {"WWW-Authenticate": f'Bearer realm="{url}/token",service="x"'}


TRICKS = {
    "a realm elsewhere": lambda url: {"method": "GET", "path": "^/v2/$", "status": 401, "headers": challenge(url)},
    "a later realm elsewhere": lambda url: {
        "method": "*",
        "path": "/(manifests|blobs)/",
        "status": 401,
        "headers": challenge(url),
    },
    "reads elsewhere": lambda url: {
        "method": "GET",
        "path": "/(manifests|blobs)/",
        "status": 307,
        "headers": {"Location": f"{url}/there"},
    },
    "uploads elsewhere": lambda url: {
        "method": "POST",
        "path": "uploads",
        "status": 202,
        "headers": {"Location": f"{url}/upload"},
    },
    "the first question elsewhere": lambda url: {
        "method": "GET",
        "path": "^/v2/$",
        "status": 307,
        "headers": {"Location": f"{url}/v2/"},
    },
    "Artifactory elsewhere": lambda url: {
        "method": "*",
        "path": "^/artifactory/api/",
        "status": 307,
        "headers": {"Location": f"{url}/api"},
    },
}
RUNS = {
    "connector, then token": lambda place: (place.build(), place.publish()),
    "token, then nothing": lambda place: (
        place.publish(),
        place.build(more="", repo=f"{place.box.host}/docker-local/site"),
    ),
    "connector, then nothing": lambda place: (place.build(), place.publish(more="")),
    "token alone": lambda place: (place.publish(),),
    "user and token": lambda place: (place.publish("username: developer\n        access_token: env:TOKEN"),),
    "user and password": lambda place: (place.publish("username: developer\n        password: env:OF_CONNECTOR"),),
    "variables": lambda place: (
        place.build(
            more="",
            variables="PLUGIN_USERNAME: developer, PLUGIN_PASSWORD: 'env:OF_CONNECTOR', PLUGIN_REGISTRY: "
            f"'{place.box.host}', PLUGIN_PUBLISH_BUILD_INFO: 'true'",
        ),
    ),
}


@sandbox
@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("trick", TRICKS)
def test_whoever_leads_elsewhere_gets_no_credential_there(place, box, run, trick):
    place.setenv("TOKEN", box.token.reveal())
    place.run(place.build())
    (place.directory / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /changed\n")
    with elsewhere() as other:
        what = TRICKS[trick](other.url)
        box.add_fault(what.pop("method"), what.pop("path"), times=1000, **what)
        try:
            place.run(*RUNS[run](place))
        except BuildPushError as error:
            shown = f"{error} {error.hint}"
            assert box.token.reveal() not in shown
        assert other.taken or run != "connector, then token"
        for text in other.taken:
            lower = text.lower()
            assert "authorization:" not in lower
            assert "x-jfrog-art-api" not in lower
            assert box.token.reveal() not in text
            assert box.password.reveal() not in text


def test_engines_get_a_token_as_the_password_of_its_user_or_as_it_is():
    def login(token, username=""):
        return auths({"a.test": Credential(username, Secret(token, "t"), "t", "access")})["a.test"]

    claims = base64.urlsafe_b64encode(b'{"sub":"jfac@01/users/ci"}').decode().rstrip("=")
    token = f"e30.{claims}.sig"
    assert login(token) == {"auth": base64.b64encode(f"ci:{token}".encode()).decode()}
    assert login("of-no-user", "me") == {"auth": base64.b64encode(b"me:of-no-user").decode()}
    assert login("of-no-user") == {"registrytoken": "of-no-user"}
