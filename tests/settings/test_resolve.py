"""From a step to an order: every wish checked, every credential found, nothing left to decide."""

from __future__ import annotations

import textwrap
from dataclasses import replace
from pathlib import Path

import pytest

from buildpush.credentials.connectors import Connectors
from buildpush.credentials.connectors_file import read_connectors
from buildpush.credentials.jfrog import artifactory_address
from buildpush.credentials.vault import Vault
from buildpush.expressions.builtin import BUILT_IN
from buildpush.expressions.evaluate import AbsentError
from buildpush.expressions.facts import Counter, Facts, Git
from buildpush.foundation.errors import BadNameError, ExpressionError, SecretError, SettingsError, UnsupportedError
from buildpush.images.model import Platform
from buildpush.places import CommandResult, Recorded
from buildpush.settings.declare import settings_of
from buildpush.settings.evaluate import evaluate, evaluate_setting
from buildpush.settings.resolve import resolve
from buildpush.settings.sources import read
from buildpush.settings.stepkinds import STEP_KINDS
from buildpush.settings.tree import Step
from buildpush.settings.written import Origin, WrittenValue
from tests.connectors import connector, connectors

STEP = """
pipeline:
  name: Site
  variables:
    - {name: version, type: String, value: "1.<+codebase.shortCommitSha>"}
  stages:
    - stage:
        name: Build
        identifier: build
        spec:
          execution:
            steps:
              - step:
                  type: BuildAndPushDockerRegistry
                  name: Push it
                  identifier: push_it
                  spec:
                    repo: acme.jfrog.io/docker-local/site
                    tags:
                      - <+pipeline.variables.version>
                      - latest
"""
CONNECTORS = connectors(
    connector("https://acme.jfrog.io", password="token"),
    connector("http://base.example.com", "reader", "token", name="base"),
    connector("https://acme.jfrog.io", "other", "token", name="rival"),
    """\
  - connector:
      identifier: open
      type: DockerRegistry
      spec:
        dockerRegistryUrl: https://open.example.com
        auth: {type: Anonymous}
secrets:
  token: env:TOKEN
""",
)
REVISION = "0123456789abcdef0123456789abcdef01234567"


class House:
    """A directory with a Dockerfile and a connectors file, and a way to resolve a step in it."""

    def __init__(self, directory: Path):
        self.directory = directory
        self.counters = directory / "state"
        self.cwd = directory / "work"
        self.cwd.mkdir()
        (self.cwd / "Dockerfile").write_text("FROM scratch\n")
        (directory / "connectors.yml").write_text(CONNECTORS)
        self.env = {"TOKEN": "t0ken-value"}

    def git(self, call):
        return CommandResult(0, REVISION) if "--verify" in call.argv else CommandResult(128)

    def parts(self):
        connectors = read_connectors(self.directory / "connectors.yml")
        vault = Vault(self.env, self.cwd, None, connectors.references)
        git = Git(Recorded(self.git), self.cwd)
        return connectors, vault, Facts(self.env, git, Counter(self.counters), 0.0, vault.secret)

    def step(self, text=STEP, **keywords):
        path = self.cwd / "step.yml"
        path.write_text(textwrap.dedent(text))
        return read(Path("step.yml"), env=self.env, flags={}, keywords=keywords, cwd=self.cwd, step=None).steps[0]

    def evaluate(self, text=STEP, **keywords):
        return evaluate(self.step(text, **keywords), self.parts()[2])

    def resolve(self, text=STEP, **keywords):
        connectors, vault, facts = self.parts()
        step = self.step(text, **keywords)
        return resolve(evaluate(step, facts), cwd=self.cwd, facts=facts, vault=vault, connectors=connectors, step=step)

    def build(self, text, **keywords):
        _, vault, facts = self.parts()
        step = self.step(text, **keywords)
        connectors = self.parts()[0] if "baseImage" in text else Connectors()
        wishes = evaluate(step, facts, push=False)
        return resolve(wishes, cwd=self.cwd, facts=facts, vault=vault, connectors=connectors, step=step)

    def refused(self, text=STEP, **keywords):
        with pytest.raises(SettingsError) as caught:
            self.resolve(text, **keywords)
        return caught.value

    @property
    def number_taken(self):
        return self.counters.exists()


@pytest.fixture
def house(tmp_path):
    return House(tmp_path)


def spec(*lines):
    """Return the step with *lines* added to its spec."""
    return STEP + "".join(f"                    {line}\n" for line in lines)


SETTINGS = {
    setting.name: (kind, setting)
    for kind in (STEP_KINDS["publish"], STEP_KINDS["build"])
    for setting in settings_of(kind.model)
    if setting.name not in {"when", "failure_strategies", "strategy", "env_variables"}
}
NOT_OF_IMAGES = {
    *("identifier", "name", "description", "timeout", "enforce"),
    *("url", "access_token", "username", "password", "api_key", "git_path"),
    *("pem_file_contents", "pem_file_path", "log_level", "publish_build_info", "artifactory_url", "artifactory_token"),
    *("build_name", "build_number", "build_url", "build_project", "build_module", "env_include", "verbosity"),
    *("engine", "place", "fetch_limit", "kaniko_image", "run_as_user", "resources", "privileged", "reports", "quiet"),
}


