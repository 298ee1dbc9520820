"""Whoever gives a credential, or somebody nearer, names the host that is told it: over all sources and hosts."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from buildpush.credentials.connectors_file import read_connectors
from buildpush.credentials.pairing import BoundCredential, NamedHost, Nearness, host_of, is_same_server, registry_host
from buildpush.credentials.vault import Vault
from buildpush.expressions.facts import Counter, Facts, Git
from buildpush.foundation.errors import SettingsError
from buildpush.places import CommandResult, Recorded
from buildpush.settings.evaluate import evaluate
from buildpush.settings.resolve import resolve
from buildpush.settings.sources import read
from tests.connectors import connector, connectors

# From near to far.
SOURCES = ("flag", "keyword", "variable", "file", "project")
HOSTS = ("acme.example.com", "evil.example.net", "acme.example.com:8443", "docker.io")
CONNECTORS = connectors(connector("https://acme.example.com", "ci", "env:OF_CONNECTOR"))
VARIABLES = {
    "repo": "PLUGIN_REPO",
    "registry": "PLUGIN_REGISTRY",
    "username": "PLUGIN_USERNAME",
    "password": "PLUGIN_PASSWORD",
    "artifactory_url": "PLUGIN_ARTIFACTORY_URL",
    "artifactory_token": "PLUGIN_ARTIFACTORY_TOKEN",
    "publish_build_info": "PLUGIN_PUBLISH_BUILD_INFO",
    "connector_ref": "PLUGIN_CONNECTOR_REF",
}
KEYS = {"repo": "repo", "connector_ref": "connectorRef"}


@dataclass
class Said:
    """What each source says, and so which host it has named, and which secrets it gives."""

    by: dict[str, dict[str, str]] = field(default_factory=lambda: {source: {} for source in SOURCES})
    hosts: dict[str, int] = field(default_factory=dict)  # the nearest source that has named it
    secrets: dict[str, int] = field(default_factory=dict)

    def host(self, source, name, text, host):
        self.by[source][name] = text
        self.hosts[host] = min(self.hosts.get(host, len(SOURCES)), SOURCES.index(source))

    def secret(self, source, name):
        value = f"{name}-by-{source}"
        self.by[source][name] = f"env:{value.upper().replace('-', '_')}"
        self.secrets[value] = SOURCES.index(source)


@st.composite
def saying(draw):
    said = Said()
    maybe = st.sampled_from([None, *SOURCES])
    for source in draw(st.sets(st.sampled_from(SOURCES), min_size=1)):
        host = draw(st.sampled_from(HOSTS))
        said.host(source, "repo", f"{host}/docker-local/app", host)
    for name, text in (("registry", "{}"), ("artifactory_url", "https://{}/artifactory")):
        for source in draw(st.sets(st.sampled_from(SOURCES), max_size=2)):
            host = draw(st.sampled_from(HOSTS))
            said.host(source, name, text.format(host), host)
    for source in draw(st.sets(st.sampled_from(SOURCES), max_size=2)):
        said.secret(source, "password")
        said.by[source]["username"] = "me"
    if source := draw(maybe):
        said.secret(source, "artifactory_token")
    if source := draw(maybe):
        said.by[source]["publish_build_info"] = "true"
    if draw(st.integers(0, 4)) == 0:
        said.by["file"]["connector_ref"] = "jfrog"
    for name in draw(st.sets(st.sampled_from(["JF_ACCESS_TOKEN", "JF_USER"]))):
        said.by["variable"][name] = name
        said.secrets[name] = SOURCES.index("variable")
    if draw(st.booleans()):
        host = draw(st.sampled_from(HOSTS))
        said.host("variable", "JF_URL", f"https://{host}", host)
    return said


def resolved(directory: Path, said: Said):
    env = {value.upper().replace("-", "_"): value for value in said.secrets} | {"OF_CONNECTOR": "of-the-connector"}
    for name, text in said.by["variable"].items():
        env[VARIABLES.get(name, name)] = "JF_USER" if name == "JF_USER" else text
    if "JF_USER" in said.by["variable"]:
        env["JF_PASSWORD"] = "JF_USER"
    in_file = said.by["file"]
    spec = {"tags": ["1"], **{KEYS[name]: text for name, text in in_file.items() if name in KEYS}}
    spec["envVariables"] = {VARIABLES[name]: text for name, text in in_file.items() if name not in KEYS}
    step = {"step": {"type": "BuildAndPushDockerRegistry", "identifier": "a", "name": "a", "spec": spec}}
    (directory / "step.yml").write_text(json.dumps(step))
    project = {to_camel(name): text for name, text in said.by["project"].items()}
    (directory / "buildpush.yaml").write_text(json.dumps(project or {"context": "."}))
    connectors = read_connectors(directory / "connectors.yml")
    vault = Vault(env, directory, None, connectors.references)
    git = Git(Recorded(lambda _: CommandResult(128)), directory)
    facts = Facts(env, git, Counter(directory / "state", dry=True), 0.0, vault.secret)
    flags, keywords = said.by["flag"], said.by["keyword"]
    (step,) = read(Path("step.yml"), env=env, flags=flags, keywords=keywords, cwd=directory, step=None).steps
    return resolve(evaluate(step, facts), cwd=directory, facts=facts, vault=vault, connectors=connectors, step=step)


def to_camel(name):
    first, *rest = name.split("_")
    return first + "".join(map(str.capitalize, rest))


def handed_out(order):
    """Yield each secret and the host that it would go to."""
    for host, login in order.credentials.items():
        yield login.password.reveal(), host
    if order.artifactory and order.artifactory.credential:
        yield order.artifactory.credential.password.reveal(), host_of(order.artifactory.url)


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    directory = tmp_path_factory.mktemp("pairing")
    (directory / "Dockerfile").write_text("FROM scratch\n")
    (directory / "connectors.yml").write_text(CONNECTORS)
    return directory


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(said=saying())
def test_no_credential_is_handed_to_a_host_that_only_a_farther_source_has_named(directory, said):
    try:
        order = resolved(directory, said)
    except SettingsError:
        event("refused")
        return
    for secret, host in handed_out(order):
        event("handed out")
        if secret == "of-the-connector":
            assert is_same_server("acme.example.com", host_of(host)) or host_of(host) == "acme.example.com"
        else:  # JFrog's port method: who names a port of a machine names the machine at its usual port as well
            named = [where for where in said.hosts if where == host or is_same_server(host, where)]
            assert min(said.hosts[where] for where in named) <= said.secrets[secret], f"{secret} goes to {host}"


@given(st.from_regex(r"[a-z]{1,9}(\.[a-z]{2,5}){0,2}(:[1-9][0-9]{0,3})?", fullmatch=True))
def test_a_host_is_read_alike_from_an_address_and_from_a_reference(host):
    assert host_of(f"https://{host}/artifactory/") == host_of(host.upper()) == host_of(host_of(host))
    assert registry_host(f"https://{host}/v2/") == host_of(host)


@pytest.mark.parametrize(
    "address",
    [
        "https://a.io@b.io",
        "https://a.io\\@b.io",
        "https://a.io\\.b.io/",
        "https://a.io:x",
        "https://",
        "",
        "https://a b.io",
    ],
)
def test_an_address_whose_host_is_in_doubt_has_none(address):
    with pytest.raises(SettingsError):
        host_of(address)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("a.io", "a.io", True),
        ("a.io", "a.io:5000", True),
        ("a.io:5000", "a.io", False),
        ("a.io:5000", "a.io:5001", False),
        ("[::1]", "[::1]:5000", True),
        ("b.io", "a.io", False),
    ],
)
def test_the_usual_port_belongs_to_the_same_server(one, other, same):
    assert is_same_server(one, other) is same


@pytest.mark.parametrize("name", ["docker.io", "index.docker.io", "registry-1.docker.io", "hub.docker.com"])
def test_each_name_of_docker_hub_is_one_host(name):
    assert registry_host(f"https://{name}/v1/") == "docker.io"


KINDS = {"flag": 0, "keyword": 1, "variable": 2, "file": 3, "project": 4, "default": 5}


def credential(bounds):
    return BoundCredential("PLUGIN_PASSWORD", pytest.fail, bounds, lambda host: host)


@pytest.mark.parametrize("by", list(Nearness))
@pytest.mark.parametrize("given_by", list(Nearness))
def test_a_credential_for_no_host_in_particular_goes_to_hosts_named_from_as_near(given_by, by):
    assert [one.value for one in Nearness] == list(KINDS.values())
    assert credential(given_by).may_go_to(NamedHost("a.io", by, "step.yml:7:3")) is (by.value <= given_by.value)


@pytest.mark.parametrize(("host", "may"), [("a.io", True), ("b.io:5000", True), ("b.io", False), ("a.io:5000", False)])
def test_a_credential_for_certain_hosts_goes_there_alone_whoever_names_them(host, may):
    bound = credential(frozenset({"a.io", "b.io:5000"}))
    assert bound.may_go_to(NamedHost(host, Nearness.FLAG, "--repo")) is may


def test_a_refusal_names_credential_hosts_and_whoever_named_the_wrong_one():
    there = NamedHost("evil.io", Nearness.FILE, "step.yml:7:3")
    assert (
        credential(Nearness.VARIABLE).refusal(there)
        == "PLUGIN_PASSWORD is not sent to evil.io, which only step.yml:7:3 names"
    )
    assert (
        credential(frozenset({"b.io", "a.io"})).refusal(there)
        == "PLUGIN_PASSWORD is for a.io, b.io, and is not sent to evil.io, which step.yml:7:3 names"
    )
    assert "for no valid host, and" in credential(frozenset()).refusal(there)
