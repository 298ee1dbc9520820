"""Which cluster, and who we are there: as kubectl finds it in files, or in the pod that we run in."""

from __future__ import annotations

import base64
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from buildpush.cluster.kubeconfig import Access, ClusterUser, find_access, has_own_cluster
from buildpush.foundation.documents import LARGEST_FILE, write_yaml
from buildpush.foundation.errors import BuildPushError, SecretError, SettingsError, SourceError
from tests.cluster.certificates import CERTIFICATE, KEY

TOKEN = "planted-token-of-the-cluster"


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def config(name="one", *, cluster=None, user=None, context=None, current=True):
    """Return a kubeconfig whose context, cluster and user are all called *name*."""
    document = {
        "clusters": [{"name": name, "cluster": {"server": f"https://{name}.test:6443", **(cluster or {})}}],
        "users": [{"name": name, "user": {"token": TOKEN} if user is None else user}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name, **(context or {})}}],
    }
    return {**document, "current-context": name} if current else document


@pytest.fixture
def access(tmp_path, monkeypatch):
    """Return the function that writes kubeconfigs, and gives the access that they make."""
    monkeypatch.chdir(tmp_path)

    def access(*documents, **options) -> Access:
        paths = []
        for number, document in enumerate(documents):
            paths.append(tmp_path / f"config-{number}")
            paths[-1].write_text(document if isinstance(document, str) else write_yaml(document), encoding="utf-8")
        return find_access({"KUBECONFIG": ":".join(map(str, paths))}, None, **options)

    return access


def test_the_current_context_names_the_cluster_and_the_user(access):
    found = access(config(context={"namespace": "ci"}))
    assert (found.server, found.namespace) == ("https://one.test:6443", "ci")
    assert found.user.token.reveal() == TOKEN
    assert found.source.endswith("config-0, context one")


def test_without_a_namespace_it_is_the_default_one(access):
    assert access(config()).namespace == "default"


def test_a_namespace_and_a_context_can_be_chosen(access):
    found = access(config("one"), config("two"), context="two", namespace="mine")
    assert (found.server, found.namespace) == ("https://two.test:6443", "mine")


def test_of_several_files_the_first_that_has_an_entry_counts(access):
    found = access(config("a", current=False), config("a", cluster={"server": "https://second.test"}), config("c"))
    assert found.server == "https://a.test:6443"  # although only the second has a current context
    assert found.source.endswith("config-0, context a")


def test_an_entry_may_lie_in_another_file_than_its_context(access, tmp_path):
    whole = config(user={"tokenFile": "token"})
    users = {"users": whole.pop("users")}
    assert access(whole, users).user.token_file == tmp_path / "token"


def test_a_file_that_is_missing_is_passed_over(tmp_path):
    path = tmp_path / "config"
    path.write_text(write_yaml(config()), encoding="utf-8")
    assert find_access({"KUBECONFIG": f"{tmp_path}/missing::{path}"}, None).server == "https://one.test:6443"


def test_without_kubeconfig_the_file_of_the_home_counts(tmp_path):
    path = tmp_path / ".kube" / "config"
    path.parent.mkdir()
    path.write_text(write_yaml(config()), encoding="utf-8")
    assert find_access({}, tmp_path).server == "https://one.test:6443"


def test_files_are_relative_to_the_kubeconfig(tmp_path, monkeypatch):
    place = tmp_path / "place"
    place.mkdir()
    for name, text in {"ca.pem": CERTIFICATE, "me.pem": CERTIFICATE, "me.key": KEY}.items():
        (place / name).write_text(text, encoding="ascii")
    user = {"client-certificate": "me.pem", "client-key": "me.key", "tokenFile": "token", "exec": {"command": "./log"}}
    (place / "config").write_text(
        write_yaml(config(cluster={"certificate-authority": "ca.pem"}, user=user)), encoding="utf-8"
    )
    monkeypatch.chdir(place)
    found = find_access({"KUBECONFIG": "config"}, None)
    assert found.authority == found.user.certificate == CERTIFICATE
    assert found.user.key.reveal() == KEY
    assert found.user.token_file == place / "token"
    assert found.user.plugin.argv == (str(place / "log"),)  # and not a program of that name in PATH