def outcome(act):
    """Return what *act* gives, and the error where a name has no value."""
    try:
        return act(), None
    except AbsentError as error:
        return None, error


@pytest.mark.parametrize("name", SETTINGS)
def test_a_fact_that_is_not_known_is_never_silently_empty(house, name):
    """In what goes into an image, or its name, it is an error with the way to give it; elsewhere it is noted once."""
    kind, setting = SETTINGS[name]
    step = Step("a", "A", kind.type, {}, "step.yml:1:1", kind)
    nowhere = replace(house.parts()[2], env={}, git=Git(Recorded(lambda _: CommandResult(128)), house.cwd))
    for fact in BUILT_IN:
        notes = []
        facts = replace(nowhere, note=notes.append, _noted=set())
        written = WrittenValue(f"<+{fact}>", Origin("file", "step.yml:2:2", f"<+{fact}>"))
        value, error = outcome(lambda facts=facts, written=written: evaluate_setting(step, name, written, facts))
        if error:
            assert (bool(error.hint), error.setting, error.where) == (True, name, "step.yml:2:2"), fact
            continue
        assert value not in (None, "null"), fact
        if value == "":
            assert name in NOT_OF_IMAGES or setting.group in {"Build-info", "Attestations", "Cluster"}, fact
            assert len(notes) == 1, fact


class TestEvaluate:
    def test_expressions_are_answered_before_values_are_typed(self, house):
        assert house.evaluate().tags == ("1.0123456", "latest")

    def test_an_expression_may_give_a_list(self, house):
        assert house.evaluate(tags="<+'1 2 3'.split(' ')>").tags == ("1", "2", "3")

    def test_a_number_keeps_its_digits(self, house):
        assert house.evaluate(tags=["<+1 + 1>", "1.10"]).tags == ("2", "1.10")

    def test_names_of_arguments_may_be_expressions(self, house):
        settings = house.evaluate(build_args={"V_<+pipeline.name>": "<+step.identifier>"})
        assert settings.build_args == {"V_Site": "push_it"}

    def test_an_escaped_expression_is_text(self, house):
        assert house.evaluate(build_args={"X": r"\<+pipeline.name>"}).build_args == {"X": "<+pipeline.name>"}

    def test_an_unknown_expression_names_file_line_and_near_names(self, house):
        with pytest.raises(ExpressionError) as caught:
            house.evaluate(STEP.replace("<+pipeline.variables.version>", "<+pipeline.sequenceID>"))
        assert str(caught.value).startswith("step.yml:20:")
        assert "unknown name pipeline.sequenceID (column 3)" in str(caught.value)
        assert "pipeline.sequenceId" in caught.value.hint
        assert caught.value.setting == "tags"

    def test_a_secret_is_refused_where_everybody_could_read_it(self, house):
        for name, value in {
            "labels": {"x": "y<+secrets.getValue('token')>"},
            "build_args": {"A": "<+secrets.getValue('token')>"},
            "tags": ["<+secrets.getValue('token')>"],
        }.items():
            with pytest.raises(SecretError) as caught:
                house.evaluate(**{name: value})
            assert caught.value.hint
            assert "t0ken" not in str(caught.value)

    def test_a_missing_secret_names_the_place(self, house):
        with pytest.raises(SecretError) as caught:
            house.evaluate(username="ci", password="<+secrets.getValue('tokn')>")
        assert caught.value.where == "password="
        assert "BUILDPUSH_SECRET_TOKN" in str(caught.value)

    def test_input_is_asked_by_the_key(self, house):
        _, _, facts = house.parts()
        step = house.step(STEP.replace("<+pipeline.variables.version>", "<+input>.allowedValues(1,2)"))
        from dataclasses import replace

        assert evaluate(step, replace(facts, inputs={"tags": "2"})).tags == ("2", "latest")

    def test_what_nothing_honours_is_refused(self, house):
        with pytest.raises(UnsupportedError):
            house.evaluate(spec("registryRef: x"))


