"""Connectors are read as Harness exports them, secrets only from where a reference leads."""

from __future__ import annotations

import textwrap

import pytest

from buildpush.credentials.connectors import Connector, Connectors
from buildpush.credentials.connectors_file import read_connectors
from buildpush.credentials.jfrog import derived_address
from buildpush.credentials.vault import Vault, variable_of
from buildpush.foundation.errors import SecretError, SettingsError, SourceError
from buildpush.images.references import Repository

JFROG = """
connectors:
  - connector:
      name: JFrog
      identifier: jfrog
      orgIdentifier: default
      projectIdentifier: shop
      type: DockerRegistry
      spec:
        dockerRegistryUrl: https://acme.jfrog.io/
        providerType: Other
        auth:
          type: UsernamePassword
          spec:
            username: ci-bot
            passwordRef: account.jfrog_token
        executeOnDelegate: false
secrets:
  account.jfrog_token: env:JFROG_TOKEN
  from_file: file:token.txt
"""


@pytest.fixture
def read(tmp_path):
    def read(text):
        path = tmp_path / "connectors.yml"
        path.write_text(textwrap.dedent(text))
        return read_connectors(path, "connectors.yml")

    return read


def vault(tmp_path, env=None, connectors=None, directory=None):
    return Vault(env or {}, tmp_path, directory, connectors.references if connectors else {})


def at(url, **more):
    return Connector("jfrog", url, "connectors.yml:4:19", **more)


