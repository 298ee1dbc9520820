"""Which certificates the build-info step trusts: those of its settings, at the host of its url alone."""

from __future__ import annotations

import http.client
import json
import os
import shlex
import ssl
import threading
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

import buildpush
from buildpush.artifactory import publishing
from buildpush.cli import run_command
from buildpush.engines.bases import authorities
from buildpush.foundation.errors import BuildInfoError, BuildPushError, SecretError, SettingsError, UnreachableError
from buildpush.http import client
from buildpush.pipeline.finishing import trust_flags
from tests.http.servers import Client, serving_tls

pytestmark = pytest.mark.programs  # openssl makes the certificates

STEP = """\
- step:
    type: Plugin
    identifier: info
    spec:
      image: plugins/artifactory-publish-docker-buildinfo
      settings:
        url: {url}/artifactory/
        docker_image: {image}
        build_name: site
        build_number: "7"
        access_token: env:TOKEN
{more}
"""


class _Front(BaseHTTPRequestHandler):
    """Sends on, to a sandbox, what came by TLS."""

    protocol_version = "HTTP/1.1"

    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        inner = http.client.HTTPConnection(self.server.box.host)
        inner.request(self.command, self.path, body, {**self.headers, "X-Forwarded-Proto": "https"})
        found = inner.getresponse()
        content = found.read()
        self.send_response(found.status)
        lengths = {"content-length", "transfer-encoding"}
        for name, value in found.getheaders():
            if name.lower() not in lengths or self.command == "HEAD":
                self.send_header(name, value)
        if self.command != "HEAD":
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        inner.close()

    def log_message(self, *_):
        """Say nothing."""


for _method in ("GET", "HEAD", "POST", "PUT"):
    setattr(_Front, f"do_{_method}", _Front.answer)


@contextmanager
def front(box, directory):
    """Give the address of a TLS server in front of the sandbox, with a certificate of an authority of its own."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Front) as server:
        server.box, server.daemon_threads, server.handle_error = box, True, lambda *_: None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(directory / "good.pem", directory / "good.key")
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield f"https://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.fixture
def say(box, tmp_path, monkeypatch, certificates):
    """Return what runs the build-info step with further settings; an image is there."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TOKEN", box.token.reveal())
    monkeypatch.setitem(publishing.publish.__kwdefaults__, "sleep", lambda _: None)
    monkeypatch.setattr(client, "Http", partial(client.Http, sleep=lambda _: None))
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    (tmp_path / "ca.pem").write_bytes((certificates / "ca.pem").read_bytes())
    login = {"USERNAME": box.username, "PASSWORD": box.password.reveal(), "REGISTRY": box.host, "ENGINE": "native"}
    env = {f"PLUGIN_{name}": value for name, value in login.items()} | {"PLUGIN_TAGS": "1"}
    buildpush.run(env=env | {"PLUGIN_REPO": f"{box.host}/docker-local/site"}, cwd=tmp_path)
    with front(box, certificates) as one:

        def call(more="", image="docker-local/site:1", url=one, do=buildpush.run_pipeline):
            (tmp_path / "p.yml").write_text(STEP.format(url=url, image=image, more=more))
            return do("p.yml")[0]

        yield call


def written(more, **variables):
    """Return *more* as settings of the step."""
    return "\n".join(f"        {line}" for line in more.format(**variables).splitlines())


def test_a_private_authority_is_not_trusted_by_itself(say, box):
    with pytest.raises(BuildPushError, match="certificate"):
        say()
    assert box.builds() == []


@pytest.mark.parametrize(
    "more",
    [
        "insecure: true",
        "pem_file_path: ca.pem",
        "pem_file_contents: file:ca.pem",
        "pem_file_contents: env:CA",
        'pem_file_contents: <+secrets.getValue("ca")>',
        "pem_file_contents: |\n{indented}",
    ],
)
def test_a_certificate_is_trusted_where_a_setting_says_so(say, box, tmp_path, monkeypatch, more):
    text = (tmp_path / "ca.pem").read_text()
    for name in ("CA", "BUILDPUSH_SECRET_CA"):
        monkeypatch.setenv(name, text)
    indented = "".join(f"  {line}\n" for line in text.splitlines())
    published = say(written(more, indented=indented))
    (build,) = box.builds()
    assert published.digest.removeprefix("sha256:") in json.dumps(build)