class TestBuild:
    def test_the_order_is_complete(self, house):
        house.env |= {"SOURCE_DATE_EPOCH": "1700000000"}
        order = house.resolve(
            build_args={"A": "1"}, labels={"l": "m"}, target="last", platforms=["linux/arm64"], compression="zstd"
        )
        assert [str(reference) for reference in order.references] == [
            "acme.jfrog.io/docker-local/site:1.0123456",
            "acme.jfrog.io/docker-local/site:latest",
        ]
        request = order.request
        assert request.context == house.cwd.resolve()
        assert request.dockerfile == house.cwd.resolve() / "Dockerfile"
        assert (request.build_args, request.labels, request.target) == ({"A": "1"}, {"l": "m"}, "last")
        assert request.platforms == order.platforms == (Platform("linux", "arm64"),)
        assert request.created == 1700000000
        assert request.references == order.references
        assert order.set_names >= {"tags", "build_args", "labels", "target", "platforms", "compression"}
        assert (order.push, order.engine, order.compression) == (True, "auto", "zstd")

    def test_caches_become_part_of_the_order(self, house):
        request = house.resolve(
            caching=True,
            cache_from=["type=local,src=c", "a.test/x"],
            cache_to="type=local,dest=/d",
            remote_cache_repo="a.test/cache",
        ).request
        assert list(map(str, request.cache_from)) == [
            f"type=local,src={house.cwd}/c",
            "type=registry,ref=a.test/x:latest",
        ]
        assert list(map(str, request.cache_to)) == ["type=local,dest=/d"]
        assert (request.caching, str(request.cache_repository)) == (True, "a.test/cache")

    def test_nothing_is_counted_unless_a_number_is_needed(self, house):
        house.resolve()
        assert not house.number_taken

    def test_without_a_name_the_dockerfile_of_the_context_is_taken_and_noted(self, house):
        (house.cwd / "service").mkdir()
        (house.cwd / "Dockerfile").rename(house.cwd / "service" / "Dockerfile")
        order = house.resolve(context="service")
        assert order.request.dockerfile == house.cwd / "service" / "Dockerfile"
        assert (
            "the Dockerfile is service/Dockerfile: none is named, and none is in the working directory" in order.notes
        )

    def test_a_dockerfile_that_is_named_is_not_looked_for_in_the_context(self, house):
        (house.cwd / "service").mkdir()
        (house.cwd / "Dockerfile").rename(house.cwd / "service" / "Dockerfile")
        error = house.refused(context="service", dockerfile="Dockerfile")
        assert "the Dockerfile 'Dockerfile' does not exist" in str(error)
        assert "write dockerfile: service/Dockerfile" in error.hint

    @pytest.mark.parametrize(
        ("keywords", "message", "hint"),
        [
            ({"context": "nowhere"}, "the context 'nowhere' does not exist", "working directory"),
            ({"context": "Dockerfile"}, "is not a directory", ""),
            ({"dockerfile": "nowhere"}, "the Dockerfile 'nowhere' does not exist", "working directory"),
            ({"dockerfile": "."}, "is not a file", ""),
            ({"dockerfile": "../outside"}, "is outside the context", "move it"),
            ({"dockerfile": "link"}, "is outside the context", "move it"),
            ({"context": "service"}, "is outside the context 'service'", "set dockerfile: Dockerfile"),
        ],
    )
    def test_directories_and_files_must_be_there(self, house, keywords, message, hint):
        (house.cwd / "service").mkdir()
        (house.directory / "outside").write_text("FROM scratch\n")
        (house.cwd / "link").symlink_to(house.directory / "outside")
        error = house.refused(**keywords)
        assert message in str(error)
        assert hint in error.hint
        assert error.setting in {"context", "dockerfile"}

    @pytest.mark.parametrize("there", ["DockerFile", "Dockerfile.dev", "service/Dockerfile", "services/api/Dockerfile"])
    def test_a_dockerfile_of_nearly_that_name_or_in_another_directory_is_pointed_out(self, house, there):
        (house.cwd / "Dockerfile").unlink()
        (house.cwd / there).parent.mkdir(parents=True, exist_ok=True)
        (house.cwd / there).write_text("FROM scratch\n")
        assert house.refused().hint.startswith(f"there is {there}; ")

    def test_a_file_of_another_name_is_not_pointed_out(self, house):
        (house.cwd / "Dockerfile").unlink()
        (house.cwd / "docker-compose.yml").write_text("")
        assert "there is" not in house.refused().hint

    def test_a_named_dockerfile_may_lie_beside_the_context(self, house):
        (house.cwd / "service").mkdir()
        assert house.resolve(context="service", dockerfile="Dockerfile").request.dockerfile.name == "Dockerfile"

    @pytest.mark.parametrize(
        ("keywords", "kind"),
        [
            ({"tags": ["a b"]}, BadNameError),
            ({"tags": ["--push"]}, BadNameError),
            ({"repo": "acme.jfrog.io/Upper/app"}, BadNameError),
            ({"repo": "--help"}, SettingsError),
            ({"dockerfile": "--help"}, SettingsError),
            ({"context": "-c"}, SettingsError),
            ({"labels": {"a": "b\nc"}}, SettingsError),
            ({"labels": {"--a": "b"}}, SettingsError),
            ({"build_args": {"--a": "b"}}, SettingsError),
            ({"platforms": ["linux"]}, BadNameError),
            ({"target": "--x"}, SettingsError),
        ],
    )
    def test_bad_names_are_refused(self, house, keywords, kind):
        assert isinstance(house.refused(**keywords), kind)

    @pytest.mark.parametrize("text", ["yesterday", "-1", "1.5", "9" * 30, "٣"])
    def test_a_time_that_is_none_is_refused(self, house, text):
        house.env["SOURCE_DATE_EPOCH"] = text
        assert "SOURCE_DATE_EPOCH" in str(house.refused())

    def test_build_secrets_come_from_variables_and_files(self, house):
        (house.cwd / "npmrc").write_text("key=1\n")
        order = house.resolve(env_docker_secrets={"api": "TOKEN"}, file_docker_secrets={"npm": "npmrc"})
        assert {name: secret.reveal() for name, secret in order.request.build_secrets.items()} == {
            "api": "t0ken-value",
            "npm": "key=1\n",
        }

    def test_a_build_secret_that_is_missing_or_given_twice_is_refused(self, house):
        assert "MISSING is not set" in str(house.refused(env_docker_secrets={"api": "MISSING"}))
        assert "cannot be read" in str(house.refused(file_docker_secrets={"npm": "missing"}))
        assert "by a variable and by a file" in str(
            house.refused(env_docker_secrets={"a": "TOKEN"}, file_docker_secrets={"a": "Dockerfile"})
        )


