"""Who we are at a cluster, kept up to date: files of tokens, and programs that print credentials."""

from __future__ import annotations

import base64
import json
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from buildpush.cluster.kubeconfig import Access, ClusterUser, ExecPlugin
from buildpush.cluster.login import ClusterLogin, identity_file
from buildpush.cluster.plugins import credential_of
from buildpush.foundation.errors import AuthenticationError, EngineMissingError, TimeOutError
from buildpush.foundation.secrets import Secret
from buildpush.places import CommandResult, Recorded
from tests.cluster.certificates import CERTIFICATE, KEY

V1 = "client.authentication.k8s.io/v1"
PLUGIN = ExecPlugin(("cloud-login", "token"), {"PROFILE": "builds"}, V1, hint="install cloud-login")
ACCESS = Access("https://one.test:6443", "ci", authority=CERTIFICATE, proxy="http://proxy.test:3128")


def printed(**status) -> CommandResult:
    return CommandResult(0, json.dumps({"apiVersion": V1, "kind": "ExecCredential", "status": status}))


def with_user(**user) -> Access:
    return replace(ACCESS, user=ClusterUser(**user))


# ---- tokens


def test_a_token_becomes_a_header():
    assert ClusterLogin(with_user(token=Secret("t0ken", "x")), Recorded()).header() == "Bearer t0ken"


def test_a_user_and_a_password_become_a_header():
    assert ClusterLogin(with_user(basic=Secret("me:s3cr3t", "x")), Recorded()).header() == "Basic bWU6czNjcjN0"


def test_nobody_has_no_header():
    assert ClusterLogin(ACCESS, Recorded()).header() is None


def test_a_file_of_a_token_is_read_again_after_a_refusal_and_not_before(tmp_path):
    path = tmp_path / "token"
    path.write_text("first\n", encoding="ascii")
    login = ClusterLogin(with_user(token_file=path), Recorded())
    refused = login.header()
    path.write_text("second\n", encoding="ascii")
    assert login.header() == refused == "Bearer first"
    assert login.renew(refused)
    assert login.header() == "Bearer second"


def test_the_same_token_again_is_no_renewal(tmp_path):
    path = tmp_path / "token"
    path.write_text("first", encoding="ascii")
    login = ClusterLogin(with_user(token_file=path), Recorded())
    assert not login.renew(login.header())


def test_a_refused_token_of_the_kubeconfig_cannot_be_renewed():
    login = ClusterLogin(with_user(token=Secret("t0ken", "x")), Recorded())
    assert not login.renew(login.header())


def test_nobody_cannot_be_renewed():
    login = ClusterLogin(ACCESS, Recorded())
    assert not login.renew(login.header())


@pytest.mark.parametrize("content", [None, "", " \n", "tökén"])
def test_a_file_without_a_token_says_how_to_get_one(tmp_path, content):
    if content is not None:
        (tmp_path / "token").write_text(content, encoding="utf-8")
    with pytest.raises(AuthenticationError, match=f"the token of the cluster's user .*{tmp_path}/token") as caught:
        ClusterLogin(with_user(token_file=tmp_path / "token"), Recorded()).header()
    assert caught.value.hint == "log in to the cluster again, as you do for kubectl"


# ---- plugins


@pytest.mark.parametrize("api", [V1, "client.authentication.k8s.io/v1beta1"])
def test_a_plugin_of_both_versions_gives_a_token(api):
    place = Recorded([printed(token="t0ken")])
    login = ClusterLogin(with_user(plugin=replace(PLUGIN, api=api)), place)
    assert login.header() == "Bearer t0ken"
    (call,) = place.calls
    assert call.argv == ("cloud-login", "token")
    assert call.env["PROFILE"] == "builds"
    assert json.loads(call.env["KUBERNETES_EXEC_INFO"]) == {
        "apiVersion": api,
        "kind": "ExecCredential",
        "spec": {"interactive": False},
    }


def test_a_plugin_is_told_about_the_cluster_if_the_file_says_so():
    place = Recorded([printed(token="t0ken")])
    credential_of(replace(PLUGIN, gives_cluster=True), ACCESS, place)
    assert json.loads(place.calls[0].env["KUBERNETES_EXEC_INFO"])["spec"]["cluster"] == {
        "server": "https://one.test:6443",
        "insecure-skip-tls-verify": False,
        "certificate-authority-data": base64.b64encode(CERTIFICATE.encode()).decode(),
        "proxy-url": "http://proxy.test:3128",
    }


def test_a_plugin_is_asked_once_for_header_and_certificate():
    place = Recorded([printed(token="t0ken", clientCertificateData=CERTIFICATE, clientKeyData=KEY)])
    login = ClusterLogin(with_user(plugin=PLUGIN), place)
    assert (login.header(), login.header(), login.user.certificate) == ("Bearer t0ken", "Bearer t0ken", CERTIFICATE)
    assert login.user.key.reveal() == KEY
    assert len(place.calls) == 1


