"""The examples, from their step files to images that the real Docker pulls and runs."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from buildpush.cli import run_command
from buildpush.foundation.state import State

pytestmark = pytest.mark.engines

EXAMPLES = Path(__file__).parent.parent / "examples"
BUSYBOX = Path("/bin/busybox")


def docker(*words, **options):
    return subprocess.run(["docker", *words], capture_output=True, check=True, timeout=120, **options).stdout


@pytest.fixture
def site(box, tmp_path, monkeypatch, need):
    """Give a directory with the examples, whose connectors lead to the sandbox, and Docker logged in there."""
    need("docker", "buildx")
    shutil.copytree(EXAMPLES, tmp_path / "examples")
    connectors = tmp_path / "examples" / "connectors.yml"
    connectors.write_text(connectors.read_text().replace("http://127.0.0.1:8181", box.url))
    monkeypatch.setenv("SANDBOX_PASSWORD", box.password.reveal())
    monkeypatch.chdir(tmp_path)
    docker("login", box.host, "--username", box.username, "--password-stdin", input=box.password.reveal().encode())
    return box


@pytest.fixture
def base(need):
    """Give the name of a local image with a shell, since no public registry may be reachable."""
    need("busybox")
    name = "buildpush-test-base:1"
    docker("build", "--tag", name, "-", input=_base_context())
    yield name
    docker("rmi", "--force", name)


def _base_context() -> bytes:
    recipe = b'FROM scratch\nCOPY busybox /bin/busybox\nRUN ["/bin/busybox", "--install", "-s", "/bin"]\n'
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content, mode in (("Dockerfile", recipe, 0o644), ("busybox", BUSYBOX.read_bytes(), 0o755)):
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), mode
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def pushed(capsys, *words):
    capsys.readouterr()
    code = run_command(["run", *words, "--connectors", "examples/connectors.yml", "--tags", "7", "--json"])
    shown = capsys.readouterr()
    assert code == 0, shown.err
    return json.loads(shown.out)["steps"][0]


def test_docker_pulls_what_native_pushed_and_the_files_are_right(site, capsys):
    result = pushed(capsys, "examples/site/step.yml", "--engine", "native")
    assert result["digest"] == site.digest("docker-local/site", "7")
    name = f"{site.host}/docker-local/site:7"
    docker("pull", name)
    try:
        container = docker("create", name, "nothing").decode().strip()
        files = tarfile.open(fileobj=io.BytesIO(docker("export", container)))  # noqa: SIM115  closed with its buffer
        docker("rm", container)
    finally:
        docker("rmi", "--force", name)
    page = files.extractfile("srv/site/index.html").read()
    assert page == (EXAMPLES / "site" / "public" / "index.html").read_bytes()


def test_the_service_is_built_by_docker_and_runs_after_a_pull(site, base, capsys):
    result = pushed(capsys, "examples/service/step.yml", "--engine", "docker", "--build-arg", f"BASE={base}")
    assert result["digest"] == site.digest("docker-local/service", "7")
    assert result["build"]["name"] == "service"
    name = f"{site.host}/docker-local/service:7"
    docker("pull", name)
    try:
        shown = docker("run", "--rm", "--entrypoint", "/bin/cat", name, "/srv/service/start")
    finally:
        docker("rmi", "--force", name)
    assert shown == (EXAMPLES / "service" / "start").read_bytes()


def test_a_build_secret_reaches_the_build_and_nothing_that_is_left(site, base, capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("APP_TOKEN", "planted-build-secret-0815")
    recipe = f"FROM {base}\nRUN --mount=type=secret,id=app cat /run/secrets/app && wc -c < /run/secrets/app > /size\n"
    (tmp_path / "Dockerfile").write_text(recipe)
    words = ["--repo", "docker-local/app", "--connector-ref", "jfrog", "--engine", "docker", "--no-cache"]
    words += ["--env-docker-secret", "app=APP_TOKEN", "--publish-build-info", "--connectors", "examples/connectors.yml"]
    assert run_command(["run", *words]) == 0
    shown = capsys.readouterr()
    left = [shown.out, shown.err, json.dumps(site.builds()), repr(site.requests)]
    left += [path.read_text(errors="replace") for path in State.default().directory.rglob("*") if path.is_file()]
    assert "********" in shown.err  # the step printed it, so the log had it to hide
    assert not [text for text in left if "planted-build-secret-0815" in text]
    name = f"{site.host}/docker-local/app:latest"
    docker("pull", name)
    try:
        assert docker("run", "--rm", name, "cat", "/size").strip() == b"25"
    finally:
        docker("rmi", "--force", name)


STEP_WITH_A_SECRET = """\
step:
  type: BuildAndPushDockerRegistry
  name: Build with a secret
  identifier: build
  spec:
    connectorRef: jfrog
    repo: docker-local/app
    tags: ["@ENGINE"]
    envDockerSecrets:
      app: <+secrets.getValue("x")>
    envVariables: {PLUGIN_ENGINE: "@ENGINE", PLUGIN_PUBLISH_BUILD_INFO: "yes", PLUGIN_NO_CACHE: "true"}
