"""Credentials: where they are looked for, who gets to see them, and what is said when they are refused."""

from __future__ import annotations

import base64
import json
import threading
from urllib.parse import parse_qs, urlsplit

import pytest

from buildpush.credentials.docker import HELPER_SECONDS, Credential, Keychain
from buildpush.foundation.errors import AuthenticationError, EngineMissingError, RegistryError, SourceError
from buildpush.foundation.secrets import Secret
from buildpush.http.client import Http
from buildpush.http.messages import Answer
from buildpush.images.references import Repository
from buildpush.places import CommandResult, Recorded
from buildpush.registry.auth import Authorizer, Challenge, _Token, may_get_credentials, merge_scopes, read_challenge
from buildpush.registry.client import Registry
from buildpush.sandbox import Sandbox

sandbox = pytest.mark.sandbox
PUSH = "repository:docker-local/app:pull,push"


def auths(**hosts: str) -> str:
    """Return a configuration; passwords by host, dots as underscores."""
    entries = {
        host.replace("__", "/").replace("_", "."): {"auth": base64.b64encode(f"me:{password}".encode()).decode()}
        for host, password in hosts.items()
    }
    return json.dumps({"auths": entries})


def nothing_here(call):
    message = f"the program {call.argv[0]!r} is not on this machine"
    raise EngineMissingError(message)


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_given_credentials_come_first_then_the_variable_then_docker_then_podman(tmp_path):
    """The order of the design: what was said last and nearest wins."""
    env = {
        "XDG_RUNTIME_DIR": str(tmp_path / "run"),
        "DOCKER_AUTH_CONFIG": auths(a_io="pw-variable", b_io="pw-variable"),
    }
    write(tmp_path / ".docker/config.json", auths(a_io="pw-docker", b_io="pw-docker", c_io="pw-docker"))
    write(tmp_path / "run/containers/auth.json", auths(c_io="pw-podman", d_io="pw-podman"))
    write(tmp_path / ".config/containers/auth.json", auths(e_io="pw-config"))
    given = {"a.io": Credential("me", Secret("pw-given"), "connector jfrog")}
    keychain = Keychain(given, env=env, home=tmp_path)

    found = {host: keychain.find(host) for host in ("a.io", "b.io", "c.io", "d.io", "e.io", "f.io")}

    assert {host: one and one.password.reveal() for host, one in found.items()} == {
        "a.io": "pw-given",
        "b.io": "pw-variable",
        "c.io": "pw-docker",
        "d.io": "pw-podman",
        "e.io": "pw-config",
        "f.io": None,
    }
    assert {host: one and one.source for host, one in found.items()} == {
        "a.io": "connector jfrog",
        "b.io": "DOCKER_AUTH_CONFIG",
        "c.io": str(tmp_path / ".docker/config.json"),
        "d.io": str(tmp_path / "run/containers/auth.json"),
        "e.io": str(tmp_path / ".config/containers/auth.json"),
        "f.io": None,
    }


@pytest.mark.parametrize("name", [".docker/config.json", ".config/containers/auth.json"])
def test_a_file_that_is_no_json_is_named(tmp_path, name):
    write(tmp_path / name, "half a passw")

    with pytest.raises(SourceError) as caught:
        Keychain(home=tmp_path).find("a.io")
    assert str(tmp_path / name) in str(caught.value)
    assert "passw" not in str(caught.value)


@pytest.mark.parametrize("store", [7, None, "", ["x"], {"x": "y"}])
def test_a_store_that_is_no_name_is_no_helper(tmp_path, store):
    write(tmp_path / ".docker/config.json", json.dumps({"credsStore": store, "credHelpers": {"a.io": store}}))
    place = Recorded()

    assert Keychain(home=tmp_path, place=lambda: place).find("a.io") is None
    assert not place.calls


def test_the_variables_for_files_are_followed(tmp_path):
    env = {"DOCKER_CONFIG": str(tmp_path / "d"), "REGISTRY_AUTH_FILE": str(tmp_path / "p.json")}
    env["XDG_CONFIG_HOME"] = str(tmp_path / "x")
    write(tmp_path / "d/config.json", auths(a_io="pw-docker"))
    write(tmp_path / "p.json", auths(b_io="pw-podman"))
    write(tmp_path / "x/containers/auth.json", auths(c_io="pw-xdg"))
    keychain = Keychain(env=env, home=tmp_path / "home")

    assert [keychain.find(host).password.reveal() for host in ("a.io", "b.io", "c.io")] == [
        "pw-docker",
        "pw-podman",
        "pw-xdg",
    ]