class TestCredentials:
    @pytest.mark.parametrize(
        ("given", "expected"),
        [
            ({"connector_ref": "account.jfrog"}, "acme.jfrog.io/docker-local/layers"),
            ({"registry": "reg.test"}, "reg.test/docker-local/layers"),
            ({"repo": "docker-local/site"}, "docker.io/docker-local/layers"),
        ],
    )
    def test_a_repository_for_layers_without_a_host_is_where_such_a_repo_is(self, house, given, expected):
        keywords = {"repo": "docker-local/site", "push": False, "remote_cache_repo": "docker-local/layers", **given}
        request = house.resolve(**keywords).request
        assert str(request.cache_repository) == expected

    def test_a_connector_gives_host_and_login(self, house):
        order = house.resolve(repo="docker-local/site", connector_ref="account.jfrog")
        assert str(order.references[0].repository) == "acme.jfrog.io/docker-local/site"
        login = order.credentials["acme.jfrog.io"]
        assert (login.username, login.password.reveal(), login.source) == ("ci-bot", "t0ken-value", "connector jfrog")
        assert order.sources["credentials"] == "connector jfrog"

    def test_without_push_the_connector_still_opens_base_images_at_its_host(self, house):
        login = house.resolve(connector_ref="jfrog", push=False).credentials["acme.jfrog.io"]
        assert login.source == "connector jfrog"

    def test_without_push_no_secret_is_needed(self, house):
        del house.env["TOKEN"]
        assert house.resolve(connector_ref="jfrog", push=False).credentials == {}
        assert isinstance(house.refused(connector_ref="jfrog"), SecretError)

    def test_a_build_asks_for_nothing_that_only_a_push_needs(self, house):
        """Not even for a repo, for the secret behind an expression, or for a connectors file."""
        said = {
            "connector_ref": "jfrog",
            "publish_build_info": True,
            "artifactory_token": '<+secrets.getValue("missing")>',
            "username": "me",
        }
        order = house.build(STEP, **said)
        assert {str(reference.repository) for reference in order.references} == {"acme.jfrog.io/docker-local/site"}
        assert (order.push, order.credentials, order.artifactory, order.build.publish) == (False, {}, None, False)
        assert (
            house.build(
                STEP.replace("repo: acme.jfrog.io/docker-local/site", "dockerfile: Dockerfile"), **said
            ).references
            == ()
        )

    def test_a_build_needs_the_connectors_of_its_bases(self, house):
        order = house.build(spec("baseImageConnectorRefs: [jfrog]"))
        assert list(order.credentials) == ["acme.jfrog.io"]
        with pytest.raises(SettingsError, match="no connector 'nowhere'"):
            house.build(spec("baseImageConnectorRefs: [nowhere]"))

    def test_user_and_password_are_next(self, house):
        login = {"PLUGIN_USERNAME": "me", "PLUGIN_PASSWORD": "pa55word"}
        house.env |= login | {"PLUGIN_REPO": "acme.jfrog.io/docker-local/site"}
        login = house.resolve().credentials["acme.jfrog.io"]
        assert (login.username, login.password.reveal(), login.source) == ("me", "pa55word", "PLUGIN_PASSWORD")

    def test_a_password_may_be_a_reference(self, house):
        said = {"username": "me", "password": "env:TOKEN", "registry": "https://ACME.jfrog.io/"}
        assert house.resolve(**said).credentials["acme.jfrog.io"].password.reveal() == "t0ken-value"

    def test_a_password_of_the_environment_does_not_follow_a_file(self, house):
        house.env |= {"PLUGIN_USERNAME": "me", "PLUGIN_PASSWORD": "pa55word"}
        error = house.refused()
        assert "PLUGIN_PASSWORD is not sent to acme.jfrog.io, which only" in str(error)
        assert "PLUGIN_REGISTRY=acme.jfrog.io" in error.hint
        house.env |= {"PLUGIN_REGISTRY": "acme.jfrog.io"}
        assert house.resolve().credentials["acme.jfrog.io"].username == "me"

    def test_a_password_is_for_the_registry_that_is_named_beside_it(self, house):
        house.env |= {"PLUGIN_USERNAME": "me", "PLUGIN_PASSWORD": "pa55word", "PLUGIN_REGISTRY": "acme.jfrog.io"}
        order = house.resolve(repo="other.example.com/site")
        assert {host: login.username for host, login in order.credentials.items()} == {"acme.jfrog.io": "me"}
        assert "Docker's configuration" in order.sources["credentials"]
        assert any("is for acme.jfrog.io, which PLUGIN_REGISTRY names" in note for note in order.notes)

    @pytest.mark.parametrize(
        ("registry", "repository"),
        [
            ("acme.jfrog.io", "acme.jfrog.io/team/site"),
            ("https://ACME.jfrog.io/", "acme.jfrog.io/team/site"),
            ("acme.jfrog.io:8443/docker-local", "acme.jfrog.io:8443/docker-local/team/site"),
            ("https://acme.jfrog.io/artifactory/api/docker/team", "acme.jfrog.io/team/site"),
            ("https://index.docker.io/v1/", "docker.io/team/site"),
        ],
    )
    def test_a_repository_without_a_host_is_at_the_registry(self, house, registry, repository):
        login = {"PLUGIN_USERNAME": "me", "PLUGIN_PASSWORD": "pa55word", "PLUGIN_REGISTRY": registry}
        house.env |= login
        order = house.resolve(repo="team/site")
        assert str(order.references[0].repository) == repository
        assert [login.username for login in order.credentials.values()] == ["me"]
        assert not [note for note in order.notes if "registry" in note]

    def test_build_info_of_a_repository_without_a_host_is_sent_to_the_registry_that_is_named(self, house):
        house.env |= {"PLUGIN_USERNAME": "me", "PLUGIN_PASSWORD": "pa55word", "PLUGIN_REGISTRY": "acme.jfrog.io"}
        order = house.resolve(repo="team/site", publish_build_info=True)
        assert order.artifactory.url == "https://acme.jfrog.io/artifactory/"
        assert order.artifactory.credential.username == "me"

    @pytest.mark.parametrize("push", [True, False])
    def test_user_and_password_open_base_images_at_their_registry(self, house, push):
        house.env |= {"PLUGIN_USERNAME": "me", "PLUGIN_PASSWORD": "pa55word", "PLUGIN_REGISTRY": "acme.jfrog.io"}
        order = house.resolve(repo="other.example.com/site", push=push)
        assert {host: login.username for host, login in order.credentials.items()} == {"acme.jfrog.io": "me"}

    def test_without_push_a_password_that_may_not_be_sent_anywhere_is_no_error(self, house):
        house.env |= {"PLUGIN_USERNAME": "me", "PLUGIN_PASSWORD": "pa55word"}
        assert house.resolve(push=False).credentials == {}

    def test_a_token_for_artifactory_opens_its_registry_where_nothing_else_does(self, house):
        said = {"artifactory_url": "https://acme.jfrog.io/artifactory", "artifactory_token": "env:TOKEN"}
        order = house.resolve(**said)
        assert {host: login.kind for host, login in order.credentials.items()} == {"acme.jfrog.io": "access"}
        order = house.resolve(**said, connector_ref="jfrog")
        assert order.credentials["acme.jfrog.io"].source == "connector jfrog"
        assert house.resolve(**said, repo="evil.example.com/site").credentials == {}

    def test_a_registry_without_a_password_is_noted(self, house):
        assert any("registry has no effect" in note for note in house.resolve(registry="acme.jfrog.io").notes)
        order = house.resolve(registry="acme.jfrog.io", connector_ref="jfrog")
        assert any("the connector jfrog has its own" in note for note in order.notes)

    @pytest.mark.parametrize("registry", ["https://index.docker.io/v1/", "docker.io", "https://hub.docker.com"])
    def test_docker_hub_has_many_names(self, house, registry):
        order = house.resolve(repo="team/site", username="me", password="env:TOKEN", registry=registry)
        assert list(order.credentials) == ["docker.io"]

    def test_one_without_the_other_is_an_error(self, house):
        assert "password is not" in str(house.refused(username="me"))
        assert "username is not" in str(house.refused(password="env:TOKEN"))

    def test_without_any_dockers_configuration_is_left(self, house):
        order = house.resolve()
        assert order.credentials == {}
        assert "Docker's configuration" in order.sources["credentials"]

    def test_base_images_have_connectors_of_their_own(self, house):
        order = house.resolve(connector_ref="jfrog", base_image_connector_refs=["base", "open"])
        assert {host: login.username for host, login in order.credentials.items()} == {
            "acme.jfrog.io": "ci-bot",
            "base.example.com": "reader",
        }
        assert order.schemes == {"acme.jfrog.io": "https", "base.example.com": "http", "open.example.com": "https"}
        assert order.request.insecure == {"base.example.com"}

    @pytest.mark.parametrize(("names", "user"), [(["jfrog", "rival"], "ci-bot"), (["rival", "jfrog"], "other")])
    def test_of_two_connectors_of_base_images_for_one_host_the_first_counts(self, house, names, user):
        order = house.build(spec(f"baseImageConnectorRefs: [{', '.join(names)}]"))
        assert {host: login.username for host, login in order.credentials.items()} == {"acme.jfrog.io": user}
        (note,) = (note for note in order.notes if "comes first" in note)
        assert f"the connector {names[1]} has no effect: {names[0]} comes first for acme.jfrog.io" in note

    def test_the_address_of_the_first_connector_for_a_host_counts_too(self, house):
        file = house.directory / "connectors.yml"
        file.write_text(
            file.read_text().replace("ps://open.example", "p://acme.jfrog").replace("acme.jfrog.com", "acme.jfrog.io")
        )
        order = house.resolve(connector_ref="jfrog", base_image_connector_refs=["open"])
        assert order.schemes == {"acme.jfrog.io": "https"}
        assert [note for note in order.notes if "open has no effect: jfrog comes first" in note]

    def test_a_registry_without_tls_is_named_and_so_is_its_artifactory(self, house):
        order = house.resolve(repo="acme.jfrog.io/docker/app", insecure="true", publish_build_info="yes")
        assert (order.schemes, order.insecure) == ({}, {"acme.jfrog.io"})
        assert order.artifactory.url.startswith("http://")

    def test_two_logins_for_one_host_are_an_error(self, house):
        error = house.refused(connector_ref="jfrog", base_image_connector_refs=["rival"])
        assert "two logins: connector jfrog and connector rival" in str(error)

    def test_an_anonymous_connector_cannot_push(self, house):
        assert "is anonymous" in str(house.refused(repo="open.example.com/a/b", connector_ref="open"))

    def test_a_repo_elsewhere_is_not_given_the_connectors_password(self, house):
        assert "repo is at evil.example.com" in str(house.refused(repo="evil.example.com/a", connector_ref="jfrog"))