def test_a_certificate_of_a_variable_is_trusted_as_well(say, box, tmp_path, monkeypatch):
    monkeypatch.setenv("PLUGIN_PEM_FILE_CONTENTS", (tmp_path / "ca.pem").read_text())
    say()
    assert len(box.builds()) == 1


def test_a_host_that_is_named_without_its_port_is_insecure_at_every_port(tmp_path, certificates):
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    step = {"cwd": tmp_path, "env": {}, "repo": "a.test:8443/b/c", "insecure_registry": "a.test", "engine": "native"}
    named = {"a.test:8443": str(certificates / "ca.pem")}
    plan = buildpush.check(**step, artifactory_url="https://a.test:8443/artifactory", registry_certificate=named)
    assert list(trust_flags(plan.order, "a.test:8443")) == ["--insecure"]
    assert "registry_certificate has no effect on a.test:8443: it may have any certificate" in plan.notes


@pytest.mark.parametrize("more", ["insecure: true", "pem_file_path: ca.pem"])
def test_it_is_trusted_at_the_host_of_the_url_alone(say, more):
    order = say(
        written(more), url="https://a.test", image="b.test/docker-local/site:1", do=buildpush.check_pipeline
    ).order
    assert {*order.insecure, *order.authorities} == {"a.test"}


def test_a_certificate_is_trusted_at_no_other_host(certificates):
    authorities = {"127.0.0.2": (certificates / "ca.pem").read_text()}
    with (
        serving_tls(certificates, "good") as url,
        Client(authorities=authorities) as http,
        pytest.raises(UnreachableError, match="certificate"),
    ):
        http.request("GET", url)
    authorities = {"127.0.0.1": authorities["127.0.0.2"]}
    with serving_tls(certificates, "good") as url, Client(authorities=authorities) as http:
        assert http.request("GET", url).ok


@pytest.mark.parametrize(
    ("more", "url", "note"),
    [
        ("insecure: true", "http://a.test", "insecure has no effect: url has no TLS"),
        ("pem_file_path: ca.pem", "http://a.test", "pem_file_path has no effect: url has no TLS"),
        ("insecure: true\npem_file_path: ca.pem", "https://a.test", "pem_file_path has no effect: insecure trusts"),
        ("pem_file_contents: file:ca.pem\npem_file_path: b.pem", "https://a.test", "pem_file_contents comes first"),
    ],
)
def test_what_has_no_effect_has_a_note(say, more, url, note):
    plan = say(written(more), url=url, do=buildpush.check_pipeline)
    assert [text for text in plan.notes if note in text]
    assert plan.order.insecure == ({"a.test"} if "insecure" in more and url.startswith("https") else set())


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("pem_file_path: none.pem", "pem_file_path 'none.pem' cannot be read: No such file"),
        ("pem_file_path: .", "cannot be read: Is a directory"),
        ("pem_file_path: pipe", "pem_file_path 'pipe' is a pipe, which can be read only once"),
        ("pem_file_path: Dockerfile", "pem_file_path holds no certificate that can be read"),
        ("pem_file_path: both.pem", "pem_file_path holds a private key"),
        ("pem_file_path: large.pem", "pem_file_path 'large.pem' is larger than 1 MiB"),
        ("pem_file_contents: env:WORD", "pem_file_contents holds no certificate that can be read"),
        ("pem_file_contents: env:NOWHERE", "the variable NOWHERE is not set"),
        ("pem_file_contents: |\n  -----BEGIN CERTIFICATE-----\n  broken", "holds no certificate that can be read"),
    ],
)
def test_what_is_no_authority_is_refused_before_anything_is_asked(
    say, box, tmp_path, certificates, more, words, monkeypatch
):
    monkeypatch.setenv("WORD", "a plain word")
    key = (certificates / "ca.key").read_text()
    authority = (certificates / "ca.pem").read_text()
    (tmp_path / "both.pem").write_text(authority + key)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "large.pem").write_text(authority + "# no certificate\n" * 70_000)
    asked = len(box.requests)
    with pytest.raises(SettingsError) as caught:
        say(written(more))
    assert words in str(caught.value)
    assert caught.value.where == "p.yml:12:9"
    assert len(box.requests) == asked