@pytest.mark.parametrize("key", ["https://index.docker.io/v1/", "docker.io", "registry-1.docker.io"])
def test_docker_hub_has_many_names(key):
    text = json.dumps({"auths": {key: {"username": "me", "password": "hub-password"}}})

    assert Keychain(env={"DOCKER_AUTH_CONFIG": text}).find("docker.io").password.reveal() == "hub-password"


def test_an_identity_token_is_known_as_such():
    text = json.dumps({"auths": {"a.io": {"auth": base64.b64encode(b"me:").decode(), "identitytoken": "tok-en"}}})
    found = Keychain(env={"DOCKER_AUTH_CONFIG": text}).find("a.io")

    assert (found.kind, found.password.reveal()) == ("identity", "tok-en")


def test_the_helper_of_a_host_is_asked_before_the_store_and_the_file(tmp_path):
    document = json.loads(auths(a_io="pw-file", b_io="pw-file", c_io="pw-file"))
    document |= {"credHelpers": {"a.io": "ecr"}, "credsStore": "desktop"}
    write(tmp_path / ".docker/config.json", json.dumps(document))

    def answer(call):
        known = {("docker-credential-ecr", b"a.io"), ("docker-credential-desktop", b"b.io")}
        if (call.argv[0], call.stdin) not in known:
            return CommandResult(1, "credentials not found in native keychain")
        return CommandResult(0, json.dumps({"Username": "me", "Secret": f"pw-from {call.argv[0]}"}))

    place = Recorded(answer)
    keychain = Keychain(home=tmp_path, place=lambda: place)

    assert keychain.find("a.io").source == "credential helper docker-credential-ecr"
    assert keychain.find("b.io").source == "credential helper docker-credential-desktop"
    assert keychain.find("c.io").password.reveal() == "pw-file"
    assert keychain.find("a.io") is keychain.find("a.io")
    assert len(place.calls) == 3


def test_a_helper_may_give_an_identity_token_and_knows_hub_by_its_old_address(tmp_path):
    write(tmp_path / ".docker/config.json", json.dumps({"credsStore": "x"}))
    place = Recorded([CommandResult(0, json.dumps({"Username": "<token>", "Secret": "tok-en"}))])
    found = Keychain(home=tmp_path, place=lambda: place).find("docker.io")

    assert found.kind == "identity"
    assert place.calls[0].stdin == b"https://index.docker.io/v1/"


def test_a_helper_is_asked_for_a_login_and_not_waited_for_without_end(tmp_path):
    write(tmp_path / ".docker/config.json", json.dumps({"credsStore": "x"}))
    limits = []

    class Timed(Recorded):
        def run(self, argv, *, timeout=None, **words):
            limits.append(timeout)
            return super().run(argv, **words)

    place = Timed([CommandResult(0, json.dumps({"Username": "me", "Secret": "pw-of-x"}))])
    found = Keychain(home=tmp_path, place=lambda: place).find("a.io")

    assert (place.argv, limits) == ([("docker-credential-x", "get")], [HELPER_SECONDS])
    assert (found.username, found.password.reveal(), found.kind) == ("me", "pw-of-x", "password")
    assert found.password.source == found.source == "credential helper docker-credential-x"


@pytest.mark.parametrize(
    ("said", "found"),
    [({"Secret": "pw-alone"}, ("", "pw-alone")), ({"Username": "me"}, None), ({}, None)],
)
def test_what_a_helper_does_not_say_is_empty(tmp_path, said, found):
    write(tmp_path / ".docker/config.json", json.dumps({"credsStore": "x"}))
    credential = Keychain(home=tmp_path, place=lambda: Recorded([CommandResult(0, json.dumps(said))])).find("a.io")

    assert (credential and (credential.username, credential.password.reveal())) == found


def test_an_entry_may_name_user_and_password_in_plain_words():
    text = json.dumps({"auths": {"a.io": {"username": "me", "password": "pw-plain"}, "b.io": {"password": "pw-b"}}})
    keychain = Keychain(env={"DOCKER_AUTH_CONFIG": text})
    one, other = keychain.find("a.io"), keychain.find("b.io")

    assert (one.username, one.password.reveal(), one.kind) == ("me", "pw-plain", "password")
    assert one.source == one.password.source == "DOCKER_AUTH_CONFIG"
    assert other.username == ""


def test_an_identity_token_has_the_user_and_the_source_of_its_entry():
    entry = {"auth": base64.b64encode(b"me:").decode(), "identitytoken": "identity-3"}
    found = Keychain(env={"DOCKER_AUTH_CONFIG": json.dumps({"auths": {"a.io": entry}})}).find("a.io")

    assert (found.username, found.source, found.password.source) == ("me", "DOCKER_AUTH_CONFIG", "DOCKER_AUTH_CONFIG")


