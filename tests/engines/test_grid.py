"""Every setting that engines honour, with every engine: shown in what is really built, or refused.

The settings come from the model and the engines from the seam, so that a new one of either cannot be forgotten.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Callable
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import buildpush
from buildpush.engines import ENGINES
from buildpush.engines.choice import HINTS
from buildpush.foundation.errors import BuildPushError, UnsupportedError
from buildpush.foundation.events import Log
from buildpush.http.urls import is_loopback
from buildpush.settings.declare import settings_of
from buildpush.settings.model import BuildAndPush
from buildpush.transfer.oci_layout import open_layout

CLASSES = {name: row.load() for name, row in ENGINES.items()}
SETTINGS = sorted(setting.name for setting in settings_of(BuildAndPush) if setting.honoured_by == "engine")
SHELL = "FROM scratch\nCOPY busybox /bin/sh\nCOPY busybox /bin/cat\n"
AWKWARD = {"COMMA": "a,b", "BLANKS": " a  b ", "LINES": "a\nb", "QUOTES": """a"b'c""", "EMPTY": "", "SIGNS": "$x \\y=z"}


@dataclass
class Built:
    """What a build left."""

    files: dict[str, Any]
    config: dict[str, Any]
    platform: str
    log: list[str]

    def text(self, path: str) -> str:
        return self.files[path].text


@dataclass
class Yard:
    """Where a case is built."""

    directory: Any
    box: Any
    engine: str
    env: dict[str, str]
    more: dict[str, str]
    number: int = 0

    @property
    def root(self) -> Path:
        return self.directory.root

    def build(self, text: str, **settings: Any) -> Built:
        """Build the Dockerfile *text* with the public call, as a user would."""
        self.number += 1
        self.directory.dockerfile(text)
        events: list[Any] = []
        output = self.root.parent / f"out-{self.number}"
        repo = f"{self.box.host}/docker-local/app"
        settings = {"engine": self.engine, "context": ".", "repo": repo, **self.more, **settings}
        buildpush.build(output=f"oci:{output}", env=self.env, cwd=self.root, sink=events.append, **settings)
        image = open_layout(output)
        log = [event.line for event in events if isinstance(event, Log)]
        return Built(self.directory.files_of(image), self.directory.config_of(image), str(image.platform), log)

    def push(self, name: str, dockerfile: str) -> str:
        """Push a base image to the sandbox."""
        self.directory.dockerfile(dockerfile)
        repo = f"{self.box.host}/docker-local/{name}"
        more = {"username": self.box.username, "password": self.box.password, "engine": "native"}
        buildpush.run(env=self.env, cwd=self.root, repo=repo, tags="1", **more)
        return f"{repo}:1"


@dataclass(frozen=True)
class Case:
    """How a setting is shown: what is built in a yard, and what is then asserted.

    Attributes:
        command: where nothing in an image can show it, it is shown in the command alone, in another test.
    """

    show: Callable[[Yard], None] | None = None
    command: str = ""


def dockerfile(yard: Yard) -> None:
    yard.directory.write("sub/Other", "FROM scratch\nCOPY a /other\n")
    assert "other" in yard.build("FROM scratch\nCOPY a /usual\n", dockerfile="sub/Other").files


def context(yard: Yard) -> None:
    yard.directory.write("sub/a", "of the folder")
    built = yard.build("FROM scratch\nCOPY a /a\n", context="sub", dockerfile="Dockerfile")
    assert built.text("a") == "of the folder"


def labels(yard: Yard) -> None:
    wanted = {"org.test/x": "a b,c", "l": "e=f'g\"h"}
    built = yard.build("FROM scratch\nLABEL l=no m=yes\nCOPY a /a\n", labels=wanted)
    assert built.config["config"]["Labels"] == {"m": "yes", **wanted}


def platforms(yard: Yard) -> None:
    built = yard.build("FROM scratch\nARG TARGETARCH\nCOPY a /$TARGETARCH\n", platforms="linux/arm64")
    assert (sorted(built.files), built.platform, built.config["architecture"]) == (["arm64"], "linux/arm64", "arm64")


def build_args(yard: Yard) -> None:
    lines = "".join(f"ARG {name}\nENV {name}=${name}\n" for name in AWKWARD)
    built = yard.build(f"FROM scratch\n{lines}COPY a /a\n", build_args=AWKWARD)
    pairs = dict(text.split("=", 1) for text in built.config["config"]["Env"])
    assert {name: pairs[name] for name in AWKWARD} == AWKWARD


