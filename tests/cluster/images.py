"""Images for the pods of tests, made of what is on this machine: no public registry may be reachable."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).parents[2]
APPLETS = (
    "sh cat echo ls sleep id env grep mkdir rm touch test true false head sha256sum gzip tar wc mv cp chmod seq sort"
)
# What the executor of kaniko is asked for here, done by buildah: the same flags, the same file with the digest.
EXECUTOR = r"""#!/bin/sh
set -e
while [ $# -gt 0 ]; do
  case $1 in
    --context) context=${2#dir://}; shift ;;
    --dockerfile) dockerfile=$2; shift ;;
    --destination) destination=$2; shift ;;
    --digest-file) digest=$2; shift ;;
    --no-push) ;;
    --tar-path) archive=$2; shift ;;
    --build-arg) arguments="$arguments --build-arg $2"; shift ;;
    --insecure-registry) insecure="--tls-verify=false"; shift ;;
    --skip-tls-verify-registry) shift ;;
    --force|--log-format=json|--cache*|--single-snapshot|--snapshot-mode=*) ;;
    *) echo "{\"level\":\"fatal\",\"msg\":\"unknown flag: $1\"}"; exit 1 ;;
  esac
  shift
done
echo '{"level":"info","msg":"Retrieving image manifest"}'
buildah="buildah --root /kaniko/storage --runroot /kaniko/run --storage-driver vfs"
$buildah build --isolation chroot --format docker $insecure $arguments \
  --file "$dockerfile" --tag localhost/b "$context" 2>&1
if [ "$archive" ]; then
  $buildah push localhost/b "docker-archive:$archive" 2>&1
  exit
fi
echo "{\"level\":\"info\",\"msg\":\"Pushing image to $destination\"}"
$buildah push $insecure --authfile "$DOCKER_CONFIG/config.json" \
  --digestfile /kaniko/digest localhost/b "docker://$destination" 2>&1
cat /kaniko/digest > "$digest"
echo '{"level":"info","msg":"Pushed image"}'
"""
FILES = "FROM scratch\nCOPY root /\nADD capable.tar /\n"


def programs(directory: Path) -> Path:
    """Fill *directory* with the context of an image that holds busybox, buildah and the stand-in for kaniko."""
    root = directory / "root"
    (root / "bin").mkdir(parents=True)
    shutil.copy("/bin/busybox", root / "bin/busybox")
    for name in APPLETS.split():
        (root / "bin" / name).symlink_to("busybox")
    for program in ("buildah", "newuidmap", "newgidmap"):
        path = Path(shutil.which(program) or f"/usr/bin/{program}")
        if path.exists():
            copy(path, root)
            copy_libraries(path, root)
    shutil.copytree("/etc/containers", root / "etc/containers", ignore=shutil.ignore_patterns("storage.conf"))
    for name, text in {
        "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nbuild:x:1000:1000:build:/workspace:/bin/sh\n",
        "etc/group": "root:x:0:\nbuild:x:1000:\n",
        "etc/subuid": "build:100000:65536\n",
        "etc/subgid": "build:100000:65536\n",
        "kaniko/executor": EXECUTOR,
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    (root / "kaniko/executor").chmod(0o755)
    for name in ("tmp", "var/tmp", "root", "proc", "sys", "dev", "run"):
        (root / name).mkdir(parents=True, exist_ok=True)
    (root / "tmp").chmod(0o1777)
    (root / "var/tmp").chmod(0o1777)
    capable(directory / "capable.tar", root)
    (directory / "Dockerfile").write_text(f"{FILES}ENV PATH=/bin:/usr/bin:/usr/sbin\n")
    return directory


def capable(path: Path, root: Path) -> None:
    """Write the programs that a user without root needs for buildah: with capabilities, and not as root's.

    COPY drops capabilities, but ADD unpacks them.
    """
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        for name, bit in {"newuidmap": "\udc80", "newgidmap": "\x40"}.items():  # setuid+ep, setgid+ep
            member = tarfile.TarInfo(f"usr/bin/{name}")
            content = (root / member.name).read_bytes()
            member.size, member.mode = len(content), 0o755
            member.pax_headers = {"SCHILY.xattr.security.capability": f"\x01\0\0\x02{bit}{15 * chr(0)}"}
            tar.addfile(member, io.BytesIO(content))


def python(directory: Path) -> Path:
    """Fill *directory* with the context of an image that holds busybox, the Python that is here, and buildpush."""
    root = programs(directory) / "root"
    program, library = Path(sys.executable).resolve(), Path(sysconfig.get_path("stdlib"))
    skipped = shutil.ignore_patterns("site-packages", "test", "tests", "__pycache__", "config-*", "idlelib", "*.a")
    shutil.copytree(library, root / library.relative_to("/"), ignore=skipped)
    copy(program, root)
    for binary in (program, *library.glob("lib-dynload/*.so")):
        copy_libraries(binary, root)
    (root / "bin/python3").symlink_to(program)
    target = root / "opt/buildpush"
    shutil.copytree(ROOT / "buildpush", target / "buildpush", ignore=shutil.ignore_patterns("__pycache__"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["kubernetes"]]
    for distribution in with_dependencies(wanted):
        copy_distribution(distribution, target, root)
    text = f"{FILES}ENV PATH=/bin:/usr/bin:/usr/sbin PYTHONPATH=/opt/buildpush\n"
    (directory / "Dockerfile").write_text(text)
    return directory


def copy_distribution(distribution: metadata.Distribution, target: Path, root: Path) -> None:
    for file in distribution.files or ():
        if file.parts[0] != ".." and "__pycache__" not in file.parts:
            path = target / file
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file.locate(), path)
            if path.suffix == ".so":
                copy_libraries(path, root)


def with_dependencies(requirements: list[str]) -> list[metadata.Distribution]:
    """Return the installed distributions that *requirements* name, and those that they need; each once."""
    found, waiting = {}, list(requirements)
    while waiting:
        text = waiting.pop()
        name = re.match(r"[\w.-]+", text)[0].lower().replace("_", "-")
        if name in found or "extra ==" in text:
            continue
        try:
            found[name] = metadata.distribution(name)
        except metadata.PackageNotFoundError:  # for another Python or machine
            continue
        waiting += found[name].requires or []
    return list(found.values())


def copy(source: Path, root: Path) -> None:
    target = root / source.relative_to("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, target)


def copy_libraries(binary: Path, root: Path) -> None:
    listed = subprocess.run(["ldd", binary], capture_output=True, text=True, check=False)
    for library in re.findall(r"(/\S+) \(0x", listed.stdout):
        if not (root / library.lstrip("/")).exists():
            copy(Path(library), root)