@pytest.mark.parametrize("key", ["a.io", "a.io/", "a.io/v1/", "https://a.io/v2/", "http://a.io", "https://a.io//"])
def test_a_key_that_means_all_of_a_host_is_its_login(key):
    text = json.dumps({"auths": {key: {"username": "me", "password": "pw-whole"}}})
    assert Keychain(env={"DOCKER_AUTH_CONFIG": text}).find("a.io").password.reveal() == "pw-whole"


@pytest.mark.parametrize("key", ["a.io/team", "https://a.io/v2/team", "a.io/v1x", "b.io", "a.io:5000", "xa.io"])
def test_a_key_that_means_something_else_is_no_login_for_a_host(key):
    text = json.dumps({"auths": {key: {"username": "me", "password": "pw-part"}}})
    assert Keychain(env={"DOCKER_AUTH_CONFIG": text}).find("a.io") is None


def test_a_helper_that_prints_no_json_is_named(tmp_path):
    write(tmp_path / ".docker/config.json", json.dumps({"credsStore": "x"}))

    with pytest.raises(SourceError, match="credential helper docker-credential-x"):
        Keychain(home=tmp_path, place=lambda: Recorded([CommandResult(0, "panic:")])).find("a.io")


@pytest.mark.parametrize("password", ["with:colons:", " with blanks ", "XX"])
def test_a_password_is_read_to_its_last_character(password):
    found = Keychain(env={"DOCKER_AUTH_CONFIG": auths(a_io=password)}).find("a.io")

    assert (found.username, found.password.reveal()) == ("me", password)


def test_the_zero_bytes_of_old_clients_are_no_part_of_a_password():
    assert Keychain(env={"DOCKER_AUTH_CONFIG": auths(a_io="pw-old\0\0")}).find("a.io").password.reveal() == "pw-old"


@pytest.mark.parametrize("written", ["bWU6cHctaGVyZQ==\n!", "bWU6cHct*aGVyZQ==", "bWU="])
def test_half_a_login_is_none(written):
    text = json.dumps({"auths": {"a.io": {"auth": written}}})

    with pytest.raises(SourceError, match="base64 of USER:PASSWORD"):
        Keychain(env={"DOCKER_AUTH_CONFIG": text}).find("a.io")


def test_a_missing_helper_is_noted_and_passed_over(tmp_path):
    write(tmp_path / ".docker/config.json", json.dumps({"credsStore": "gone"}))

    keychain = Keychain(home=tmp_path, place=lambda: Recorded(nothing_here))

    assert keychain.find("a.io") is None
    assert "docker-credential-gone" in keychain.notes[0]


def test_the_name_of_a_helper_cannot_be_a_path(tmp_path):
    write(tmp_path / ".docker/config.json", json.dumps({"credsStore": "../../evil"}))

    with pytest.raises(SourceError, match="not the name of a credential helper"):
        Keychain(home=tmp_path, place=Recorded).find("a.io")
    with pytest.raises(SourceError, match=r"config\.json"):
        Keychain(home=tmp_path, place=Recorded).find("a.io")


@pytest.mark.parametrize("text", ["{", "[]", '{"auths": {"a.io": {"auth": "%%%"}}}', "[" * 100_000])
def test_what_cannot_be_read_is_named_and_not_shown(text):
    with pytest.raises(SourceError, match="DOCKER_AUTH_CONFIG") as caught:
        Keychain(env={"DOCKER_AUTH_CONFIG": text}).find("a.io")
    assert "%%%" not in str(caught.value)


def test_an_unreadable_file_is_named(tmp_path):
    (tmp_path / ".docker/config.json").mkdir(parents=True)

    with pytest.raises(SourceError, match=r"config\.json.*cannot be read"):
        Keychain(home=tmp_path).find("a.io")


@pytest.mark.parametrize("text", ['{"auths": []}', '{"auths": {"a.io": 7}}', '{"auths": {"a.io": {}}}', "{}"])
def test_empty_entries_are_no_credentials(text):
    """Docker leaves an empty entry where a helper keeps the password."""
    assert Keychain(env={"DOCKER_AUTH_CONFIG": text}).find("a.io") is None


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        ('Bearer realm="https://a/token",service="a"', Challenge("bearer", "https://a/token", "a")),
        (
            'bearer service=a, realm="https://a/t", scope="repository:x:pull,push"',
            Challenge("bearer", "https://a/t", "a", "repository:x:pull,push"),
        ),
        ('Basic realm="Artifactory Realm"', Challenge("basic", "Artifactory Realm")),
        ('Basic realm="x", Bearer realm="https://a/t"', Challenge("bearer", "https://a/t")),
        ('Bearer service="no realm", Basic realm="x"', Challenge("basic", "x")),
        ("Negotiate", None),
        ("", None),
    ],
)
def test_challenges_are_read(header, wanted):
    assert read_challenge(header) == wanted


