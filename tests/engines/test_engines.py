"""An engine is chosen for a reason that is told, and what it cannot honour is refused."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest

from buildpush.dockerfile.model import NewerSyntaxError
from buildpush.engines import AUTO, ENGINES, Tools
from buildpush.engines.by_name import Engines
from buildpush.engines.choice import choose, refuse_unsupported_settings
from buildpush.foundation.errors import DockerfileError, EngineMissingError, UnsupportedError
from buildpush.foundation.events import Decision, Note
from buildpush.places import Recorded
from buildpush.settings.declare import setting_named, settings_of
from buildpush.settings.model import BuildAndPush
from buildpush.settings.resolved import ResolvedStep


@dataclass
class Stub:
    """An engine that is here or not, and can or cannot."""

    name: str
    reason: str | None = None
    refused: str | None = None
    flags: dict[str, str] = field(default_factory=dict)

    def missing(self):
        return self.reason

    def refuses(self, _request):
        if self.refused == "unreadable":
            message = "unknown flag"
            raise NewerSyntaxError(message, where="Dockerfile:1")
        if self.refused == "malformed":
            message = "ENV must have two arguments"
            raise DockerfileError(message, where="Dockerfile:1")
        return self.refused


CLASSES = [row.load() for row in ENGINES.values()]
ALL = {name: "itself" for engine in CLASSES for name in engine.flags}


def chosen(*candidates, wanted="auto", set_names=frozenset(), events=None):
    events = [] if events is None else events
    request = SimpleNamespace(target=None, dockerfile=Path("/there is none"))
    return choose(wanted, set_names, request, {one.name: one for one in candidates}, events.append).name


def test_auto_takes_the_first_that_can_and_says_why():
    events = []
    native, docker = Stub("native", refused="Dockerfile:3: RUN"), Stub("docker")
    assert chosen(native, docker, events=events) == "docker"
    (decision,) = events
    assert isinstance(decision, Decision)
    assert decision.choice == "docker"
    assert "native is not used: Dockerfile:3: RUN" in decision.reason


def test_auto_passes_over_an_engine_that_is_not_here():
    assert chosen(Stub("docker", reason="no daemon"), Stub("native")) == "native"


def test_auto_passes_over_an_engine_that_does_not_honour_a_setting():
    events = []
    assert chosen(Stub("native"), Stub("docker", flags=ALL), set_names={"target"}, events=events) == "docker"
    assert "it does not honour 'target'" in events[-1].reason


def test_settings_that_are_not_for_engines_do_not_matter():
    names = frozenset({"repo", "tags", "connector_ref", "fetch_limit"})
    order = ResolvedStep("build", BuildAndPush(repo="a.test/b/c"), (), set_names=names)
    assert order.for_engines == {"fetch_limit"}
    assert chosen(Stub("native"), set_names=order.for_engines) == "native"


def test_no_engine_at_all_is_an_error_with_the_remedies():
    with pytest.raises(EngineMissingError) as caught:
        chosen(Stub("native", refused="RUN"), Stub("docker", reason="no daemon\nstart it"))
    assert caught.value.hint == "start it"
    assert "native is not used: RUN; docker is not used: no daemon" in str(caught.value)


def test_a_dockerfile_that_nobody_reads_is_an_error_of_the_dockerfile():
    with pytest.raises(DockerfileError):
        chosen(Stub("native", refused="unreadable"), Stub("docker", reason="no daemon"))
    assert chosen(Stub("native", refused="unreadable"), Stub("docker")) == "docker"


def test_a_dockerfile_that_breaks_the_grammar_is_an_error_whatever_comes_next():
    with pytest.raises(DockerfileError, match="ENV must have"):
        chosen(Stub("native", refused="malformed"), Stub("buildah"))


def test_an_engine_that_was_asked_for_is_taken_or_missing():
    assert chosen(Stub("native"), Stub("docker"), wanted="docker") == "docker"
    with pytest.raises(EngineMissingError, match="no daemon") as caught:
        chosen(Stub("docker", reason="no daemon\nstart it"), wanted="docker")
    assert caught.value.hint == "start it"


def test_an_engine_that_was_asked_for_and_cannot_is_an_error_with_line_and_remedy():
    """A plan that says yes where the run says no is worse than none."""
    with pytest.raises(DockerfileError) as caught:
        chosen(Stub("native", refused="Dockerfile:3: RUN"), Stub("docker"), wanted="native")
    assert (caught.value.where, caught.value.hint) == ("Dockerfile:3", "use engine: docker")
    assert "does not support this: RUN" in str(caught.value)


def test_the_names_are_those_of_the_table():
    assert [engine.name for engine in CLASSES] == list(ENGINES)
    assert setting_named(BuildAndPush, "engine").choices == (AUTO, *ENGINES)


def test_engines_are_made_when_they_are_asked_for():
    engines = Engines(Tools({}, Recorded()))
    assert next(iter(engines.values())) is engines["native"]
    assert engines._engines.keys() == {"native"}


@pytest.mark.parametrize("name", ENGINES)
def test_every_engine_has_its_paragraph_on_the_page(name):
    page = (Path(__file__).parents[2] / "docs" / "engines.md").read_text(encoding="utf-8")
    assert f"\n`{name}`\n: " in page


def test_kaniko_is_the_first_in_a_cluster_and_otherwise_the_last():
    usual = ["native", "docker", "buildx", "buildah"]
    assert list(Engines(Tools({}, Recorded()))) == [*usual, "kaniko"]
    assert list(Engines(Tools({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, Recorded()))) == ["kaniko", *usual]


def test_an_unknown_engine_names_the_known():
    with pytest.raises(UnsupportedError) as caught:
        chosen(Stub("native"), wanted="kanikoo")
    assert caught.value.hint == "choose one of: auto, native"


def test_a_setting_that_is_not_honoured_is_refused_with_those_that_can():
    native, *_ = CLASSES
    with pytest.raises(UnsupportedError) as caught:
        refuse_unsupported_settings(native, {"env_docker_secrets", "labels"}, [].append)
    assert (caught.value.hint, caught.value.setting) == (
        "use engine: docker or buildx or buildah",
        "env_docker_secrets",
    )


def test_a_hint_that_makes_no_difference_is_noted():
    events = []
    for engine in CLASSES:
        refuse_unsupported_settings(engine, {"optimize"}, events.append)
    assert [type(event) for event in events] == [Note] * len(
        [engine for engine in CLASSES if "optimize" not in engine.flags]
    )


@pytest.mark.parametrize("name", ["resources", "run_as_user", "privileged"])
def test_a_limit_of_the_container_is_noted_where_no_container_runs(name):
    events = []
    assert chosen(Stub("native"), set_names={name}, events=events) == "native"
    (note,) = [event for event in events if isinstance(event, Note)]
    assert note.text == f"the engine native does not use {name!r}; it does not run in a container of its own"


def test_every_setting_for_engines_is_known_to_one_or_is_a_hint():
    asked = {setting.name for setting in settings_of(BuildAndPush) if setting.honoured_by == "engine"}
    # The run acts on these too: no engine pushes.
    assert asked | {"insecure_registry", "registry_certificate"} == {"optimize", *ALL}


@pytest.mark.parametrize("engine", CLASSES, ids=lambda engine: engine.name)
@pytest.mark.parametrize(("owner", "setting"), [(row.name, one) for row in ENGINES.values() for one in row.settings])
def test_a_setting_of_one_engine_is_told_of_where_another_builds(engine, owner, setting):
    events = []
    refuse_unsupported_settings(engine, {setting}, events.append)
    assert [event for event in events if setting in event.text] == events
    assert bool(events) == (engine.name != owner)