"""


@pytest.mark.parametrize("engine", ["docker", "buildx", "buildah"])
def test_a_secret_of_the_vault_reaches_the_build_and_nothing_that_is_left(
    site, base, capsys, monkeypatch, tmp_path, need, engine
):
    need(engine)
    secret = "planted-vault-secret-4711"
    monkeypatch.setenv("BUILDPUSH_SECRET_X", secret)
    based = base if engine == "docker" else f"{site.host}/docker-local/base:1"
    if engine != "docker":
        docker("tag", base, based)
        docker("push", based)
        docker("rmi", based)
    recipe = f"FROM {based}\nRUN --mount=type=secret,id=app cat /run/secrets/app && wc -c < /run/secrets/app > /size\n"
    (tmp_path / "Dockerfile").write_text(recipe)
    (tmp_path / "step.yml").write_text(STEP_WITH_A_SECRET.replace("@ENGINE", engine))
    assert run_command(["run", "step.yml", "--connectors", "examples/connectors.yml"]) == 0
    shown = capsys.readouterr()
    left = [shown.out, shown.err, json.dumps(site.builds()), repr(site.requests)]
    left += [path.read_text(errors="replace") for path in State.default().directory.rglob("*") if path.is_file()]
    name = f"{site.host}/docker-local/app:{engine}"
    docker("pull", name)
    try:
        left.append(docker("history", "--no-trunc", name).decode())
        assert docker("run", "--rm", name, "cat", "/size").strip() == b"25"
    finally:
        docker("rmi", "--force", name)
    assert "********" in shown.err  # the step printed it, so the log had it to hide
    assert not [text for text in left if secret in text]


TOKEN_THEN_BUILD = """\
- step:
    type: Plugin
    name: Publish
    identifier: publish
    spec:
      image: plugins/artifactory-publish-docker-buildinfo
      settings:
        url: @URL
        docker_image: docker-local/base:1
        build_name: base
        build_number: "1"
        access_token: <+secrets.getValue("x")>
- step:
    type: BuildAndPushDockerRegistry
    name: Build
    identifier: build
    spec:
      repo: @HOST/docker-local/app
      tags: ["1"]
      envVariables: {PLUGIN_ENGINE: "@ENGINE", @MORE}
"""


@pytest.mark.parametrize("more", ["PLUGIN_NO_PUSH: 'true'", "PLUGIN_NO_CACHE: 'true'"])
@pytest.mark.parametrize("engine", ["docker", "buildx", "buildah"])
def test_an_access_token_opens_base_images_for_engines_too(site, base, monkeypatch, tmp_path, need, engine, more):
    need(engine)
    monkeypatch.setenv("BUILDPUSH_SECRET_X", site.token.reveal())
    based = f"{site.host}/docker-local/base:1"
    docker("tag", base, based)
    docker("push", based)
    docker("rmi", based)
    docker("logout", site.host)
    (tmp_path / "Dockerfile").write_text(f"FROM {based}\nRUN echo built > /built\n")
    words = {"@URL": site.artifactory_url, "@HOST": site.host, "@ENGINE": engine, "@MORE": more}
    text = TOKEN_THEN_BUILD
    for mark, word in words.items():
        text = text.replace(mark, word)
    (tmp_path / "steps.yml").write_text(text)
    assert run_command(["run", "steps.yml"]) == 0


@pytest.mark.parametrize("compression", ["none", "zstd"])
@pytest.mark.parametrize("engine", ["docker", "buildx", "buildah"])
def test_layers_of_the_base_are_dependencies_whichever_engine_builds(site, tmp_path, need, capsys, engine, compression):
    need(engine)
    (tmp_path / "a").write_text("a\n")
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY a /a\n")
    words = ["run", "--connectors", "examples/connectors.yml", "--connector-ref", "jfrog", "--publish-build-info"]
    named = [*words, "--repo", "docker-local/base", "--tags", "1", "--engine", "native", "--compression", compression]
    assert run_command(named) == 0
    (tmp_path / "Dockerfile").write_text(f"FROM {site.host}/docker-local/base:1\nCOPY Dockerfile /b\n")
    built = [*words, "--repo", "docker-local/app", "--tags", "1", "--engine", engine, "--build-name", "app"]
    assert run_command([*built, "--compression", compression, "--no-cache"]) == 0
    [module] = site.builds("app")[0]["modules"]
    [dependency] = module["dependencies"]
    assert dependency["sha256"] == module["artifacts"][2]["sha256"]  # behind manifest and configuration
    assert dependency["sha1"] == module["artifacts"][2]["sha1"]
    assert len(module["artifacts"]) == 4
    assert "is not known" not in capsys.readouterr().err


def test_the_provenance_that_buildkit_has_pushed_names_the_base_of_a_collected_image(site, base, tmp_path, monkeypatch):
    if b"io.containerd.snapshotter" not in docker("info"):
        pytest.skip("needs Docker with the image store of containerd, which keeps attestations")
    named = f"{site.host}/docker-local"
    docker("tag", base, f"{named}/base:1")
    docker("push", f"{named}/base:1")
    (tmp_path / "Dockerfile").write_text(f"FROM {named}/base:1\nRUN echo built > /built\n")
    try:
        docker("buildx", "build", "--provenance=mode=min", "--push", "--tag", f"{named}/app:1", str(tmp_path))
    finally:
        docker("rmi", "--force", f"{named}/base:1", f"{named}/app:1")
    for name, value in (("URL", site.url), ("USER", site.username), ("PASSWORD", site.password.reveal())):
        monkeypatch.setenv(f"JF_{name}", value)
    words = ["--build-name", "app", "--build-number", "1", "--publish"]
    assert run_command(["build-info", "collect", "docker-local/app:1", *words]) == 0
    modules = site.builds("app")[0]["modules"]
    [platform] = [module for module in modules if "dependencies" in module]
    layers = platform["artifacts"][2:]  # behind manifest and configuration
    assert [one["sha256"] for one in platform["dependencies"]] == [one["sha256"] for one in layers[:-1]]