@pytest.mark.parametrize(
    ("realm", "host", "base", "wanted"),
    [
        ("https://r.acme.io/v2/token", "r.acme.io", "https://r.acme.io", True),
        ("https://r.acme.io:8443/token", "r.acme.io", "https://r.acme.io", True),
        ("https://auth.acme.io/token", "r.acme.io", "https://r.acme.io", True),
        ("https://gitlab.com/jwt/auth", "registry.gitlab.com", "https://registry.gitlab.com", True),
        ("https://auth.docker.io/token", "docker.io", "https://registry-1.docker.io", True),
        ("http://127.0.0.1:5000/token", "127.0.0.1:5000", "http://127.0.0.1:5000", True),
        ("http://127.0.0.1:5001/token", "127.0.0.1:5000", "http://127.0.0.1:5000", True),
        ("https://gitlab.corp/jwt/auth", "registry.corp:5050", "https://registry.corp:5050", True),
        (
            "https://acme.jfrog.io/artifactory/api/docker/null/v2/token",
            "acme-docker.jfrog.io",
            "https://acme-docker.jfrog.io",
            True,
        ),
        (
            "https://api.scaleway.com/registry-internal/v1/regions/fr-par/tokens",
            "rg.fr-par.scw.cloud",
            "https://rg.fr-par.scw.cloud",
            True,
        ),
        ("https://acme-evil.jfrog.io/v2/token", "acme.jfrog.io", "https://acme.jfrog.io", False),
        ("https://ac.jfrog.io/v2/token", "acme-docker.jfrog.io", "https://acme-docker.jfrog.io", False),
        ("https://acme.azurecr.io/token", "acme-docker.azurecr.io", "https://acme-docker.azurecr.io", False),
        ("https://evil.azurecr.cn/token", "acme.azurecr.cn", "https://acme.azurecr.cn", False),
        ("https://evil.amazonaws.com.cn/token", "1.amazonaws.com.cn", "https://1.amazonaws.com.cn", False),
        ("https://corp/token", "registry.corp", "https://registry.corp", False),
        ("http://evil.example/token", "r.acme.io", "http://r.acme.io", False),
        ("http://auth.acme.io/token", "r.acme.io", "https://r.acme.io", False),
        ("http://r.acme.io/token", "r.acme.io", "https://r.acme.io", False),
        ("https://evil.example/token", "r.acme.io", "https://r.acme.io", False),
        ("https://evil.jfrog.io/token", "acme.jfrog.io", "https://acme.jfrog.io", False),
        ("https://evil.co.uk/token", "acme.co.uk", "https://acme.co.uk", False),
        ("https://io/token", "acme.io", "https://acme.io", False),
        ("https://10.0.0.2/token", "10.0.0.1", "https://10.0.0.1", False),
        ("https://auth.docker.io/token", "r.acme.io", "https://r.acme.io", False),
        ("file:///etc/passwd", "r.acme.io", "https://r.acme.io", False),
        ("https://[broken/token", "r.acme.io", "https://r.acme.io", False),
        ("https://r.acme.io:99999/token", "r.acme.io", "https://r.acme.io", False),
        ("https://r.acme.io./token", "r.acme.io", "https://r.acme.io", True),
        ("https://auth.acme.jfrog.io/token", "acme.jfrog.io", "https://acme.jfrog.io", True),
        ("https://acme.jfrog.io/token", "r.acme.jfrog.io", "https://r.acme.jfrog.io", True),
        ("https://auth.acme.co.uk/token", "r.acme.co.uk", "https://r.acme.co.uk", True),
        ("https://auth.acme.example.uk/token", "r.acme.example.uk", "https://r.acme.example.uk", True),
        ("https://auth.1.io/token", "r.1.io", "https://r.1.io", True),
        ("https://uk/token", "r.acme.io", "https://r.acme.io", False),
        ("https://auth.registry/token", "registry", "https://registry", False),
        ("https://registry/token", "auth.registry", "https://auth.registry", False),
        ("https://registry./token", "registry", "https://registry", False),
        ("https://10.1.0.1/token", "10.0.0.1", "https://10.0.0.1", False),
        ("https://evil-acme.io/token", "acme.io", "https://acme.io", False),
        ("http://auth.acme.io/token", "r.acme.io", "http://r.acme.io", True),
        ("https://r.acme.io/token", "r.acme.io", "r.acme.io", False),
    ],
)
def test_credentials_go_only_to_token_servers_of_the_registry(realm, host, base, wanted):
    assert may_get_credentials(realm, host, base) is wanted


