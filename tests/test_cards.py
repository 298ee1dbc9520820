from __future__ import annotations

import ast
import json
import re
import shlex
from collections.abc import Collection
from pathlib import Path

import pytest

from buildpush.engines import ENGINES
from buildpush.reference import cards
from buildpush.reference.cards import SURFACES, Card, card_named
from buildpush.settings import encoders
from buildpush.settings.declare import settings_of
from buildpush.settings.decode import decode
from buildpush.settings.model import BuildAndPush
from buildpush.settings.sources import read
from buildpush.settings.step_settings import CommonSettings
from buildpush.settings.stepkinds import STEP_KINDS
from tests.settings.flags import read_flags

ALL = {card.name: card for card in cards.cards()}
EXAMPLES = [(name, surface) for name, card in ALL.items() for surface in card.examples if name != "env_variables"]
# Names that were on the page of an earlier release; a name may only be added here.
ANCHORS = Path(__file__).parent / "anchors.txt"


def setting_of(card: Card):
    model = STEP_KINDS[card.step].model
    short = card.name.rpartition(".")[2]
    return model, next(setting for setting in settings_of(model) if setting.name == short)


PROJECT_FILES = ("buildpush.yaml", "pyproject.toml")


def read_back(card: Card, surface: str, directory: Path, text: str = "", own: Collection[str] = ()):
    """Read the text of one tab as its reader would, on top of a step that says only what it must."""
    text = text or card.examples[surface]
    file, env, flags, keywords = None, {}, {}, {}
    if surface in PROJECT_FILES:
        (directory / surface).write_text(text, encoding="utf-8")
    if surface == "YAML":
        kind = STEP_KINDS[card.step].type
        file = directory / "step.yml"
        spec = "" if "spec:" in text else "\n  spec: {}"
        indented = text.replace("\n", "\n  ")
        file.write_text(f"step:\n  type: {kind}\n  {indented}{spec}\n", encoding="utf-8")
    elif card.step != "build":
        model, _ = setting_of(card)
        own = {setting_of(card)[1].name, *own} if surface in PROJECT_FILES else ()  # a step file beats a project file
        musts = {one.name: one.example for one in settings_of(model) if one.required and one.name not in own}
        file = directory / "step.yml"
        file.write_text(encoders.to_yaml(model.construct(musts)), encoding="utf-8")
    if surface == "Variables":
        env = dict(shlex.split(line)[0].split("=", 1) for line in text.splitlines())
    if surface == "Flags":
        flags = read_flags(BuildAndPush, shlex.split(text))
    if surface == "Python":
        call = ast.parse(text, mode="eval").body
        keywords = {keyword.arg: ast.literal_eval(keyword.value) for keyword in call.keywords}
    (step,) = read(file, env=env, flags=flags, keywords=keywords, cwd=directory, step=None).steps
    return step


@pytest.mark.parametrize(("name", "surface"), EXAMPLES)
def test_every_example_reads_back_to_the_value_it_was_made_from(name, surface, tmp_path):
    (tmp_path / "build.env").touch()  # the example of env_file, which is read with the step
    card = ALL[name]
    model, setting = setting_of(card)
    written = read_back(card, surface, tmp_path).settings[setting.name]
    said = {other.name: other.example for other in settings_of(model) if other.required}
    said[setting.name] = decode(setting, written.value, written.origin)
    assert getattr(model(**said), setting.name) == getattr(cards.example(model, setting), setting.name)


def test_the_example_of_env_variables_says_the_setting_it_names(tmp_path):
    """They are settings in another spelling, so nothing of that name is left after reading."""
    (surface,) = ALL["env_variables"].examples
    assert read_back(ALL["env_variables"], surface, tmp_path).settings["engine"].value == "native"


def test_every_setting_has_exactly_one_card():
    steps = {kind.model: name for name, kind in reversed(STEP_KINDS.items())}
    shared = {*CommonSettings.fields()}
    own = [f"{step}.{name}" for model, step in steps.items() for name in model.fields() if name not in shared]
    names = [*CommonSettings.fields(), *(name.removeprefix("build.") for name in own)]
    assert sorted(card.name for card in cards.cards()) == sorted(names)
    assert len(ALL) == len(cards.cards())