def access_token(artifactory):
    assert artifactory.credential.kind == "access"
    return artifactory.credential.password.reveal()


class TestBuildInfo:
    def test_it_is_published_where_artifactory_is_known(self, house):
        assert house.resolve().artifactory is None
        order = house.resolve(artifactory_url="https://acme.jfrog.io", connector_ref="jfrog")
        assert order.artifactory.url == "https://acme.jfrog.io/artifactory/"
        assert order.artifactory.credential.username == "ci-bot"
        assert order.artifactory.credential.source == "connector jfrog, as for the push"
        assert (order.build.name, order.build.number, order.build.publish) == ("Site", "1", True)
        assert order.build.sources == {"name": "the pipeline's name", "number": "the counter on this machine"}

    def test_the_number_in_a_tag_is_the_number_of_the_build(self, house):
        text = STEP.replace("<+pipeline.variables.version>", "<+pipeline.sequenceId>")
        order = house.resolve(text, publish_build_info=True)
        assert (str(order.references[0].tag), order.build.number) == ("1", "1")
        assert house.resolve(text, publish_build_info=True).build.number == "2"

    def test_yes_without_an_address_takes_that_of_the_registry(self, house):
        order = house.resolve(publish_build_info=True)
        assert order.artifactory.url == "https://acme.jfrog.io/artifactory/"
        assert order.sources["artifactory"] == "the registry's host"
        local = house.resolve(publish_build_info=True, repo="127.0.0.1:8081/docker-local/app")
        assert local.artifactory.url == "http://127.0.0.1:8081/artifactory/"

    def test_no_means_no(self, house):
        order = house.resolve(publish_build_info=False, artifactory_url="https://acme.jfrog.io")
        assert order.artifactory is None
        assert not order.build.publish
        assert not house.number_taken

    def test_without_push_there_is_none(self, house):
        assert house.resolve(push=False, artifactory_url="https://acme.jfrog.io").artifactory is None
        assert "push is off" in str(house.refused(push=False, publish_build_info=True))

    def test_docker_hub_has_none(self, house):
        assert "Docker Hub" in str(house.refused(repo="acme/app", publish_build_info=True))

    def test_jfrogs_variables_count(self, house):
        house.env |= {
            "JF_URL": "https://acme.jfrog.io/",
            "JF_ACCESS_TOKEN": "jf-token",
            "JFROG_CLI_BUILD_NAME": "shop",
            "JFROG_CLI_BUILD_NUMBER": "17",
            "JFROG_CLI_BUILD_URL": "https://ci.example.com/17",
            "JF_PROJECT": "team",
        }
        order = house.resolve()
        assert order.artifactory.url == "https://acme.jfrog.io/artifactory/"
        assert access_token(order.artifactory) == "jf-token"
        assert (order.build.name, order.build.number, order.build.url) == ("shop", "17", "https://ci.example.com/17")
        assert order.build.project == "team"

    def test_jfrogs_user_and_password_count_too(self, house):
        house.env |= {"JF_URL": "https://acme.jfrog.io/", "JF_USER": "me", "JF_PASSWORD": "jf-pass"}
        credential = house.resolve().artifactory.credential
        assert (credential.kind, credential.username, credential.password.reveal()) == ("password", "me", "jf-pass")

    def test_a_credential_never_goes_to_a_host_it_was_not_given_for(self, house):
        house.env |= {
            "JF_URL": "https://acme.jfrog.io",
            "JF_ACCESS_TOKEN": "jf-token",
            "JF_USER": "u",
            "JF_PASSWORD": "p455",
        }
        order = house.resolve(artifactory_url="https://elsewhere.example.com", connector_ref="jfrog")
        assert order.artifactory.credential is None
        assert any("JF_ACCESS_TOKEN is for acme.jfrog.io" in note for note in order.notes)

    def test_a_token_of_jfrogs_variables_does_not_follow_a_file(self, house):
        house.env |= {"JF_ACCESS_TOKEN": "jf-token", "JF_USER": "u", "JF_PASSWORD": "p455"}
        text = spec("envVariables: {PLUGIN_ARTIFACTORY_URL: 'https://evil.example.com'}")
        order = house.resolve(text)
        assert order.artifactory.credential is None
        assert any("set JF_URL=https://evil.example.com" in note for note in order.notes)
        assert access_token(house.resolve(text, artifactory_url="https://a.io").artifactory) == "jf-token"

    def test_a_token_of_our_own_variables_is_refused_where_only_a_file_names_the_host(self, house):
        house.env["PLUGIN_ARTIFACTORY_TOKEN"] = "env:TOKEN"
        error = house.refused(spec("envVariables: {PLUGIN_ARTIFACTORY_URL: 'https://evil.example.com'}"))
        assert "PLUGIN_ARTIFACTORY_TOKEN is not sent to evil.example.com" in str(error)
        assert "PLUGIN_ARTIFACTORY_URL=https://evil.example.com" in error.hint

    @pytest.mark.parametrize(
        ("registry", "artifactory", "told"),
        [
            ("art.example.com:5001", "https://art.example.com", True),
            ("art.example.com:5001", "https://art.example.com:5001", True),
            ("art.example.com", "https://art.example.com:9999", False),
            ("art.example.com:5001", "https://other.example.com", False),
        ],
    )
    def test_the_login_of_the_push_is_for_the_server_that_is_pushed_to(self, house, registry, artifactory, told):
        house.env |= {"PLUGIN_USERNAME": "me", "PLUGIN_PASSWORD": "pa55word", "PLUGIN_REPO": f"{registry}/a/b"}
        order = house.resolve(spec(f"envVariables: {{PLUGIN_ARTIFACTORY_URL: '{artifactory}'}}"))
        assert (order.artifactory.credential is not None) is told
        assert not told or order.artifactory.credential.username == "me"

    def test_an_own_token_goes_first(self, house):
        order = house.resolve(
            artifactory_url="https://elsewhere.example.com", artifactory_token="env:TOKEN", connector_ref="jfrog"
        )
        assert access_token(order.artifactory) == "t0ken-value"
        assert order.artifactory.host == "elsewhere.example.com"

    def test_a_step_alone_is_called_after_its_image(self, house):
        house.env["BUILD_NUMBER"] = "8"
        text = STEP[STEP.index("              - step") :].replace("<+pipeline.variables.version>", "1")
        order = house.resolve(textwrap.dedent(text), publish_build_info=True)
        assert (order.build.name, order.build.number) == ("site", "8")
        assert order.build.sources["name"] == "the image's name"

    @pytest.mark.parametrize(
        ("text", "url"),
        [
            ("https://a.io", "https://a.io/artifactory/"),
            ("https://a.io/", "https://a.io/artifactory/"),
            ("https://a.io/artifactory", "https://a.io/artifactory/"),
            ("https://a.io/artifactory/api/x?y", "https://a.io/artifactory/"),
            ("https://a.io/tools/artifactory/", "https://a.io/tools/artifactory/"),
            ("https://a.io/artifactory-2", "https://a.io/artifactory-2/artifactory/"),
            ("http://127.0.0.1:8081", "http://127.0.0.1:8081/artifactory/"),
        ],
    )
    def test_an_address_becomes_that_of_artifactory(self, text, url):
        assert artifactory_address(text) == url