@sandbox
def test_a_token_is_fetched_once_for_many_requests(box, registry, repository):
    for _ in range(3):
        assert registry.request(repository, "GET", "tags/list", actions="pull").status == 404

    assert [one.path for one in box.requests if "token" in one.path] == ["/v2/token"]


@sandbox
def test_a_token_that_runs_out_is_replaced(box, http, keychain):
    now = [0.0]
    authorizer = Authorizer(http, box.host, box.url, keychain, clock=lambda: now[0])
    first = authorizer.header("repository:docker-local/app:pull")
    now[0] = 1e6
    authorizer.header("repository:docker-local/app:pull")

    assert len([one for one in box.requests if one.path == "/v2/token"]) == 2
    assert first.startswith("Bearer ")


@sandbox
@pytest.mark.parametrize("issued", ["2001-01-01T00:00:00Z", "2999-01-01T00:00:00Z"])
def test_a_clock_that_is_wrong_by_hours_does_not_shorten_a_tokens_life(box, http, keychain, issued):
    """Seconds count from when it came, whatever either side's clock says."""
    body = json.dumps({"token": "theirs", "expires_in": 300, "issued_at": issued}).encode()
    box.add_fault("GET", "/v2/token", status=200, body=body)
    authorizer = Authorizer(http, box.host, box.url, keychain)
    headers = {authorizer.header("repository:docker-local/app:pull") for _ in range(3)}

    assert headers == {"Bearer theirs"}
    assert len([one for one in box.requests if one.path == "/v2/token"]) == 1


@sandbox
def test_a_token_that_is_refused_is_renewed_once(box, registry, repository):
    registry.check_push(repository)
    box.add_fault("GET", "tags/list", status=401, headers={"WWW-Authenticate": _bearer(box)})

    assert registry.request(repository, "GET", "tags/list").status == 404


@sandbox
def test_a_second_refusal_is_final(box, registry, repository):
    box.add_fault("GET", "tags/list", status=401, headers={"WWW-Authenticate": _bearer(box)}, times=9)

    with pytest.raises(AuthenticationError):
        registry.request(repository, "GET", "tags/list")
    assert len([one for one in box.requests if one.path.endswith("tags/list")]) == 2


@sandbox
def test_the_scope_of_an_older_artifactory_is_used(box, registry, repository):
    """Its challenge names the image without the repository key; only a token for that is accepted."""
    registry.check_push(repository)
    challenge = _bearer(box) + ',scope="repository:app:pull,push"'
    box.add_fault("GET", "tags/list", status=401, headers={"WWW-Authenticate": challenge}, times=2)

    with pytest.raises(AuthenticationError):
        registry.request(repository, "GET", "tags/list")
    tokens = [one for one in box.requests if one.path == "/v2/token"]
    assert [one.query["scope"] for one in tokens] == [
        "repository:docker-local/app:pull,push",
        "repository:app:pull,push",
    ]


@sandbox
def test_a_wrong_password_names_host_user_and_source(box, http, repository):
    keychain = Keychain({box.host: Credential("intruder", Secret("wrong-password"), "PLUGIN_PASSWORD")})

    with pytest.raises(AuthenticationError) as caught:
        Registry(http, keychain).check_push(repository)
    assert box.host in str(caught.value)
    assert "refuses the user name or password of 'intruder' (from PLUGIN_PASSWORD)" in str(caught.value)
    assert "wrong-password" not in str(caught.value)


@sandbox
def test_missing_credentials_say_where_they_can_come_from(http, repository, tmp_path):
    write(tmp_path / ".docker/config.json", json.dumps({"credsStore": "gone"}))

    keychain = Keychain(home=tmp_path, place=lambda: Recorded(nothing_here))
    with pytest.raises(AuthenticationError, match="none were found") as caught:
        Registry(http, keychain).check_push(repository)
    assert "docker login" in caught.value.hint
    assert "docker-credential-gone" in caught.value.hint


@sandbox
def test_a_hostile_realm_sees_no_credentials(box, http, keychain, repository):
    """Whoever can answer as the registry once could else collect passwords elsewhere."""
    with _second_box() as evil:
        box.add_fault(
            "GET",
            "^/v2/$",
            status=401,
            headers={"WWW-Authenticate": f'Bearer realm="{evil.url.replace("127.0.0.1", "localhost")}/v2/token"'},
        )
        with pytest.raises(AuthenticationError) as caught:
            Registry(http, keychain).check_push(repository)
        assert [one.status for one in evil.requests] == [401]
    assert "does not belong" in caught.value.hint