class TestReading:
    def test_a_connector_gives_host_user_and_password(self, read, tmp_path):
        connectors = read(JFROG)
        connector = connectors.find("jfrog")
        login = connector.credential(vault(tmp_path, {"JFROG_TOKEN": "s3cret"}, connectors))
        assert (connector.host, login.username, login.password.reveal()) == ("acme.jfrog.io", "ci-bot", "s3cret")
        assert login.source == "connector jfrog"
        assert "s3cret" not in repr(login)

    def test_a_path_counts_from_the_file_it_stands_in(self, read, tmp_path):
        (tmp_path / "token.txt").write_text("from-file\n")
        elsewhere = vault(tmp_path / "other", connectors=read(JFROG))
        assert elsewhere.secret("from_file").reveal() == "from-file"

    def test_one_connector_alone_and_a_list_are_read_too(self, read):
        alone = JFROG.split("secrets:", maxsplit=1)[0].replace("connectors:\n  - connector:", "connector:")
        assert read(alone).find("jfrog").host == "acme.jfrog.io"
        listed = textwrap.dedent(JFROG.split("secrets:", maxsplit=1)[0].replace("connectors:\n", ""))
        assert read(listed).find("account.jfrog").host == "acme.jfrog.io"

    def test_what_a_connector_says_about_delegates_is_a_note(self, read):
        """It says where Harness runs, and nothing runs there; what Harness exports by default is no news."""
        assert read(JFROG).find("jfrog").notes == ()
        said = JFROG.replace("executeOnDelegate: false", "executeOnDelegate: true\n        delegateSelectors: [eu]")
        said = said.replace("        providerType: Other", "        providerType: Other\n        proxy: true")
        assert read(said).find("jfrog").notes == (
            "connectors.yml:12:9: proxy has no effect here",
            "connectors.yml:18:9: executeOnDelegate has no effect here",
            "connectors.yml:19:9: delegateSelectors has no effect here",
        )

    def test_user_names_may_be_secrets(self, read, tmp_path):
        connectors = read(JFROG.replace("username: ci-bot", "usernameRef: env:JFROG_USER"))
        known = vault(tmp_path, {"JFROG_TOKEN": "s3cret", "JFROG_USER": "robot"}, connectors)
        assert connectors.find("jfrog").credential(known).username == "robot"

    def test_an_anonymous_connector_has_no_login(self, read, tmp_path):
        text = JFROG.split("          type: UsernamePassword", maxsplit=1)[0] + "          type: Anonymous\n"
        with pytest.raises(SettingsError, match="is anonymous, but a push needs a user"):
            read(text).find("jfrog").credential(vault(tmp_path))

    def test_the_scope_tells_two_of_one_name_apart(self, read):
        one = textwrap.indent(
            textwrap.dedent(JFROG.split("secrets:", maxsplit=1)[0].replace("connectors:\n", "")), "  "
        )
        two = one.replace("      orgIdentifier: default\n", "").replace("      projectIdentifier: shop\n", "")
        connectors = read("connectors:\n" + one + two.replace("acme.jfrog.io", "all.jfrog.io"))
        assert connectors.find("jfrog").host == "acme.jfrog.io"
        assert connectors.find("account.jfrog").host == "all.jfrog.io"
        with pytest.raises(SettingsError, match="several connectors are called 'jfrog'"):
            connectors.find("org.jfrog")

    @pytest.mark.parametrize(
        ("old", "new", "message", "place"),
        [
            ("type: DockerRegistry", "type: Git", "type 'Git' is not for images", "8:13"),
            ("providerType", "providerTyp", "spec has no key 'providerTyp'", "11:9"),
            ("providerType: Other", "providerType: JFrog", "unknown provider type 'JFrog'", "11:23"),
            ("UsernamePassword", "Token", "unknown authentication type 'Token'", "13:17"),
            ("https://acme.jfrog.io/", "ftp://acme", "'ftp://acme' is not the address", "10:28"),
            ("https://acme.jfrog.io/", "https://", "not the address", "10:28"),
            ("https://acme.jfrog.io/", "https://a b", "not the address", "10:28"),
            ("https://acme.jfrog.io/", "https://[::1", "not the address", "10:28"),
            ("https://acme.jfrog.io/", '""', "dockerRegistryUrl must be a text that is not empty", "10:28"),
            ("identifier: jfrog", "identifier: j frog", "'j frog' is not an identifier", "5:19"),
            ("            username: ci-bot\n", "", "the connector needs username", "15:13"),
            ("secrets:", "secret:", "unknown key 'secret'", "18:1"),
            ("  from_file:", "  'from file':", "'from file' is not the identifier", "20:16"),
        ],
    )
    def test_what_means_nothing_is_an_error_with_its_place(self, read, old, new, message, place):
        assert old in JFROG
        with pytest.raises(SourceError) as caught:
            read(JFROG.replace(old, new))
        assert message in str(caught.value)
        assert str(caught.value).startswith(f"connectors.yml:{place}: ")

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ("passwordRef: account.jfrog_token", "password: hunter22!"),
            ("passwordRef: account.jfrog_token", 'passwordRef: "hunter22!"'),
            ("env:JFROG_TOKEN", "hunter22!"),
            ("env:JFROG_TOKEN", "env:hunter22!"),
            ("https://acme.jfrog.io/", "https://me:hunter22!@acme.jfrog.io"),
        ],
    )
    def test_a_secret_as_plain_text_is_refused_and_not_repeated(self, read, old, new):
        assert old in JFROG
        with pytest.raises(SecretError) as caught:
            read(JFROG.replace(old, new))
        assert "hunter22" not in str(caught.value)
        assert caught.value.hint
        assert caught.value.where

    def test_the_same_connector_twice_is_an_error(self, read):
        entry = JFROG.split("connectors:\n")[1].split("secrets:", maxsplit=1)[0]
        with pytest.raises(SourceError, match="there is a second connector"):
            read("connectors:\n" + entry + entry)

    @pytest.mark.parametrize("text", ["x", "connector:", "[]", "connector: []", "connectors: [3]", "a: b"])
    def test_anything_else_is_an_error_too(self, read, text):
        with pytest.raises(SourceError):
            read(text).find("jfrog")

    def test_an_unknown_connector_has_near_names(self, read):
        with pytest.raises(SettingsError, match=r"no connector 'account.jforg'") as caught:
            read(JFROG).find("account.jforg")
        assert caught.value.hint == "did you mean jfrog?"
        with pytest.raises(SettingsError, match="no connectors file is given"):
            Connectors().find("jfrog")