def test_a_private_key_in_the_file_is_a_secret_in_plain_text(say, tmp_path, certificates, capsys):
    lines = ((certificates / "ca.pem").read_text() + (certificates / "ca.key").read_text()).splitlines()
    with pytest.raises(SecretError, match="plain text") as caught:
        say(written("pem_file_contents: |\n" + "\n".join(f"  {line}" for line in lines)))
    assert lines[-2] not in str(caught.value)
    assert run_command(["check", "p.yml"]) == 2
    assert lines[-2] not in "".join(capsys.readouterr())


def test_a_host_with_a_certificate_may_be_written_in_capitals(tmp_path, certificates):
    (tmp_path / "Dockerfile").write_text("FROM bases.test:5000/a@sha256:" + 64 * "a" + "\n")
    path = str(certificates / "ca.pem")
    step = {"cwd": tmp_path, "env": {}, "repo": "a.test/b/c", "engine": "native"}
    plan = buildpush.check(**step, registry_certificate={"Bases.TEST": path})
    assert plan.order.authorities.keys() == {"bases.test"}
    assert [note for note in plan.notes if "registry_certificate" in note] == []
    with pytest.raises(SettingsError, match=r"registry_certificate names bases\.test twice"):
        buildpush.check(**step, registry_certificate={"Bases.TEST": path, "bases.test": path})


def test_a_step_that_builds_trusts_a_certificate_at_its_own_host_alone(tmp_path, certificates):
    (tmp_path / "Dockerfile").write_text("FROM bases.test:5000/a@sha256:" + 64 * "a" + "\n")
    hosts = ("a.test", "bases.test", "elsewhere.test", "open.test")
    more = {
        "insecure_registry": "open.test",
        "registry_certificate": dict.fromkeys(hosts, str(certificates / "ca.pem")),
    }
    plan = buildpush.check(cwd=tmp_path, env={}, repo="a.test/b/c", engine="native", **more)
    assert plan.order.authorities.keys() == plan.order.request.authorities.keys() == {*hosts}
    assert [note for note in plan.notes if "registry_certificate" in note] == [
        "registry_certificate has no effect on elsewhere.test: no request goes there",
        "registry_certificate has no effect on open.test: it may have any certificate",
    ]


def test_certificates_that_a_file_names_by_harness_ca_path_are_trusted_by_all_its_steps(tmp_path, certificates):
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    (tmp_path / "ca.pem").write_bytes((certificates / "ca.pem").read_bytes())
    build = {"repo": "a.test/docker-local/site", "tags": ["2"], "envVariables": {"PLUGIN_ENGINE": "native"}}
    info = {"url": "https://a.test", "docker_image": "docker-local/site:2", "build_name": "site", "build_number": "7"}
    plugin = {
        "image": "plugins/artifactory-publish-docker-buildinfo",
        "settings": {**info, "access_token": "env:TOKEN"},
    }
    steps = [
        {"step": {"type": "BuildAndPushDockerRegistry", "identifier": "site", "spec": build}},
        {"step": {"type": "Plugin", "identifier": "info", "spec": plugin}},
    ]
    trust = {"name": "HARNESS_CA_PATH", "type": "String", "value": "ca.pem"}
    stage = {"identifier": "s", "variables": [trust], "spec": {"execution": {"steps": steps}}}
    (tmp_path / "p.yml").write_text(json.dumps({"stage": stage}))
    plans = buildpush.check_pipeline("p.yml", cwd=tmp_path, env={"TOKEN": "t0ken"})
    assert [plan.step.identifier for plan in plans] == ["site", "info"]
    for plan in plans:
        assert plan.order.authorities == {"*": (certificates / "ca.pem").read_text()}
        assert not [note for note in plan.notes if "CA_PATH" in note or "ca_path" in note]


def test_a_bundle_with_comments_in_any_language_is_trusted_at_every_host(tmp_path, certificates):
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    (tmp_path / "ca.pem").write_text("# Főtanúsítvány\n" + (certificates / "ca.pem").read_text())
    plan = buildpush.check(cwd=tmp_path, env={}, repo="a.test/b/c", engine="native", ca_path="ca.pem")
    with serving_tls(certificates, "good") as url, Client(authorities=plan.order.authorities) as http:
        assert http.request("GET", url).ok
        # A registry on this machine is without TLS unless a setting names certificates for it in particular.
        assert http.first_scheme("127.0.0.1:5000") == "http"