@sandbox
def test_a_registry_that_wants_a_password_gets_it_each_time(box, http, keychain, repository):
    box.add_fault("GET", "^/v2/$", status=401, headers={"WWW-Authenticate": 'Basic realm="Artifactory Realm"'})
    access = Registry(http, keychain).check_push(repository)

    assert (access.scheme, access.username, access.source) == ("basic", box.username, "test")
    assert not [one for one in box.requests if "token" in one.path]


@sandbox
def test_a_registry_that_asks_nobody_is_told_nothing(box, http, keychain, repository):
    box.add_fault("GET", "^/v2/$", status=200)
    box.add_fault("POST", "uploads", status=202, headers={"Location": "/v2/upload/1"})
    box.add_fault("DELETE", "upload", status=204)
    access = Registry(http, keychain).check_push(repository)

    assert (access.scheme, access.username, access.source) == ("anonymous", None, None)


@sandbox
def test_where_the_first_question_has_no_answer_a_password_is_tried(box, http, keychain, repository):
    box.add_fault("GET", "^/v2/$", status=404)

    assert Registry(http, keychain).check_push(repository).scheme == "basic"


@sandbox
def test_an_identity_token_is_exchanged(box, http, repository):
    keychain = Keychain({box.host: Credential("<token>", Secret("identity-token-1"), "helper", "identity")})
    box.add_fault("POST", "token", status=200, body=json.dumps({"access_token": "abcd-token"}).encode())
    with pytest.raises(AuthenticationError, match=r"refuses the token \(from helper\)"):
        Registry(http, keychain).check_push(repository)

    assert [one.method for one in box.requests if "token" in one.path] == ["POST", "POST"]


@sandbox
@pytest.mark.parametrize("body", [b"{}", b"[]", b'{"token": 7}', b'{"token": "a\\nb"}', b"<html>"])
def test_a_token_server_that_gives_no_token_is_named(box, registry, repository, body):
    box.add_fault("GET", "token", status=200, body=body)

    with pytest.raises(RegistryError, match="/v2/token"):
        registry.check_push(repository)


@sandbox
def test_a_token_server_in_trouble_is_named(box, registry, repository):
    box.add_fault("GET", "token", status=404)

    with pytest.raises(RegistryError, match="does not issue a token"):
        registry.check_push(repository)


@sandbox
def test_who_may_not_push_is_told_which_permission_is_missing(box, http, repository):
    reader = box.add_account("reader", ["read"])
    keychain = Keychain({box.host: Credential("reader", reader.password, "connector jfrog")})

    with pytest.raises(AuthenticationError) as caught:
        Registry(http, keychain).check_push(repository)
    assert "'reader'" in str(caught.value)
    assert "connector jfrog" in str(caught.value)


@sandbox
def test_an_unknown_repository_is_found_before_the_build(box, registry):
    with pytest.raises(RegistryError) as caught:
        registry.check_push(Repository(box.host, "no-such-key/app"))
    assert caught.value.code == "NAME_UNKNOWN"
    assert "repository key" in caught.value.hint


@sandbox
@pytest.mark.parametrize("answer", [{"status": 200, "body": b"<html>welcome</html>"}, {"status": 202}])
def test_a_host_that_is_no_registry_is_found_before_the_build(box, registry, repository, answer):
    """Some pages answer 200 to everything."""
    box.add_fault("POST", "blobs/uploads", **answer)
    with pytest.raises(RegistryError, match="does not answer like a registry") as caught:
        registry.check_push(repository)
    assert "check the host" in caught.value.hint


def _bearer(box) -> str:
    return f'Bearer realm="{box.url}/v2/token",service="{box.host}"'


def _second_box():
    from buildpush.sandbox import Sandbox

    return Sandbox()


def test_addresses_of_uploads_are_brought_back_to_the_address_that_works():
    """A registry behind a proxy may name itself by an inner scheme or port."""
    with Http() as http:
        registry, repository = Registry(http), Repository("r.acme.io", "docker-local/app")
        found = [
            registry.address(repository, path)
            for path in ("blobs/x", "/v2/a?b=c", "http://r.acme.io:8081/v2/a?b=c", "https://s3.example/up?sig=1")
        ]
    assert found == [
        "https://r.acme.io/v2/docker-local/app/blobs/x",
        "https://r.acme.io/v2/a?b=c",
        "https://r.acme.io/v2/a?b=c",
        "https://s3.example/up?sig=1",
    ]
    assert parse_qs(urlsplit(found[-1]).query) == {"sig": ["1"]}