class TestSecrets:
    def test_a_variable_comes_first_then_the_directory_then_the_file(self, read, tmp_path):
        connectors = read(JFROG)
        directory = tmp_path / "secrets"
        directory.mkdir()
        env = {"JFROG_TOKEN": "listed"}
        known = vault(tmp_path, env, connectors, directory)
        assert known.secret("account.jfrog_token").reveal() == "listed"
        (directory / "account.jfrog_token").write_text("in-folder\n")
        assert known.secret("account.jfrog_token").reveal() == "in-folder"
        env["BUILDPUSH_SECRET_ACCOUNT_JFROG_TOKEN"] = "variable"
        assert known.secret("account.jfrog_token").reveal() == "variable"

    def test_dots_and_dashes_become_underscores(self):
        assert variable_of("org.my-token") == "BUILDPUSH_SECRET_ORG_MY_TOKEN"

    @pytest.mark.parametrize(("content", "value"), [("a\n", "a"), ("a\r\n", "a"), ("a\n\n", "a\n"), (" a ", " a ")])
    def test_one_line_end_is_cut_and_nothing_else(self, tmp_path, content, value):
        (tmp_path / "token").write_bytes(content.encode())
        assert vault(tmp_path).reference("file:token").reveal() == value

    @pytest.mark.parametrize("written", ["org_my_token", "ORG_my_token"])
    def test_a_variable_named_as_the_secret_is_written_leads_to_the_one_that_is_read(self, tmp_path, written):
        """'There is no secret org.my-token; did you mean org_my_token?' would lead nowhere."""
        with pytest.raises(SecretError) as caught:
            vault(tmp_path, {f"BUILDPUSH_SECRET_{written}": "x"}).secret("org.my-token")
        assert caught.value.hint == (f"BUILDPUSH_SECRET_{written} is set; rename it to BUILDPUSH_SECRET_ORG_MY_TOKEN")

    def test_an_unresolved_secret_says_who_was_asked(self, tmp_path):
        with pytest.raises(SecretError) as caught:
            vault(tmp_path, {"BUILDPUSH_SECRET_TOKEN": "x"}, directory=tmp_path).secret("tokn")
        text = str(caught.value)
        assert "BUILDPUSH_SECRET_TOKN is not set" in text
        assert f"{tmp_path} has no file of that name" in text
        assert "no connectors file lists it" in text
        assert caught.value.hint == "did you mean token?"
        assert caught.value.exit_code == 2

    @pytest.mark.parametrize(
        "identifier", ["../token", "a/b", "/etc/passwd", "..", "", ".hidden", "a b", "a\0b", "a\n"]
    )
    def test_an_identifier_never_leads_out_of_the_directory(self, tmp_path, identifier):
        directory = tmp_path / "secrets"
        directory.mkdir()
        (tmp_path / "token").write_text("outside")
        with pytest.raises(SecretError, match="not the identifier"):
            vault(tmp_path, directory=directory).secret(identifier)

    def test_nor_does_a_link(self, tmp_path):
        directory = tmp_path / "secrets"
        (directory / "data").mkdir(parents=True)
        (tmp_path / "token").write_text("outside")
        (directory / "token").symlink_to(tmp_path / "token")
        (directory / "data" / "other").write_text("inside")
        (directory / "other").symlink_to("data/other")
        with pytest.raises(SecretError, match="link out of its directory"):
            vault(tmp_path, directory=directory).secret("token")
        assert vault(tmp_path, directory=directory).secret("other").reveal() == "inside"

    @pytest.mark.parametrize(
        ("reference", "message"),
        [
            ("env:MISSING", "MISSING is not set"),
            ("env:EMPTY", "EMPTY is empty"),
            ("file:missing", "cannot be read: No such file"),
            ("file:.", "cannot be read: Is a directory"),
            ("file:empty", "is empty"),
            ("file:binary", "is not UTF-8"),
            ("file:large", "larger than 1 MiB"),
            ("secret:missing", "no secret 'missing'"),
            ('<+secrets.getValue("missing")>', "no secret 'missing'"),
        ],
    )
    def test_a_reference_that_leads_nowhere_is_an_error_with_its_place(self, tmp_path, reference, message):
        (tmp_path / "empty").write_text("\n")
        (tmp_path / "binary").write_bytes(b"\xff\xfe")
        (tmp_path / "large").write_bytes(b"x" * (1 << 20) + b"x")
        with pytest.raises(SecretError, match=message) as caught:
            vault(tmp_path, {"EMPTY": ""}).reference(reference, "step.yml:7:3")
        assert caught.value.where == "step.yml:7:3"

    def test_a_variable_that_is_empty_is_not_offered_in_its_own_place(self, tmp_path):
        with pytest.raises(SecretError, match="SANDBOX_PASSWORD is empty") as caught:
            vault(tmp_path, {"SANDBOX_PASSWORD": ""}).reference("env:SANDBOX_PASSWORD")
        assert caught.value.hint == "set SANDBOX_PASSWORD"

    def test_every_form_of_reference_is_followed(self, tmp_path):
        (tmp_path / "token").write_text("x1")
        known = vault(tmp_path, {"TOKEN": "x2", "BUILDPUSH_SECRET_T": "x3"})
        forms = ["file:token", "env:TOKEN", "secret:t", "t", "<+secrets.getValue('t')>"]
        assert [known.reference(form).reveal() for form in forms] == ["x1", "x2", "x3", "x3", "x3"]