def test_threads_that_are_refused_at_once_ask_the_plugin_once():
    answers = iter([printed(token="first"), printed(token="second"), printed(token="third")])
    place = Recorded(lambda _call: next(answers))
    login = ClusterLogin(with_user(plugin=PLUGIN), place)
    refused = login.header()
    together = threading.Barrier(8)

    def renew(_number):
        together.wait()
        return login.renew(refused), login.header()

    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(renew, range(8)))
    assert found == {(True, "Bearer second")}
    assert len(place.calls) == 2


def test_a_new_certificate_of_a_plugin_is_a_renewal():
    answers = [printed(clientCertificateData=text, clientKeyData=KEY) for text in (CERTIFICATE, f"{CERTIFICATE}\n")]
    login = ClusterLogin(with_user(plugin=PLUGIN), Recorded(answers))
    before = login.user
    assert login.renew(login.header(), before)
    assert login.user.certificate != before.certificate


def test_of_threads_whose_certificate_is_refused_one_asks_the_plugin():
    answers = [printed(clientCertificateData=text, clientKeyData=KEY) for text in (CERTIFICATE, f"{CERTIFICATE}\n")]
    place = Recorded(answers)
    login = ClusterLogin(with_user(plugin=PLUGIN), place)
    before = login.user
    assert login.renew(None, before)
    assert login.renew(None, before)
    assert len(place.calls) == 2


def raising(error):
    def answer(_call):
        raise error

    return Recorded(answer)


def test_a_plugin_that_is_missing_is_told_with_the_hint_of_the_file():
    with pytest.raises(AuthenticationError, match="logs in by a program that is not here: no cloud-login") as caught:
        credential_of(PLUGIN, ACCESS, raising(EngineMissingError("no cloud-login")))
    assert caught.value.hint == "install cloud-login"


def test_a_plugin_that_is_missing_has_a_hint_in_any_case():
    with pytest.raises(AuthenticationError) as caught:
        credential_of(replace(PLUGIN, hint=""), ACCESS, raising(EngineMissingError("no cloud-login")))
    assert caught.value.hint == "install it, or put its directory into PATH"


def test_a_plugin_that_does_not_end_is_a_refused_login():
    with pytest.raises(AuthenticationError, match="the login program cloud-login does not end") as caught:
        credential_of(PLUGIN, ACCESS, raising(TimeOutError("60 s")))
    assert caught.value.hint == "run it by hand, or log in as it says"


@pytest.mark.parametrize(
    ("stderr", "reason"), [("one\nplease log in\n", "please log in"), ("", "it printed no reason")]
)
def test_a_plugin_that_fails_is_told_with_its_last_line(stderr, reason):
    with pytest.raises(AuthenticationError, match=f"cloud-login ended with status 3: {reason}"):
        credential_of(PLUGIN, ACCESS, Recorded([CommandResult(3, "", stderr)]))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "junk",
        "[]",
        "null",
        '{"status": null}',
        '{"status": []}',
        '{"status": {}}',
        '{"status": {"token": ""}}',
        '{"status": {"token": 7}}',
        '{"status": {"token": {"a": "b"}}}',
        '{"status": {"clientCertificateData": ["x"]}}',
        '{"status": {"clientKeyData": "key without a certificate"}}',
    ],
)
def test_a_plugin_that_prints_something_else_is_told(text):
    with pytest.raises(AuthenticationError, match="the login program cloud-login printed no credential"):
        credential_of(PLUGIN, ACCESS, Recorded([CommandResult(0, text)]))


@pytest.mark.parametrize("api", ["client.authentication.k8s.io/v1alpha1", ""])
def test_a_plugin_of_another_version_is_not_run(api):
    place = Recorded([printed(token="t0ken")])
    with pytest.raises(AuthenticationError, match="answers in ") as caught:
        credential_of(replace(PLUGIN, api=api), ACCESS, place)
    assert caught.value.hint == f"let the kubeconfig ask for {V1}"
    assert place.calls == []


def test_what_a_plugin_printed_is_not_shown():
    user = credential_of(PLUGIN, ACCESS, Recorded([printed(token="planted-token", clientKeyData="planted-key")]))
    assert "planted" not in repr(user)


# ---- certificates


def test_the_file_with_the_certificate_is_private_and_is_removed(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with identity_file(ClusterUser(certificate=CERTIFICATE, key=Secret(KEY, "x"))) as path:
        assert path.read_text(encoding="ascii") == CERTIFICATE + KEY
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert not path.exists()
    assert not path.parent.exists()


def test_the_file_is_removed_after_an_error():
    with pytest.raises(KeyboardInterrupt), identity_file(ClusterUser(certificate="c", key=Secret("k", "x"))) as path:
        raise KeyboardInterrupt
    assert not path.exists()


@pytest.mark.parametrize("user", [ClusterUser(), ClusterUser(certificate="c"), ClusterUser(key=Secret("k", "x"))])
def test_without_a_whole_certificate_there_is_no_file(user):
    with identity_file(user) as path:
        assert path is None