def test_a_login_for_some_repositories_of_a_host_is_not_one_for_all_of_it():
    text = auths(q_io__team_a="pw-of-a", q_io="pw-of-all")
    assert Keychain(env={"DOCKER_AUTH_CONFIG": text}).find("q.io").password.reveal() == "pw-of-all"
    assert Keychain(env={"DOCKER_AUTH_CONFIG": auths(q_io__team_a="pw-of-a")}).find("q.io") is None


def test_a_helper_that_answers_without_a_secret_knows_nothing(tmp_path):
    document = json.loads(auths(a_io="pw-file")) | {"credsStore": "x"}
    write(tmp_path / ".docker/config.json", json.dumps(document))
    place = Recorded([CommandResult(0, json.dumps({"Username": "", "Secret": ""}))])
    assert Keychain(home=tmp_path, place=lambda: place).find("a.io").password.reveal() == "pw-file"


@sandbox
def test_an_identity_token_is_not_carried_to_where_a_token_server_redirects(box, http, repository):
    keychain = Keychain({box.host: Credential("<token>", Secret("identity-token-2"), "helper", "identity")})
    with Sandbox() as other:
        box.add_fault("POST", "token", status=307, headers={"Location": f"{other.url}/v2/token"}, times=None)
        with pytest.raises(RegistryError, match="does not issue a token"):
            Registry(http, keychain).check_push(repository)
        assert not other.requests


@pytest.mark.parametrize(
    ("asked", "ours", "both"),
    [
        ("repository:a/b:pull", "repository:a/b:pull,push", "repository:a/b:pull repository:a/b:pull,push"),
        ("repository:b:pull,push", "repository:a/b:pull,push", "repository:b:pull,push"),
        ("", "repository:a/b:pull,push", "repository:a/b:pull,push"),
    ],
)
def test_a_new_token_is_for_all_that_the_old_one_was_for(asked, ours, both):
    assert merge_scopes(asked, ours) == both


