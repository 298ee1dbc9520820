"""Nothing that a user set is ignored silently: every setting of every step kind, in every way that it may matter.

The settings come from their declarations, so a new one is attacked from the day on which it is declared: a call with
it differs, in what somebody can see, from the call without it, or a note or an error names it. What each engine does
with a setting that reaches it is shown in tests/engines/test_grid.py.
"""

from __future__ import annotations

import pytest

from buildpush.settings.declare import settings_of
from buildpush.settings.stepkinds import STEP_KINDS
from tests.hostile.seen import spelled

pytestmark = pytest.mark.sandbox

BUILD = {"repo": "{host}/docker-local/app", "engine": "native", "tags": ["1"]}
PLUGIN = {
    "docker_image": "{host}/docker-local/app:1",
    "url": "http://{host}/artifactory/",
    "build_name": "a",
    "build_number": "7",
}
# Each flow: the kind of step, the words, and the settings.
FLOWS = {
    "run": ("build", ["run"], {**BUILD, "publish_build_info": True, "build_number": "7"}),
    "run without build-info": ("build", ["run"], BUILD),
    "run without a push": ("build", ["run"], {**BUILD, "push": False}),
    "run without a push into a file": ("build", ["run"], {**BUILD, "push": False, "tar_path": "out/image.tar"}),
    "run that pushes only": ("build", ["run"], {**BUILD, "push_only": True, "source_tar_path": "image.tar"}),
    "build": ("build", ["build"], BUILD),
    "build into a layout": ("build", ["build", "--output=oci:out/layout"], BUILD),
    "build into an archive": ("build", ["build", "--output=docker-archive:out/image.tar"], BUILD),
    "build into a registry": ("build", ["build", "--output=docker://{host}/docker-local/built:1"], BUILD),
    "plugin": ("publish", ["run"], PLUGIN),
}
LOGIN = {"username": "{user}", "password": "env:TOKEN"}
# What stands beside a setting, in both calls, for it to mean anything.
BESIDE = {
    "username": LOGIN,
    "password": LOGIN,
    "registry": LOGIN,
    "api_key": {"username": "{user}", "api_key": "env:TOKEN"},
    "mirror": {"mirror": "{host}/docker-local", "dockerfile": "docker/Mirrored"},
    "base_image_connector_refs": {"dockerfile": "docker/Based"},
}
# Other values than the examples, where a value must lead somewhere or differ from the usual one.
VALUES = {
    "access_token": "env:OTHER",
    "api_key": "env:OTHER",
    "artifact_file": "out/artifact.json",
    "artifactory_token": "env:OTHER",
    "artifactory_url": "{web}/artifactory/",
    "base_image_connector_refs": ["jfrog"],
    "build_contexts": {"assets": "assets"},
    "connector_ref": "jfrog",
    "dotenv_file": "out/buildpush.env",
    "annotations_file": "out/annotations.json",
    "docker_image": "{host}/docker-local/library/base:1",
    "engine": "auto",
    "env_include": ["STAGE"],
    "env_variables": {"PLUGIN_OPTIMIZE": "true"},
    "fetch_limit": "1Ki",
    "image_name_tag_with_digest_file": "out/images.txt",
    "image_name_with_digest_file": "out/image.txt",
    "metadata_file": "out/metadata.json",
    "mirror": "{host}/nowhere",
    "oci_layout_path": "out/layout",
    "password": "env:OTHER",
    "publish_build_info": False,
    "push": False,
    "registry": "elsewhere.test",
    "remote_cache_repo": "{host}/docker-local/cache",
    "repo": "{host}/docker-local/other",
    "source_tar_path": "image.tar",
    "ssh_agent_key": "env:OTHER",
    "tar_path": "out/other.tar",
    "url": "{web}/artifactory/",
}
_AGREES = "it asks for the default behaviour"
_USUAL = "it is part of every step, and the image that is not kept, or lies in a layout, needs no name of a registry"
_PEOPLE = "it is for people who read the file"
# What may be silent, and why; each is silent, or this test fails.
REASONS = {
    **{
        (flow, "allow_nondistributable_artifacts"): "it allows what these images do not need; they have no such layer"
        for flow in FLOWS.keys() - {"run without a push", "build", "plugin"}
    },
    **{(flow, "description"): _PEOPLE for flow in FLOWS},
    **{
        (flow, "quiet"): "it is about lines that are not there"
        for flow in ("run without build-info", "build into a layout")
    },
    **{(flow, "failure_strategies"): "it says what follows a failure, and nothing fails here" for flow in FLOWS},
    **{
        (flow, "push_retry"): "it says what follows a failed request, and none fails here"
        for flow in ("run", "run without build-info", "run that pushes only")
    },
    **{(flow, "publish_build_info"): _AGREES for flow in FLOWS if flow.startswith("build") or " a push" in flow},
    **{(flow, "push"): _AGREES for flow in FLOWS if flow.startswith("build") or " a push" in flow},
    ("run that pushes only", "source_tar_path"): _AGREES,
    **{(flow, "repo"): _USUAL for flow in ("run without a push", "build", "build into a layout")},
}


def see(stage, flow, values, *, in_file, command=None):
    name, words, _ = FLOWS[flow]
    kind = STEP_KINDS[name]
    said = spelled(kind, stage.filled(values), stage.directory, in_file=in_file or bool(kind.image))
    connectors = (
        ["--connectors=connectors.yml"] if {"connector_ref", "base_image_connector_refs"} & values.keys() else []
    )
    return stage.see([command or words[0], *words[1:], *said, *connectors, "--json"])


def is_silent(stage, flow, setting, calls):
    """Return whether nobody can see that *setting* was set."""
    base = {**FLOWS[flow][2], **BESIDE.get(setting.name, {})}
    values = {**base, setting.name: VALUES.get(setting.name, setting.example)}
    in_file = setting.file_only
    is_run = FLOWS[flow][1] == ["run"]
    if is_run and see(stage, flow, values, in_file=in_file, command="check").names(setting.name, setting.key):
        return False  # what a run will tell or refuse
    call = (str(base), in_file)
    if call not in calls:
        see(stage, flow, base, in_file=in_file)  # what is there already makes a difference, once
        calls[call] = see(stage, flow, base, in_file=in_file)
    seen = see(stage, flow, values, in_file=in_file)
    late = [line for line in seen.told if f"effect: {setting.name}" in line]
    assert not (is_run and late), f"check does not tell what a run tells: {late}"
    return seen == calls[call] and not seen.names(setting.name, setting.key)


def settings_in(flow):
    """Return the settings that are tried: what an engine is told is the same wherever its image goes."""
    model = STEP_KINDS[FLOWS[flow][0]].model
    ways = {"run", "run without a push", "run that pushes only", "build"}
    return [one for one in settings_of(model) if one.honoured_by != "engine" or flow in ways]


@pytest.mark.parametrize("flow", FLOWS)
def test_a_setting_is_seen_or_named_whatever_is_done(stage, flow):
    calls = {}
    silent = {one.name for one in settings_in(flow) if is_silent(stage, flow, one, calls)}
    assert silent == {name for other, name in REASONS if other == flow}