class TestAddresses:
    @pytest.mark.parametrize(
        ("url", "host", "app"),
        [
            ("https://acme.jfrog.io", "acme.jfrog.io", "acme.jfrog.io/app"),
            ("https://ACME.jfrog.io/v2", "acme.jfrog.io", "acme.jfrog.io/app"),
            ("https://acme.jfrog.io/artifactory", "acme.jfrog.io", "acme.jfrog.io/app"),
            ("https://acme.jfrog.io/artifactory/api/docker/local", "acme.jfrog.io", "acme.jfrog.io/local/app"),
            ("https://acme.jfrog.io/artifactory/api/docker/local/v2", "acme.jfrog.io", "acme.jfrog.io/local/app"),
            ("https://acme.jfrog.io/docker-local", "acme.jfrog.io", "acme.jfrog.io/docker-local/app"),
            ("http://127.0.0.1:8081", "127.0.0.1:8081", "127.0.0.1:8081/app"),
            ("https://index.docker.io/v2", "docker.io", "docker.io/library/app"),
        ],
    )
    def test_an_address_has_a_host_and_perhaps_a_repository_key(self, url, host, app):
        assert (at(url).host, str(at(url).repository("app"))) == (host, app)

    @pytest.mark.parametrize(
        ("url", "repo", "found"),
        [
            ("https://acme.jfrog.io", "acme.jfrog.io/docker-local/app", "acme.jfrog.io/docker-local/app"),
            ("https://acme.jfrog.io", "ACME.jfrog.io/docker-local/app", "ACME.jfrog.io/docker-local/app"),
            ("https://acme.jfrog.io", "docker-local/app", "acme.jfrog.io/docker-local/app"),
            ("https://acme.jfrog.io", "app", "acme.jfrog.io/app"),
            ("https://acme.jfrog.io/docker-local", "app", "acme.jfrog.io/docker-local/app"),
            ("https://acme.jfrog.io/docker-local", "docker-local/app", "acme.jfrog.io/docker-local/app"),
            ("https://acme.jfrog.io", "docker-local.acme.jfrog.io/app", "docker-local.acme.jfrog.io/app"),
            ("https://art.acme.com:5001", "art.acme.com:5001/app", "art.acme.com:5001/app"),
            ("https://index.docker.io/v2", "acme/app", "docker.io/acme/app"),
        ],
    )
    def test_a_repository_lies_at_its_connector(self, url, repo, found):
        assert str(at(url).repository(repo)) == found

    @pytest.mark.parametrize(
        ("url", "repo"),
        [
            ("https://acme.jfrog.io", "evil.jfrog.io/docker-local/app"),
            ("https://acme.jfrog.io", "notacme.jfrog.io/docker-local/app"),
            ("https://acme.jfrog.io", "acme-docker.jfrog.io/app"),
            ("https://acme.jfrog.io", "acme.jfrog.io:5001/app"),
            ("https://acme.jfrog.io", "docker.io/acme/app"),
        ],
    )
    def test_credentials_never_go_to_another_host(self, url, repo):
        with pytest.raises(SettingsError) as caught:
            at(url).repository(repo)
        assert "acme.jfrog.io" in str(caught.value)
        assert Repository.parse(repo).host in str(caught.value)

    @pytest.mark.parametrize(
        ("repo", "url", "artifactory"),
        [
            ("acme.jfrog.io/docker-local/app", None, "https://acme.jfrog.io"),
            ("docker-local.acme.jfrog.io/app", None, "https://acme.jfrog.io"),
            ("dl.art.acme.com/app", "https://art.acme.com", "https://art.acme.com"),
            ("art.acme.com:5001/app", None, "https://art.acme.com:5001"),
            ("acme-docker.jfrog.io/app", None, "https://acme-docker.jfrog.io"),
            ("127.0.0.1:8081/docker-local/app", "http://127.0.0.1:8081", "http://127.0.0.1:8081"),
            ("[::1]:8081/docker-local/app", None, "https://[::1]:8081"),
        ],
    )
    def test_a_name_tells_the_server(self, repo, url, artifactory):
        found = derived_address(Repository.parse(repo), at(url) if url else None, plain_http=False)
        assert found == f"{artifactory}/artifactory/"
