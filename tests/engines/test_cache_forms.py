"""BuildKit keeps its cache in the sandbox in both of its forms, and a builder that knows nothing uses it."""

import json
import subprocess

import pytest

from buildpush.images.model import OCI_INDEX, OCI_MANIFEST

pytestmark = pytest.mark.engines

IMAGE = "docker-local/cache"
DOCKERFILE = "FROM scratch AS made\nCOPY file /first\nFROM scratch\nCOPY --from=made /first /\n"


def build(env, directory, *words):
    argv = ["docker", "buildx", "build", "--progress", "plain", "--output", "type=cacheonly", *words, str(directory)]
    done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stderr


def forget(env):
    subprocess.run(["docker", "buildx", "prune", "--all", "--force"], env=env, capture_output=True, check=True)


@pytest.mark.parametrize("form", ["index", "image"])
def test_a_cold_build_takes_its_layers_from_the_cache(form, far, box, tmp_path):
    context = tmp_path / "context"
    context.mkdir()
    (context / "Dockerfile").write_text(
        "FROM scratch AS made\nCOPY file /first\nFROM scratch\nCOPY --from=made /first /\n"
    )
    (context / "file").write_text(form)
    auths = {box.host: {"username": box.username, "password": box.password.reveal()}}
    (tmp_path / "config.json").write_text(json.dumps({"auths": auths}))
    env = {**far, "DOCKER_CONFIG": str(tmp_path)}
    reference = f"{box.host}/{IMAGE}:{form}"
    options = f"mode=max,oci-mediatypes=true,image-manifest={str(form == 'image').lower()}"
    build(env, context, "--cache-to", f"type=registry,ref={reference},{options}")
    document = json.loads(box.blob(box.digest(IMAGE, form)))
    assert document["mediaType"] == (OCI_INDEX if form == "index" else OCI_MANIFEST)
    forget(env)
    assert "CACHED" not in build(env, context)
    forget(env)
    assert "CACHED" in build(env, context, "--cache-from", f"type=registry,ref={reference}")
    assert not box.failures