def test_certificates_for_every_host_are_added_to_those_of_one(tmp_path, certificates):
    (tmp_path / "Dockerfile").write_text("FROM bases.test/a@sha256:" + 64 * "a" + "\n")
    path, text = str(certificates / "ca.pem"), (certificates / "ca.pem").read_text()
    step = {"cwd": tmp_path, "env": {}, "repo": "a.test/b/c", "ca_path": path}
    plan = buildpush.check(**step, engine="native", registry_certificate={"bases.test": path})
    assert plan.order.authorities == {"*": text, "bases.test": f"{text}\n{text}"}
    assert plan.order.request.authorities == plan.order.authorities
    assert not [note for note in plan.notes if "ca_path" in note or "certificate" in note]


def test_certificates_for_every_host_are_those_of_each_host_of_base_images(tmp_path, certificates):
    (tmp_path / "Dockerfile").write_text("FROM bases.test/a@sha256:" + 64 * "a" + "\n")
    request = buildpush.check(
        cwd=tmp_path, env={}, repo="a.test/b/c", engine="native", ca_path=str(certificates / "ca.pem")
    ).order.request
    assert list(authorities(request)) == ["bases.test"]


def test_certificates_for_no_host_have_a_note(tmp_path, certificates):
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    step = {"cwd": tmp_path, "env": {}, "repo": "a.test/b/c", "ca_path": str(certificates / "ca.pem")}
    plan = buildpush.check(**step, engine="native", push=False, tar_path="image.tar")
    assert "ca_path has no effect: no request is sent" in plan.notes
    plan = buildpush.check(**step, engine="native", insecure=True)
    assert "ca_path has no effect: every host may have any certificate, or has no TLS" in plan.notes
    (tmp_path / "Dockerfile").write_text("FROM bases.test/a@sha256:" + 64 * "a" + "\n")
    plan = buildpush.check(**step, engine="native", insecure=True)
    assert not [note for note in plan.notes if "ca_path" in note]


@pytest.mark.parametrize("more", ["insecure: true", "pem_file_path: ca.pem"])
def test_the_command_that_publishes_a_saved_build_info_trusts_what_the_step_trusts(say, box, more, capsys):
    box.add_fault("PUT", "/api/build", status=500, times=None)
    with pytest.raises(BuildInfoError) as caught:
        say(written(more))
    box.clear_faults()
    words = shlex.split(caught.value.hint[caught.value.hint.index("buildpush build-info publish") :])
    login = ["--artifactory-token", "env:TOKEN"]
    plain = [word for word in words[1:] if word not in {"--insecure", "--pem-file-path", "ca.pem"}]
    assert run_command([*plain, *login]) != 0
    assert box.builds() == []
    assert run_command([*words[1:], *login]) == 0
    assert len(box.builds()) == 1
    capsys.readouterr()
    flags = words[5:-1]
    assert run_command(["build-info", "show", "site", "7", "--json", *words[3:5], *flags, *login]) == 0
    assert json.loads(capsys.readouterr().out)["name"] == "site"


@pytest.mark.parametrize("more", [{"insecure": True}, {"pem_file_path": "ca.pem"}])
def test_builds_are_opened_where_a_keyword_trusts_the_server(say, box, certificates, more):
    say(written("insecure: true"))
    with front(box, certificates) as url:
        with buildpush.open_builds(url, artifactory_token="env:TOKEN", **more) as builds:
            assert [build.name for build in builds.list()] == ["site"]
        with (
            buildpush.open_builds(url, artifactory_token="env:TOKEN") as builds,
            pytest.raises(UnreachableError, match="certificate"),
        ):
            builds.list()


