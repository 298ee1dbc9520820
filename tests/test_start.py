"""What a start does not load: most pushes of a layout take less time than these modules would."""

from __future__ import annotations

import io
import json
import subprocess
import sys

import pytest

from buildpush.cli import run_command
from buildpush.images.compression import digest_of
from buildpush.images.model import Image, Layer, Platform
from buildpush.transfer.oci import write_layout

pytestmark = pytest.mark.programs

HEAVY = {"aiohttp", "asyncio", "click", "docker", "papermill", "pydantic", "rich", "ruamel.yaml", "sphinx", "urllib3"}
# What a push of a layout asks nothing of: the settings and what reads them, and whatever builds or starts programs.
NOT_FOR_A_PUSH = HEAVY - {"click", "urllib3"} | {
    "buildpush.artifactory",
    "buildpush.dockerfile",
    "buildpush.engines",
    "buildpush.expressions.evaluate",
    "buildpush.expressions.grammar",
    "buildpush.pipeline.plan",
    "buildpush.pipeline.run",
    "buildpush.pipeline.step",
    "buildpush.settings",
    "buildpush.transfer.daemon",
}


def loaded(code: str, *words: str) -> set[str]:
    """Return the modules that *code* loads in a Python of its own, where *words* are its arguments."""
    code = f"import sys\nbefore = set(sys.modules)\n{code}\nprint('loaded', *sorted(set(sys.modules) - before))"
    ran = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=True)
    return set(ran.stdout.splitlines()[-1].split()[1:])


@pytest.fixture
def words(tmp_path, box, monkeypatch):
    """Return the arguments of a push: a layout of one layer, and a name in the sandbox."""
    login = {"username": box.username, "password": box.password.reveal()}
    (tmp_path / "config.json").write_text(json.dumps({"auths": {box.host: login}}), encoding="utf-8")
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    data = b"layer" * 1000
    config = {"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": [str(digest_of(data))]}}
    layers, platform = (Layer(diff_id=digest_of(data), size=len(data)),), Platform("linux", "amd64")
    image = Image(
        json.dumps(config).encode(), layers, lambda wanted: ((at, io.BytesIO(data)) for at in wanted), platform
    )
    write_layout(image, tmp_path / "layout", ("1",))
    return f"oci:{tmp_path / 'layout'}", f"{box.host}/docker-local/app:1"


def test_importing_the_package_loads_nothing_heavy():
    assert not loaded("import buildpush") & HEAVY


def test_importing_the_push_loads_nothing_heavy_and_no_settings():
    speaking = {"buildpush.http", "buildpush.registry", "buildpush.transfer", "ssl", "sqlite3"}
    assert not loaded("import buildpush; buildpush.push") & (HEAVY | NOT_FOR_A_PUSH | speaking)


def test_a_check_loads_what_its_engine_needs_and_nothing_that_sends(tmp_path):
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY . /\n", encoding="utf-8")
    words = ["--repo", "127.0.0.1:5000/app", "--tags", "1", "--no-push", "--dockerfile", str(tmp_path / "Dockerfile")]
    code = "from buildpush.cli import run_command; assert run_command(['check', *sys.argv[1:]]) == 0"
    found = loaded(code, *words, "--context", str(tmp_path), "--engine", "native")
    others = {"buildpush.engines.docker", "buildpush.engines.buildah", "buildpush.engines.kaniko"}
    sending = {"buildpush.registry.push", "buildpush.registry.memory", "buildpush.transfer.registry", "sqlite3"}
    assert not found & (HEAVY - {"click", "urllib3", "ruamel.yaml"} | others | sending)


def test_the_first_help_builds_no_model():
    assert "pydantic" not in loaded("from buildpush.cli import run_command; run_command(['--help'])")


def test_the_help_of_a_run_loads_nothing_that_speaks_to_registries_and_no_engine():
    found = loaded("from buildpush.cli import run_command; run_command(['run', '--help'])")
    assert not found & {"ssl", "buildpush.http", "buildpush.registry.auth"}
    assert not [name for name in found if name.startswith("buildpush.engines.")]


def test_a_push_of_a_layout_loads_no_settings_and_nothing_that_builds(words, box):
    assert not loaded("import buildpush; buildpush.push(*sys.argv[1:])", *words) & (NOT_FOR_A_PUSH | {"click"})
    assert box.tags("docker-local/app") == ["1"]


def test_the_verb_push_loads_no_settings_and_nothing_that_builds(words, box):
    code = "from buildpush.cli import run_command; assert run_command(['push', *sys.argv[1:]]) == 0"
    assert not loaded(code, *words) & NOT_FOR_A_PUSH
    assert box.tags("docker-local/app") == ["1"]


def test_a_collection_of_an_image_loads_no_step_and_nothing_that_builds_or_pushes(words, box, monkeypatch):
    for name, value in {"URL": f"http://{box.host}", "USER": box.username, "PASSWORD": box.password.reveal()}.items():
        monkeypatch.setenv(f"JF_{name}", value)
    run_command(["push", *words])
    code = "from buildpush.cli import run_command; assert run_command(['build-info', 'collect', *sys.argv[1:]]) == 0"
    found = loaded(code, words[1], "--build-name", "app", "--build-number", "1", "--publish")
    steps = {f"buildpush.settings.{name}" for name in ("model", "publish_step", "stepkinds", "tree")}
    building = {"buildpush.dockerfile.stages", "buildpush.engines", "buildpush.registry.push"}
    assert not found & (HEAVY - {"click", "urllib3"} | steps | building)
    assert [build["number"] for build in box.builds("app")] == ["1"]