def test_data_in_base64_takes_precedence_over_files(access):
    cluster = {"certificate-authority-data": encoded(CERTIFICATE), "certificate-authority": "missing"}
    user = {"client-certificate-data": encoded(CERTIFICATE), "client-key-data": encoded(KEY)}
    found = access(config(cluster=cluster, user=user))
    assert (found.authority, found.user.certificate, found.user.key.reveal()) == (CERTIFICATE, CERTIFICATE, KEY)


def test_a_file_of_a_token_takes_precedence_over_a_token(access, tmp_path):
    user = access(config(user={"token": TOKEN, "tokenFile": "token"})).user
    assert (user.token, user.token_file) == (None, tmp_path / "token")


def test_a_user_and_a_password_are_read(access):
    assert access(config(user={"username": "me", "password": "s3cr3t"})).user.basic.reveal() == "me:s3cr3t"


def test_a_plugin_is_read_whole(access):
    plugin = {
        "command": "cloud-login",
        "args": ["token", "--json"],
        "env": [{"name": "PROFILE", "value": "builds"}],
        "apiVersion": "client.authentication.k8s.io/v1beta1",
        "installHint": "install cloud-login",
        "provideClusterInfo": "true",
    }
    found = access(config(user={"exec": plugin})).user.plugin
    assert (found.argv, found.env) == (("cloud-login", "token", "--json"), {"PROFILE": "builds"})
    assert (found.api, found.hint, found.gives_cluster) == (
        "client.authentication.k8s.io/v1beta1",
        "install cloud-login",
        True,
    )


@pytest.mark.parametrize("word", ["true", "True", "yes", "on"])
def test_a_server_may_be_declared_insecure_in_every_form_of_yaml(access, word):
    text = write_yaml(config()).replace("server:", f"insecure-skip-tls-verify: {word}\n      server:", 1)
    assert access(text).insecure


def test_a_server_is_verified_unless_the_file_says_otherwise(access):
    assert not access(config(cluster={"insecure-skip-tls-verify": "false"})).insecure


def test_a_proxy_is_read_and_its_password_not_shown(access):
    found = access(config(cluster={"proxy-url": "http://me:planted-password@proxy.test:3128"}))
    assert found.proxy == "http://me:planted-password@proxy.test:3128"
    assert "planted-password" not in repr(found)


def test_a_server_without_tls_gets_no_credentials(access):
    assert access(config(cluster={"server": "http://one.test:8080"})).user == ClusterUser()


def test_a_context_without_a_user_is_nobody(access):
    assert access(config(context={"user": ""})).user == ClusterUser()


def test_no_secret_is_shown(access):
    plugin = {"command": "p", "args": ["--client-secret", TOKEN], "env": [{"name": "S", "value": TOKEN}]}
    for user in (
        {"token": TOKEN},
        {"username": "me", "password": TOKEN},
        {"client-certificate-data": encoded(CERTIFICATE), "client-key-data": encoded(KEY)},
        {"exec": plugin},
    ):
        found = access(config(user=user))
        for text in (repr(found), str(found), f"{found}", repr(found.user)):
            assert TOKEN not in text
            assert KEY.splitlines()[1] not in text


# ---- in a pod


@pytest.fixture
def account(tmp_path):
    directory = tmp_path / "account"
    directory.mkdir()
    for name, text in {"ca.crt": CERTIFICATE, "namespace": "mine\n", "token": TOKEN}.items():
        (directory / name).write_text(text, encoding="ascii")
    return directory


POD = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "6443"}


def test_in_a_pod_its_own_cluster_is_found(account):
    found = find_access(POD, None, account=account)
    assert (found.server, found.namespace, found.authority) == ("https://10.0.0.1:6443", "mine", CERTIFICATE)
    assert found.user.token_file == account / "token"


def test_a_pod_has_its_own_cluster_unless_a_kubeconfig_names_another(account, tmp_path):
    assert has_own_cluster(POD, tmp_path, account)
    assert not has_own_cluster({}, tmp_path, account)
    assert not has_own_cluster({**POD, "KUBECONFIG": "nothing"}, tmp_path, account)
    (tmp_path / ".kube").mkdir()
    (tmp_path / ".kube/config").write_text(write_yaml(config()), encoding="utf-8")
    assert not has_own_cluster(POD, tmp_path, account)