def test_an_error_about_certificates_names_the_keyword(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with (
        pytest.raises(SettingsError, match=r"pem_file_path 'none\.pem' cannot be read") as caught,
        buildpush.open_builds("https://a.test", pem_file_path="none.pem"),
    ):
        pytest.fail("it is opened")
    assert "--" not in str(caught.value)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--pem-file-path=none.pem"], "--pem-file-path: pem_file_path 'none.pem' cannot be read"),
        (["--insecure", "--ca-path=none.pem"], "--ca-path: ca_path 'none.pem' cannot be read"),
        (["--pem-file-contents=a plain word"], "plain text"),
    ],
)
def test_certificates_that_a_command_cannot_read_are_an_error(tmp_path, monkeypatch, capsys, flags, words):
    monkeypatch.chdir(tmp_path)
    assert run_command(["build-info", "show", "a", "1", "--artifactory-url=https://a.test", *flags]) == 2
    assert words in capsys.readouterr().err


def test_a_command_says_which_of_its_options_about_tls_have_no_effect(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    run_command(["build-info", "show", "a", "1", "--artifactory-url=http://127.0.0.1:1", "--insecure"])
    assert "--insecure: insecure has no effect: url has no TLS" in capsys.readouterr().err


def connector_at(address, auth):
    """Return a file with one connector."""
    spec = {"dockerRegistryUrl": address, "auth": auth}
    return json.dumps({"connector": {"identifier": "here", "type": "DockerRegistry", "spec": spec}})


@pytest.fixture
def tls_registry(box, tmp_path, monkeypatch, certificates):
    """Return the address of a registry on this machine that only has TLS, with an image in it; its login is known."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    login = {"USERNAME": box.username, "PASSWORD": box.password.reveal(), "REGISTRY": box.host}
    more = {"REPO": f"{box.host}/docker-local/site", "TAGS": "1", "ENGINE": "native"}
    buildpush.run(env={f"PLUGIN_{name}": value for name, value in (login | more).items()}, cwd=tmp_path)
    with front(box, certificates) as address:
        monkeypatch.setenv("WORD", box.password.reveal())
        monkeypatch.setenv("SSL_CERT_FILE", str(certificates / "ca.pem"))
        auth = {"type": "UsernamePassword", "spec": {"username": box.username, "passwordRef": "env:WORD"}}
        (tmp_path / "c.yml").write_text(connector_at(address, auth))
        yield address


def test_a_registry_on_this_machine_is_reached_as_its_connector_says(box, tls_registry):
    name = tls_registry.removeprefix("https://") + "/docker-local/site:1"
    assert run_command(["tag", name, "two", "--connectors", "c.yml"]) == 0
    assert set(box.tags("docker-local/site")) == {"1", "two"}


def test_a_registry_on_this_machine_is_never_reached_otherwise_than_its_connector_says(box, tmp_path, capsys):
    (tmp_path / "c.yml").write_text(connector_at(f"https://{box.host}", {"type": "Anonymous"}))
    name = f"{box.host}/docker-local/site:1"
    assert run_command(["tag", name, "two", "--connectors", str(tmp_path / "c.yml")]) != 0
    assert "does not speak TLS" in capsys.readouterr().err
    assert box.requests == []


def test_a_registry_on_this_machine_whose_scheme_is_not_written_is_found_to_have_tls(box, tls_registry):
    name = tls_registry.removeprefix("https://") + "/docker-local/site:1"
    words = ["tag", name, "two", "--username", box.username, "--password", "env:WORD"]
    assert run_command(words) == 0
    assert set(box.tags("docker-local/site")) == {"1", "two"}


def test_the_registry_of_an_artifactory_is_reached_as_its_address_says(box, tls_registry, tmp_path):
    words = ["docker-local/site:1", "--build-name", "site", "--build-number", "7", "--publish"]
    server = ["--artifactory-url", tls_registry, "--username", box.username, "--password", "env:WORD"]
    assert run_command(["build-info", "collect", *words, *server]) == 0
    assert len(box.builds()) == 1


def test_a_plan_obeys_each_address_of_this_machine(tmp_path):
    (tmp_path / "Dockerfile").write_text("FROM localhost:8443/a/b:1\n")
    step = {"cwd": tmp_path, "env": {}, "repo": "a/c", "registry": "https://localhost:8443", "engine": "native"}
    order = buildpush.check(**step, publish_build_info=True).order
    assert order.schemes == {"localhost:8443": "https"}
    assert order.request.tls == {"localhost:8443"}
    assert order.artifactory.url == "https://localhost:8443/artifactory/"