@sandbox
def test_threads_that_were_refused_with_one_token_fetch_one_new_token(box, http):
    authorizer = Authorizer(
        http, box.host, box.url, Keychain({box.host: Credential(box.username, box.password, "test")})
    )
    used = authorizer.header(PUSH)
    refused = http.request("GET", f"{box.url}/v2/", authorization="Bearer gone")
    threads = [threading.Thread(target=authorizer.renew, args=(refused, PUSH, used)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert authorizer.header(PUSH) != used
    assert len([one for one in box.requests if one.path.endswith("/token")]) == 2


@pytest.mark.parametrize(
    ("said", "good", "over"),
    [
        (300, 269, 271),  # half a minute early: a request may take a while
        (20, 9, 11),
        (None, 29, 31),  # nothing said: 60 seconds
        ("300", 29, 31),
        ("soon", 29, 31),
        (-5, 29, 31),
    ],
)
@sandbox
def test_a_token_is_used_for_as_long_as_its_server_says(box, http, said, good, over):
    """What is no number of seconds says nothing."""
    now = [1000.0]
    keychain = Keychain({box.host: Credential(box.username, box.password, "test")})
    authorizer = Authorizer(http, box.host, box.url, keychain, clock=lambda: now[0])
    for text in ("planted-token-1", "planted-token-2"):
        document = json.dumps({"token": text, "expires_in": said}).encode()
        box.add_fault("GET", "token", status=200, body=document)
    tokens = []
    for later in (0, good, over):
        now[0] = 1000.0 + later
        tokens.append(authorizer.header(PUSH))

    assert tokens == ["Bearer planted-token-1", "Bearer planted-token-1", "Bearer planted-token-2"]


HERE = "https://r.acme.io"
REALM = "https://auth.acme.io/token"


def refused(host, base, challenge, credential, answer):
    """Return the error of a registry that asked for *challenge*."""
    authorizer = Authorizer(None, host, base, Keychain({host: credential} if credential else None))
    authorizer._challenge = challenge
    return authorizer.error(answer)


@pytest.mark.parametrize(
    ("challenge", "url", "status", "user", "kind", "says"),
    [
        (
            Challenge("bearer", REALM),
            f"{HERE}/v2/",
            401,
            "me",
            "password",
            "refuses the token that was made for CREDENTIALS",
        ),
        (
            Challenge("bearer", REALM),
            f"{REALM}?a=b",
            401,
            "me",
            "password",
            "refuses the user name or password of 'me'",
        ),
        (Challenge("bearer", REALM), REALM, 401, "me", "identity", "refuses the token of 'me'"),
        (Challenge("bearer", REALM), REALM, 401, "<token>", "identity", "refuses the token"),
        (Challenge("bearer", REALM), REALM, 401, "", "password", "refuses the token"),
        (
            Challenge("basic", "a name"),
            f"{HERE}/v2/",
            401,
            "me",
            "password",
            "refuses the user name or password of 'me'",
        ),
        (None, f"{HERE}/v2/", 401, "me", "password", "refuses the user name or password of 'me'"),
        (Challenge("bearer", REALM), f"{HERE}/v2/", 403, "me", "password", "accepts CREDENTIALS"),
        (Challenge("basic"), f"{HERE}/v2/", 404, "me", "password", "refuses the user name or password of 'me'"),
        (
            Challenge("bearer", "https://evil.io/t"),
            HERE,
            401,
            "me",
            "password",
            "requires a token of another server, which does not get CRED",
        ),
    ],
)
def test_a_refusal_says_what_was_refused_and_where_it_came_from(challenge, url, status, user, kind, says):
    credential = Credential(user, Secret("pw-of-refusal"), "connector jfrog", kind)
    error = refused("r.acme.io", HERE, challenge, credential, Answer(status, {}, b"no pw-of-refusal", url))

    wanted = says.replace("CREDENTIALS", "the credentials of 'me'").replace("CRED", "the credentials of 'me'")
    assert str(error).startswith(f"r.acme.io {wanted} (from connector jfrog)")
    assert str(error).endswith(f" (status {status}: no ********)")


@pytest.mark.parametrize(
    ("realm", "hint"),
    [
        (
            "https://evil.io/t?x=1",
            "the token server https://evil.io/t does not belong to r.acme.io: no cr",
        ),
        (REALM, "check user name and password or token, whether it has expired, and that it is for this host"),
    ],
)
def test_the_hint_of_a_refusal_names_a_token_server_that_is_a_strangers(realm, hint):
    credential = Credential("me", Secret("pw-of-hint"), "test")
    error = refused("r.acme.io", HERE, Challenge("bearer", realm), credential, Answer(401, {}, b"", HERE))

    assert error.hint.startswith(hint)
    assert str(error).endswith(" (status 401)")


def test_the_token_server_of_docker_hub_is_no_stranger():
    credential = Credential("me", Secret("pw-of-hub"), "test")
    challenge = Challenge("bearer", "https://auth.docker.io/token")
    error = refused("docker.io", "https://registry-1.docker.io", challenge, credential, Answer(401, {}, b"", HERE))

    assert "elsewhere" not in str(error)


def test_where_there_are_no_credentials_the_refusal_says_how_to_give_some():
    error = refused("r.acme.io", HERE, Challenge("basic"), None, Answer(401, {}, b"log in", HERE))

    assert str(error) == "r.acme.io requires credentials, and none were found (status 401: log in)"
    assert error.hint == (
        "name a connector, give username and password, or set PLUGIN_USERNAME and PLUGIN_PASSWORD; "
        "or run: docker login r.acme.io"
    )


def test_a_refusal_that_says_nothing_is_worth_another_try_only_after_a_header_was_sent():
    authorizer = Authorizer(
        None, "r.acme.io", HERE, Keychain({"r.acme.io": Credential("me", Secret("pw-renewed"), "test")})
    )
    authorizer._challenge, authorizer._challenge_known = Challenge("basic"), True
    silent = Answer(401, {}, b"", HERE)

    assert not authorizer.renew(silent, PUSH, None)
    assert not authorizer.renew(silent, PUSH, authorizer.header(PUSH))
    assert authorizer.renew(silent, PUSH, "Basic another")
    assert not Authorizer(None, "r.acme.io", HERE, Keychain()).renew(silent, PUSH, "Bearer old")


def test_a_token_that_another_thread_has_fetched_is_tried():
    authorizer = Authorizer(None, "r.acme.io", HERE, Keychain())
    authorizer._tokens[PUSH] = _Token("their-token", 0.0)
    answer = Answer(401, {"WWW-Authenticate": f'Bearer realm="{REALM}"'}, b"", HERE)

    assert authorizer.renew(answer, PUSH, "Bearer old-token")


def test_what_is_wanted_after_a_refusal_is_kept_without_its_scope():
    authorizer = Authorizer(None, "r.acme.io", HERE, Keychain())
    answer = Answer(401, {"WWW-Authenticate": 'Basic realm="a name",service="s",scope="x"'}, b"", HERE)
    authorizer._challenge_known = True

    assert not authorizer.renew(answer, PUSH, None)
    assert authorizer._challenge == Challenge("basic", "a name", "s")