PUBLISH = """
step:
  type: Plugin
  name: Publish
  identifier: publish
  spec:
    image: plugins/artifactory-publish-docker-buildinfo
    settings:
      url: https://acme.jfrog.io/artifactory/ui
      docker_image: acme.jfrog.io/docker-local/site:1
      build_name: <+pipeline.name>
      build_number: <+pipeline.sequenceId>
"""


class TestPublish:
    def test_the_plugin_step_names_image_build_and_server(self, house):
        order = house.resolve(PUBLISH + "      access_token: <+secrets.getValue('token')>\n")
        assert (order.request, order.push) == (None, False)
        assert str(order.references[0]) == "acme.jfrog.io/docker-local/site:1"
        assert order.artifactory.url == "https://acme.jfrog.io/artifactory/"
        assert access_token(order.artifactory) == "t0ken-value"
        assert (order.build.name, order.build.number, order.build.publish) == ("work", "1", True)

    @pytest.mark.parametrize(
        ("name", "image"),
        [
            ("docker-local/site:1", "acme.jfrog.io/docker-local/site:1"),
            ("site:1", "acme.jfrog.io/site:1"),
            ("docker.io/team/site:1", "docker.io/team/site:1"),
            ("other.example/docker-local/site:1", "other.example/docker-local/site:1"),
        ],
    )
    def test_an_image_without_a_host_is_at_that_of_the_address(self, house, name, image):
        text = PUBLISH.replace("acme.jfrog.io/docker-local/site:1", name)
        assert str(house.resolve(text + "      access_token: env:TOKEN\n").references[0]) == image

    def test_user_and_password_or_key_beat_a_token(self, house):
        order = house.resolve(PUBLISH + "      username: me\n      api_key: env:TOKEN\n      access_token: env:TOKEN\n")
        credential = order.artifactory.credential
        assert (credential.kind, credential.username) == ("password", "me")
        assert credential.password.reveal() == "t0ken-value"

    def test_a_token_may_have_its_user_beside_it(self, house):
        order = house.resolve(PUBLISH + "      username: me\n      access_token: env:TOKEN\n")
        credential = order.artifactory.credential
        assert (credential.kind, credential.username, order.notes) == ("access", "me", ())

    @pytest.mark.parametrize(
        ("image", "opened"),
        [
            ("acme.example.com/docker-local/site:1", True),
            ("docker-local.acme.example.com/site:1", True),
            ("acme.example.com:5001/site:1", True),
            ("evil.example.com/site:1", False),
            ("notacme.example.com/site:1", False),
            ("acme.example.com.evil.net/site:1", False),
            ("site.docker.io/site:1", False),
        ],
    )
    @pytest.mark.parametrize("login", ["access_token: env:TOKEN", "username: me\n      password: env:TOKEN"])
    def test_who_we_are_at_artifactory_we_are_at_its_own_registry(self, house, image, opened, login):
        text = PUBLISH.replace("acme.jfrog.io/artifactory/ui", "acme.example.com/artifactory")
        text = text.replace("acme.jfrog.io/docker-local/site:1", image)
        order = house.resolve(f"{text}      {login}\n")
        assert list(order.credentials) == ([image.partition("/")[0]] if opened else [])

    @pytest.mark.parametrize(("image", "opened"), [("acme-docker.jfrog.io", True), ("acmes.jfrog.io", False)])
    def test_jfrogs_own_names_of_a_registry_are_known(self, house, image, opened):
        text = PUBLISH.replace("acme.jfrog.io/docker-local", image) + "      access_token: env:TOKEN\n"
        assert list(house.resolve(text).credentials) == ([image] if opened else [])

    def test_a_nearer_token_opens_only_a_registry_that_is_named_as_near(self, house):
        house.env |= {"PLUGIN_URL": "https://acme.example.com/artifactory", "PLUGIN_ACCESS_TOKEN": "t0ken-value"}
        text = PUBLISH.replace("acme.jfrog.io/docker-local", "x.acme.example.com")
        assert house.resolve(text).credentials == {}
        house.env["PLUGIN_DOCKER_IMAGE"] = "x.acme.example.com/site:1"
        assert list(house.resolve(text).credentials) == ["x.acme.example.com"]

    def test_an_artifactory_without_tls_has_such_a_registry(self, house):
        text = PUBLISH.replace("https://acme", "http://acme") + "      access_token: env:TOKEN\n"
        assert house.resolve(text).schemes == {"acme.jfrog.io": "http"}

    def test_one_without_the_other_is_an_error(self, house):
        assert "password is not" in str(house.refused(PUBLISH + "      username: me\n"))

    def test_an_api_key_needs_no_user_name(self, house):
        assert house.resolve(PUBLISH + "      api_key: env:TOKEN\n").artifactory.credential.username == ""
