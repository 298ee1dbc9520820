"""The push of what another container of the pod has built: our own, which retries, goes on and checks.

The image is handed over in the form that an engine on this machine uses: an archive of uncompressed layers.
"""

# Flags of other programs in this module's texts: any

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Final

from buildpush.cluster.jobs import JobResult
from buildpush.cluster.manifest import PodContainer, in_shell
from buildpush.credentials.docker import Credential
from buildpush.dockerfile.request import BuildRequest
from buildpush.engines.docker import buildkit
from buildpush.foundation import strict_json
from buildpush.foundation.errors import AuthenticationError, BuildPushError, DigestError, PushError, UnreachableError
from buildpush.http.urls import EVERY_HOST, names_of_host
from buildpush.places import FILES, FileContent

BEGINS: Final = "push: {}"  # what the log says when the push of a reference begins
_AUTHORITY: Final = "authority.pem"
# Takes the error out of the answer: of a long message of a container, the cluster keeps the last 4096 bytes.
_TELL: Final = """\
import json, sys
error = json.load(open(sys.argv[1]))["error"]
short = {key: str(error[key] or "")[:900] for key in ("family", "message", "hint")}
print(json.dumps({"error": short}))
"""
_FAMILIES: Final = {one.__name__: one for one in (AuthenticationError, DigestError, UnreachableError)}


def archive(work: str) -> str:
    """Return where the build puts its image."""
    return f"{work}/image.tar"


def pusher(image: str, request: BuildRequest, work: str, login: Credential | None) -> PodContainer:
    """Return the container of *image* that pushes the archive under the first reference.

    It gets the *login* and the certificates of that host, and nothing else.
    """
    host, authority = request.references[0].repository.host, own_authority(request)
    files: dict[str, FileContent] = {}
    state = "/tmp/state"  # noqa: S108 - everybody may write to the volume of the pod, and nobody else is in its /tmp
    env = {"PYTHONUNBUFFERED": "1", "XDG_STATE_HOME": state, **request.proxies}
    if login:
        files[f"{buildkit.CONFIG}/config.json"] = json.dumps({"auths": buildkit.auths({host: login})})
        env["DOCKER_CONFIG"] = f"{FILES}/{buildkit.CONFIG}"
    if authority:
        files[_AUTHORITY] = authority
        env["REQUESTS_CA_BUNDLE"] = f"{FILES}/{_AUTHORITY}"
    return PodContainer(image, ("sh", "-c", _script(request, work)), env, files)


def _script(request: BuildRequest, work: str) -> str:
    """Return the commands of a shell; the message of the container is the digest, or else why there is none."""
    says = in_shell(["echo", BEGINS.format(request.references[0])], {})
    push = in_shell(["python3", "-m", "buildpush", "push", *_flags(request, work)], {})
    tell = in_shell(["python3", "-c", _TELL, f"{work}/answer"], {})
    # They are copied: the file of the message cannot be replaced.
    return (
        f"{says}; {push} > {work}/answer; status=$?; "
        f"if [ $status = 0 ]; then cat {work}/digest; else {tell}; fi > /dev/termination-log; exit $status"
    )


def _flags(request: BuildRequest, work: str) -> Iterator[str]:
    reference = request.references[0]
    yield from ("--json", "--digest-file", f"{work}/digest")
    if own_is_insecure(request):
        yield from ("--insecure-registry", reference.repository.host)
    yield from (f"docker-archive:{archive(work)}", str(reference))


def own_is_insecure(request: BuildRequest) -> bool:
    """Return whether the host that is pushed to may have any certificate, or no TLS."""
    return bool(request.insecure.intersection(names_of_host(request.references[0].repository.host)))


def own_authority(request: BuildRequest) -> str:
    """Return the certificates to trust at the host that is pushed to, as PEM text; empty for none."""
    known = {name.lower(): text for name, text in request.authorities.items()}
    names = (*names_of_host(request.references[0].repository.host), EVERY_HOST)
    return next((known[name] for name in names if name in known), "")


def push_failure(result: JobResult, image: str) -> BuildPushError:
    """Return why the push from the cluster failed: what the program in *image* said."""
    try:
        error = strict_json.parse(result.message.encode())["error"]
        family, said, hint = (str(error[key] or "") for key in ("family", "message", "hint"))
    except (ValueError, KeyError, TypeError):
        message = f"the push from the cluster failed with status {result.status}, and did not say why"
        return PushError(message, hint=f"read the log above, and check that the image {image} holds buildpush")
    return _FAMILIES.get(family, PushError)(f"the push from the cluster failed: {said}", hint=hint or None)
