"""The settings as keywords, for type checkers, editors and notebooks."""

from __future__ import annotations

import subprocess
import sys

import pytest

import buildpush
from buildpush.reference import step_keywords
from buildpush.settings.declare import settings_of
from buildpush.settings.stepkinds import models


def test_the_keywords_that_type_checkers_read_are_those_of_the_declarations():
    written = step_keywords.FILE.read_text(encoding="utf-8")
    assert written == step_keywords.text(), "run: python -m buildpush.reference.step_keywords"


def test_every_setting_of_every_kind_of_step_is_a_keyword_unless_only_a_file_has_it():
    declared = {setting.name for model in models() for setting in settings_of(model)}
    assert buildpush.StepSettings.__annotations__.keys() == declared - {"env_variables"}


def test_a_keyword_has_the_types_of_all_kinds_of_steps_that_have_it():
    hints = {name: hint.__forward_arg__ for name, hint in buildpush.StepSettings.__annotations__.items()}
    assert hints["publish_build_info"] == "bool | Literal['auto'] | None"
    assert hints["registry_certificate"] == "Mapping[str, str | PurePath] | None"
    assert hints["env_docker_secrets"] == "Mapping[str, Secret | str] | None"
    assert hints["failure_strategies"] == "list[Any] | tuple[Any, ...] | None"


IN_IPYTHON = """
import warnings
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance(history_load_length=0)
shell.Completer.use_jedi = {jedi}
shell.run_cell("import buildpush", silent=True)
warnings.simplefilter("ignore")  # that completions are provisional
found = [one.text for one in shell.Completer.completions("buildpush.run(ta", len("buildpush.run(ta"))]
print(*(name.removesuffix("=") for name in found))
"""


@pytest.mark.programs
@pytest.mark.parametrize("jedi", [True, False])
def test_ipython_completes_the_settings(jedi):
    """It asks the signature, and cannot read what type checkers read."""
    pytest.importorskip("IPython")
    code = IN_IPYTHON.format(jedi=jedi)
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {"tags", "tar_path", "target"} <= set(ran.stdout.split())


@pytest.mark.programs
def test_a_call_outside_ipython_loads_no_keywords():
    code = "import sys, buildpush; buildpush.run; print('buildpush.settings.step_keywords' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "False"