def target(yard: Yard) -> None:
    text = "FROM scratch AS first\nCOPY a /first\nFROM scratch\nCOPY a /last\n"
    assert sorted(yard.build(text, target="first").files) == ["first"]


def no_cache(yard: Yard) -> None:
    if yard.engine == "native":
        assert yard.build("FROM scratch\nCOPY a /a\n", no_cache=True).text("a") == "hello"
        return
    text = f"{SHELL}RUN cat /proc/uptime > /now\n"
    yard.directory.write("busybox", Path("/bin/busybox").read_bytes(), mode=0o755)
    first, second = (yard.build(text, no_cache=True).text("now") for _ in range(2))
    assert first != second


def env_docker_secrets(yard: Yard) -> None:
    yard.env["PIP_TOKEN"] = 's3cr3t,of "the" grid'
    built = secret(yard, env_docker_secrets={"tok.en": "PIP_TOKEN"})
    assert built == yard.env["PIP_TOKEN"]


def file_docker_secrets(yard: Yard) -> None:
    (yard.root.parent / "npmrc").write_text("s3cr3t of\nthe file\n")
    assert secret(yard, file_docker_secrets={"tok.en": f"{yard.root.parent}/npmrc"}) == "s3cr3t of\nthe file\n"


def secret(yard: Yard, **settings: Any) -> str:
    yard.directory.write("busybox", Path("/bin/busybox").read_bytes(), mode=0o755)
    text = f"{SHELL}RUN --mount=type=secret,id=tok.en cat /run/secrets/tok.en > /got\n"
    built = yard.build(text, no_cache=True, **settings)
    assert not any("s3cr3t" in line for line in built.log)
    return built.text("got")


def base_image_connector_refs(yard: Yard) -> None:
    base = yard.push("guarded", "FROM scratch\nCOPY a /of-the-base\n")
    file = yard.root.parent / "connectors.yaml"
    yard.env["BASE_PASSWORD"] = yard.box.password.reveal()
    connector = {
        "name": "bases",
        "identifier": "bases",
        "type": "DockerRegistry",
        "spec": {
            "dockerRegistryUrl": f"http://{yard.box.host}",
            "providerType": "Other",
            "auth": {
                "type": "UsernamePassword",
                "spec": {"username": yard.box.username, "passwordRef": "env:BASE_PASSWORD"},
            },
        },
    }
    file.write_text(json.dumps({"connectors": [{"connector": connector}]}))
    built = yard.build(f"FROM {base}\nCOPY a /a\n", base_image_connector_refs=("bases",), connectors=file)
    assert sorted(built.files) == ["a", "of-the-base"]


def pull_image(yard: Yard) -> None:
    """A base image that the engine has is another one in the registry by now."""
    base = yard.push("base", "FROM scratch\nCOPY a /old\n")
    login(yard)
    yard.build(f"FROM {base}\nCOPY a /a\n")
    if yard.engine == "docker":
        subprocess.run(["docker", "pull", base], check=True, capture_output=True, env=yard.env)
    yard.push("base", "FROM scratch\nCOPY a /new\n")
    try:
        assert "new" in yard.build(f"FROM {base}\nCOPY a /a\n", pull_image=True).files
    finally:
        if yard.engine == "docker":
            subprocess.run(["docker", "rmi", base], check=True, capture_output=True, env=yard.env)


def mirror(yard: Yard) -> None:
    yard.push("library/mirrored", "FROM scratch\nCOPY a /of-the-mirror\n")
    login(yard)
    mirrors = [f"{yard.box.host}/{key}" for key in ("without-it", "docker-local")]
    built = yard.build("FROM mirrored:1\nCOPY a /a\n", mirror=mirrors)
    assert {"a", "of-the-mirror"} <= built.files.keys()


def login(yard: Yard, host: str = "") -> None:
    """Let everybody find the sandbox's login where Docker keeps logins."""
    home = Path(yard.env["DOCKER_CONFIG"])
    home.mkdir(exist_ok=True)
    auth = yard.box.password.basic(yard.box.username)
    (home / "config.json").write_text(json.dumps({"auths": {host or yard.box.host: {"auth": auth}}}))