def test_a_pod_without_an_account_has_no_cluster(tmp_path):
    assert not has_own_cluster(POD, tmp_path, tmp_path / "account")


def test_in_a_pod_the_namespace_can_be_chosen(account):
    assert find_access(POD, None, namespace="other", account=account).namespace == "other"


def test_an_address_of_ipv6_gets_its_brackets(account):
    assert find_access({**POD, "KUBERNETES_SERVICE_HOST": "fd00::1"}, None, account=account).server == (
        "https://[fd00::1]:6443"
    )


def test_a_kubeconfig_takes_precedence_over_the_pod(account, tmp_path):
    (tmp_path / "config").write_text(write_yaml(config()), encoding="utf-8")
    found = find_access({**POD, "KUBECONFIG": str(tmp_path / "config")}, None, account=account)
    assert found.server == "https://one.test:6443"


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_a_pod_without_a_usable_account_is_told(account, content):
    (account / "ca.crt").unlink()
    if content:
        (account / "ca.crt").write_bytes(content)
    with pytest.raises(SettingsError, match="this pod has no service account") as caught:
        find_access(POD, None, account=account)
    assert "automountServiceAccountToken" in caught.value.hint


# ---- what is missing or wrong


def test_no_cluster_at_all(tmp_path):
    with pytest.raises(SettingsError, match="no cluster is known") as caught:
        find_access({}, tmp_path)
    assert "KUBECONFIG" in caught.value.hint


def test_a_context_without_a_kubeconfig(tmp_path):
    with pytest.raises(SettingsError, match="no kubeconfig that has the context builds"):
        find_access(POD, tmp_path, context="builds")


def test_kubeconfig_names_no_file_that_exists(tmp_path):
    with pytest.raises(SettingsError, match="KUBECONFIG names no file that exists: /missing") as caught:
        find_access({"KUBECONFIG": "/missing"}, tmp_path)
    assert caught.value.hint == "correct it, or unset it"


def test_a_name_of_a_file_that_no_system_takes(tmp_path):
    with pytest.raises(SettingsError, match="names no file"):
        find_access({"KUBECONFIG": "x" * 10_000}, tmp_path)


@pytest.mark.parametrize(
    ("document", "options", "message", "hint"),
    [
        (config(current=False), {}, "no file of KUBECONFIG has a current context", "kube_context to one of: one"),
        (config(), {"context": "x"}, "there is no context 'x' in ", "kube_context to one of: one"),
        (config(context={"cluster": "x"}), {}, "there is no cluster 'x' in ", "kube_context to one of: one"),
        (config(context={"user": "x"}), {}, "there is no user 'x' in ", "kube_context to one of: one"),
        ({"a": "b"}, {}, "no file of KUBECONFIG has a current context", "kube_context to one of: none is there"),
        (config(cluster={"server": ""}), {}, "the server of the cluster one is no address", "https://HOST:PORT"),
        (config(cluster={"server": "one.test"}), {}, "the server of the cluster one is no address", "https://"),
        (config(cluster={"server": "https://a:b@c"}), {}, "the server of the cluster one is no address", "without a"),
        (config(cluster={"certificate-authority": "no"}), {}, "certificate-authority names no, which", "relative to"),
        (config(cluster={"certificate-authority": "\0"}), {}, "certificate-authority names", "relative to"),
        (
            config(cluster={"certificate-authority-data": encoded("junk")}),
            {},
            "certificate-authority holds no certificate",
            "copy the kubeconfig",
        ),
        (config(user={"client-key": "no"}), {}, "client-key names no, which cannot be read", "relative to"),
        (config(user={"client-key-data": "%"}), {}, "client-key-data is not PEM in base64", "copy the kubeconfig"),
        (config(user={"client-key-data": "ä"}), {}, "client-key-data is not PEM in base64", "copy the kubeconfig"),
        (config(user={"client-key-data": encoded("ä")}), {}, "client-key-data is not PEM in base64", "copy the"),
        (config(user={"auth-provider": {"name": "gcp"}}), {}, "auth-provider is not supported", "by exec"),
        (config(user={"as": "admin", "token": TOKEN}), {}, "as is not supported", "remove it"),
        (config(cluster={"tls-server-name": "x"}), {}, "tls-server-name is not supported", "remove it"),
        (config(user={"exec": {}}), {}, "this is no command that can be run", "name a program by command"),
        (config(user={"exec": {"command": "a\0b"}}), {}, "this is no command that can be run", "name a program"),
        (
            config(user={"exec": {"command": "a", "env": [{"name": "A=B", "value": "c"}]}}),
            {},
            "this is no command that can be run",
            "variables by env",
        ),
    ],
)
def test_what_is_missing_or_wrong_has_its_words_and_its_hint(access, document, options, message, hint):
    with pytest.raises(SettingsError, match=message) as caught:
        access(document, **options)
    assert hint in caught.value.hint
    assert TOKEN not in str(caught.value)