@pytest.mark.parametrize("name", ALL)
def test_every_setting_that_can_be_said_somewhere_has_an_example(name):
    model, setting = setting_of(ALL[name])
    # A condition holds expressions, and a place has one value, which is the default.
    assert ALL[name].examples or name == "when" or setting.example == setting.default, model


@pytest.mark.parametrize("name", ALL)
def test_no_python_shows_on_a_card_outside_its_python_tab(name):
    card = ALL[name]
    shown = [card.kind, card.default or "", card.honoured_by, *card.engines.values(), card.yaml]
    assert not [text for text in shown if re.search(r"['\[{]|\w\(|Optional|tuple|None|True|False", text)]


@pytest.mark.parametrize("name", ALL)
def test_every_card_says_its_sentence_its_type_and_since_when(name):
    card = ALL[name]
    assert card.sentence.endswith(".")
    assert "\n" not in card.sentence
    assert card.kind
    assert re.fullmatch(r"\d+\.\d+", card.since)
    assert card.honoured_by


@pytest.mark.parametrize("name", ALL)
def test_every_setting_named_in_prose_exists(name):
    card = ALL[name]
    for named in re.findall(r"\{setting\}`([^`]+)`", card.sentence + card.text):
        assert {named, f"{card.step}.{named}"} & ALL.keys()


def test_spellings_of_a_setting_are_told_in_full():
    card = card_named("build_args")
    assert card.yaml == "spec.buildArgs"
    assert card.variables[:2] == ("PLUGIN_BUILD_ARGS", "PLUGIN_BUILD_ARGS_NEW")
    assert card.flags == ("--build-arg", "--build-args")
    assert card_named("push").flags == ("--push", "--no-push")


def test_defaults_are_said_as_a_step_file_says_them():
    defaults = {name: ALL[name].default for name in ("repo", "tags", "push", "labels", "dockerfile", "target")}
    assert defaults == {
        "repo": None,
        "tags": "latest",
        "push": "true",
        "labels": "",
        "dockerfile": "Dockerfile",
        "target": "",
    }


def test_types_are_said_in_words():
    kinds = {name: ALL[name].kind for name in ("tags", "compression", "publish_build_info", "password", "place")}
    assert kinds == {
        "tags": "list of tags",
        "compression": "one of gzip, none, zstd",
        "publish_build_info": "yes, no or auto",
        "password": "reference to a secret",
        "place": "one of here, container, kubernetes",
    }


def test_what_nobody_acts_on_is_said_to_be_refused():
    assert card_named("enforce").honoured_by == "nothing yet: setting it is refused"
    assert card_named("reports").honoured_by.startswith("nothing: ")
    assert card_named("publish.log_level").honoured_by.startswith("nothing: ")


def test_the_engines_of_a_card_are_those_that_spell_it():
    for engine in (row.load() for row in ENGINES.values()):
        shown = {name: card.engines[engine.name] for name, card in ALL.items() if engine.name in card.engines}
        honoured = {name for name in engine.flags if setting_of(ALL[name])[1].honoured_by == "engine"}
        assert shown == {name: engine.flags[name] for name in honoured}


def test_the_matrix_has_a_row_for_every_setting_that_engines_are_to_honour():
    rows = cards.matrix()
    assert set(rows) == {s.name for s in settings_of(BuildAndPush) if s.honoured_by == "engine"}
    assert {tuple(row) for row in rows.values()} == {tuple(ENGINES)}


def test_cards_are_json():
    card = json.loads(json.dumps(card_named("tags").as_json()))
    assert card["anchor"] == "setting-tags"
    assert set(card["examples"]) == set(SURFACES)


def test_secret_settings_are_marked_and_their_examples_are_references():
    secret = [card for card in cards.cards() if card.secret]
    assert {card.name for card in secret} >= {"password", "artifactory_token", "publish.access_token"}
    assert all("env:" in text for card in secret for text in card.examples.values())


def test_anchors_of_earlier_releases_are_still_there():
    """Links of other sites lead to them."""
    known = {anchor for card in cards.cards() for anchor in (card.anchor, *card.former_anchors)}
    assert set(ANCHORS.read_text(encoding="utf-8").split()) <= known


def test_an_unknown_card_is_a_key_error():
    with pytest.raises(KeyError):
        card_named("tagz")