def add_host(yard: Yard) -> None:
    yard.directory.write("busybox", Path("/bin/busybox").read_bytes(), mode=0o755)
    built = yard.build(f"{SHELL}RUN cat /etc/hosts > /hosts\n", add_host="db.test:10.0.0.7,six.test:fd00::7")
    lines = [line.split() for line in built.text("hosts").splitlines()]
    assert ["10.0.0.7", "db.test"] in lines
    assert ["fd00::7", "six.test"] in lines


def network(yard: Yard) -> None:
    yard.directory.write("busybox", Path("/bin/busybox").read_bytes(), mode=0o755)
    built = yard.build(f"{SHELL}RUN cat /proc/net/dev > /devices\n", network="none", no_cache=True)
    assert [line.split(":")[0].strip() for line in built.text("devices").splitlines()[2:]] == ["lo"]


def build_contexts(yard: Yard) -> None:
    (yard.root.parent / "more").mkdir()
    (yard.root.parent / "more/b").write_text("of the other")
    built = yard.build("FROM scratch\nCOPY --from=other b /b\n", build_contexts={"other": "../more"})
    assert built.text("b") == "of the other"


def ssh_agent_key(yard: Yard) -> None:
    """The agent that RUN reaches has the key; a key that cannot be read would end the build."""
    file = yard.root.parent / "key"
    words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(file)]
    subprocess.run(words, check=True, capture_output=True, stdin=subprocess.DEVNULL)
    yard.env["KEY"] = file.read_text().strip()  # as variables of CI systems often are, without the last line end
    yard.directory.write("busybox", Path("/bin/busybox").read_bytes(), mode=0o755)
    text = f'{SHELL}RUN --mount=type=ssh test -S "$SSH_AUTH_SOCK" && echo yes > /got\n'
    built = yard.build(text, no_cache=True, ssh_agent_key="env:KEY")
    assert built.text("got") == "yes\n"
    assert not any("PRIVATE KEY" in line or yard.env["KEY"].splitlines()[1] in line for line in built.log)


def squash(yard: Yard) -> None:
    built = yard.build("FROM scratch\nCOPY a /one\nCOPY a /two\n", squash=True)
    assert (len(built.config["rootfs"]["diff_ids"]), sorted(built.files)) == (1, ["one", "two"])


def cache_to(yard: Yard) -> None:
    both = [f"type=local,dest=../{name},mode=max" for name in ("cache", "other")]
    yard.build("FROM scratch\nCOPY a /a\n", cache_to=both)
    assert all((yard.root.parent / name / "index.json").exists() for name in ("cache", "other"))


def cache_from(yard: Yard) -> None:
    yard.build("FROM scratch\nCOPY a /a\n", cache_to="type=local,dest=../cache,mode=max")
    built = yard.build("FROM scratch\nCOPY a /a\n", cache_from="type=local,src=../cache")
    assert any("importing cache manifest from local" in line for line in built.log)


def caching(yard: Yard) -> None:
    logs = [yard.build("FROM scratch\nCOPY a /a\n", caching=True).log for _ in range(2)]
    found = [any("importing cache manifest from local" in line for line in log) for log in logs]
    assert found == [False, True]


def remote_cache_repo(yard: Yard) -> None:
    login(yard)
    yard.directory.write("busybox", Path("/bin/busybox").read_bytes(), mode=0o755)
    yard.build(f"{SHELL}RUN echo > /x\n", remote_cache_repo=f"{yard.box.host}/docker-local/layers")
    tags = yard.box.tags("docker-local/layers")
    assert len(tags) == 1 if yard.engine == "kaniko" else tags == ["buildcache"]  # kaniko's are those of its layers


CASES = {
    **{
        case.__name__: Case(case)
        for case in (
            *(add_host, base_image_connector_refs, build_args, build_contexts, cache_from, cache_to, caching, context),
            *(dockerfile, env_docker_secrets, file_docker_secrets, labels, mirror, network, no_cache, platforms),
            *(pull_image,),
            *(remote_cache_repo, squash, ssh_agent_key, target),
        )
    },
    "ssh": Case(command="--ssh"),
    "resources": Case(command="--memory"),
    "run_as_user": Case(command="--user"),
    "privileged": Case(command="--privileged"),
    "cache_ttl": Case(command="--cache-ttl"),
    "ignore_paths": Case(command="--ignore-path"),
}


def test_every_setting_has_a_case():
    assert set(SETTINGS) - {"optimize"} == CASES.keys()