def test_what_is_wrong_has_its_place(access, tmp_path):
    with pytest.raises(SecretError) as caught:
        access(config(user={"client-key-data": "%"}))
    assert caught.value.where.startswith(f"{tmp_path}/config-0:")


BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join(['*' + old] * 10)}]\n" for old, new in ["ab", "bc", "cd", "de", "ef", "fg"]
)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# nothing\n",
        "- a\n- b\n",
        "clusters: {a: b}\nusers: x\ncontexts: 7\ncurrent-context: [x]\n",
        "clusters: [a, [b], null]\ncontexts: [{name: x, context: y}]\ncurrent-context: x\n",
        BOMB,
        "a: &a\n  b: *a\n",
        "{" * 500,
        "x" * (LARGEST_FILE + 1),
        "a: !!python/object/apply:os.system [ls]\n",
        "a: 1\na: 2\n",
        "a\tb: [\n",
        "---\na: b\n---\nc: d\n",
    ],
)
def test_a_hostile_file_is_an_error_of_settings(access, text):
    with pytest.raises(SettingsError):
        access(text)


def test_a_file_that_is_no_text_is_an_error_of_settings(tmp_path):
    (tmp_path / "config").write_bytes(b"\xff\x00\xfe")
    with pytest.raises(SourceError):
        find_access({"KUBECONFIG": str(tmp_path / "config")}, None)


def test_a_directory_is_an_error_of_settings(tmp_path):
    with pytest.raises(SourceError):
        find_access({"KUBECONFIG": str(tmp_path)}, None)


WORDS = (
    "clusters users contexts current-context name cluster user context server namespace token tokenFile exec command "
    "args env value apiVersion certificate-authority certificate-authority-data client-key client-key-data username "
    "password proxy-url insecure-skip-tls-verify provideClusterInfo"
)
KEYS = st.sampled_from(WORDS.split())
LEAVES = st.sampled_from(["one", "https://one.test", "", "true", "/", "\0", "a=b", "LS0t"]) | st.text(max_size=6)
TREES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5), max_leaves=20
)
ENTRIES = st.dictionaries(KEYS, TREES, max_size=4)


def listed(key: str):
    """Return lists of the entries that a kubeconfig has, with anything in them."""
    entry = st.fixed_dictionaries({"name": st.just("one") | TREES, key: ENTRIES | TREES})
    return st.lists(entry | TREES, max_size=2) | TREES


DOCUMENTS = st.fixed_dictionaries(
    {
        "clusters": listed("cluster"),
        "users": listed("user"),
        "contexts": st.just([{"name": "one", "context": {"cluster": "one", "user": "one"}}]) | listed("context"),
        "current-context": st.just("one") | TREES,
    }
)


@given(DOCUMENTS)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_whatever_is_in_it_only_our_errors_come_out(access, document):
    with suppress(BuildPushError):
        assert isinstance(access(document), Access)


def test_the_corpus_of_entries_reaches_an_access(access):
    """The property above would hold for a reader that refuses everything."""
    document = {
        "clusters": [{"name": "one", "cluster": {"server": "https://one.test"}}],
        "users": [{"name": "one", "user": {}}],
        "contexts": [{"name": "one", "context": {"cluster": "one", "user": "one"}}],
        "current-context": "one",
    }
    assert access(document).server == "https://one.test"
    assert Path(access(document).source.split(",")[0]).name == "config-0"