@pytest.fixture
def yard(request, directory, box, need, tmp_path, monkeypatch):
    """Return the function that makes a yard for an engine; buildx builds with a BuildKit of its own if there is one."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    directory.write("a", "hello")

    @contextmanager
    def made(engine: str):
        env = {**os.environ, "DOCKER_CONFIG": str(tmp_path / "docker")}
        (tmp_path / "docker").mkdir()
        if engine in {"docker", "buildx"}:
            need("docker", "buildx")
        elif engine == "buildah":
            need("buildah")
        more = {"kaniko_image": request.getfixturevalue("kaniko_image")} if engine == "kaniko" else {}
        if engine == "buildx":
            need("buildkitd")
            env |= {name: request.getfixturevalue("far")[name] for name in ("BUILDX_CONFIG", "BUILDX_BUILDER")}
        yield Yard(directory, box, engine, env, more)

    return made


PAIRS = [(setting, engine) for setting in SETTINGS for engine in ENGINES]
HONOURED = [(setting, engine) for setting, engine in PAIRS if setting in CLASSES[engine].flags and setting in CASES]
# Nothing in an image shows an agent of SSH: the command is tested alone, as are kaniko's where there is no executor.
SHOWN = [(setting, engine) for setting, engine in HONOURED if CASES[setting].show]
REFUSED = [pair for pair in PAIRS if pair not in HONOURED and pair[0] not in HINTS]


@pytest.mark.engines
@pytest.mark.parametrize(("setting", "engine"), SHOWN)
def test_a_setting_is_shown_in_what_is_built(yard, need, engine, setting):
    if engine != "native":
        need("busybox")
    with yard(engine) as made:
        CASES[setting].show(made)


@pytest.mark.engines
@pytest.mark.parametrize("engine", [name for name in ENGINES if name != "native"])
def test_run_sees_the_proxies_of_the_environment_and_the_image_does_not(yard, need, engine):
    need("busybox")
    with yard(engine) as made:
        made.env |= {"HTTPS_PROXY": "http://user:s3cr3t@proxy.test:3128", "no_proxy": "127.0.0.1,localhost"}
        made.directory.write("busybox", Path("/bin/busybox").read_bytes(), mode=0o755)
        built = made.build(f'{SHELL}RUN echo "$https_proxy $HTTPS_PROXY $NO_PROXY" > /got\n', no_cache=True)
    assert built.text("got") == f"{2 * 'http://user:s3cr3t@proxy.test:3128 '}127.0.0.1,localhost\n"
    assert "proxy.test" not in json.dumps(built.config)


def name_of_this_machine() -> str | None:
    """Return a name that leads to 127.0.0.1, and that is none of those that are always reached without TLS."""
    name = socket.gethostname()
    with suppress(OSError):
        return name if socket.gethostbyname(name) == "127.0.0.1" and not is_loopback(name) else None
    return None


@pytest.mark.engines
@pytest.mark.parametrize("engine", ["native", "buildah"])
def test_a_base_image_comes_from_a_host_without_tls_where_that_is_allowed(yard, engine):
    name = name_of_this_machine()
    if name is None:
        pytest.skip("needs a name of this machine that leads to 127.0.0.1")
    with yard(engine) as made:
        made.push("base", "FROM scratch\nCOPY a /of-the-base\n")
        host = f"{name}:{made.box.host.rpartition(':')[2]}"
        login(made, host)
        text = f"FROM {host}/docker-local/base:1\nCOPY a /a\n"
        with pytest.raises(BuildPushError):
            made.build(text)
        assert "of-the-base" in made.build(text, insecure_registry=host).files


@pytest.mark.parametrize(("setting", "engine"), REFUSED)
def test_what_an_engine_cannot_honour_is_refused_with_those_that_can(directory, engine, setting):
    directory.dockerfile("FROM scratch\n")
    (directory.root.parent / "assets").mkdir()
    directory.write("secrets/npmrc", "x")
    env = {"PIP_TOKEN": "x", "SSH_KEY": "x", "HOME": str(directory.root)}
    beside = {"remote_cache_repo": "a.test/b/cache"} if setting == "cache_ttl" else {}
    order = {"repo": "a.test/b/c", "engine": engine, setting: example(setting), **beside}
    with pytest.raises(UnsupportedError) as caught:
        buildpush.build(cwd=directory.root, env=env, **order)
    able = [name for name, other in CLASSES.items() if setting in other.flags]
    assert caught.value.setting == setting
    assert caught.value.hint == f"use engine: {' or '.join(able)}"


def example(setting: str) -> Any:
    return next(found.example for found in settings_of(BuildAndPush) if found.name == setting)
