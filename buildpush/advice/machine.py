"""Messages about disks, memory, containers, time and logs."""

# Flags of other programs in this module's texts: any

from __future__ import annotations

from typing import Final

from buildpush.advice.row import Advice

MACHINE: Final = (
    Advice(
        name="kaniko-container",
        symptom="kaniko does not see that it is in a container",
        programs="kaniko",
        examples=("kaniko should only be run inside of a container, run with the --force flag if you are sure",),
        marks=("kaniko should only be run inside of a container",),
        cause="its test for a container fails, as with cgroup v2 or a new container runtime",
        fix="set the environment variable container=docker for the step; or, if it is in a container, give kaniko "
        "its flag --force, as buildpush does",
        type="ConfigurationFailure",
    ),
    Advice(
        name="disk",
        symptom="the disk is full",
        programs="every engine",
        examples=(
            "write /var/lib/docker/tmp/GetImageBlob1: no space left on device",
            "write /tmp/layer: disk quota exceeded",
        ),
        marks=("no space left on device", "disk quota exceeded"),
        cause="layers, a cache or an archive fill the disk of the daemon or of the temporary directory; buildah with "
        "the vfs driver copies every layer",
        fix="docker system df shows what Docker keeps, docker system prune frees it; give the step a larger volume, "
        "set TMPDIR, list in .dockerignore what the image does not need, or take a smaller base image",
        type="ResourceLimitsFailure",
    ),
    Advice(
        name="memory",
        symptom="killed: out of memory",
        programs="kaniko, and every engine",
        examples=(
            "command terminated with exit code 137",
            "Last State: Terminated, Reason: OOMKilled",
            "error building image: waiting for process to exit: signal: killed",
            'process "/bin/sh -c make" did not complete successfully: exit code: 137',
            "The node was low on resource: memory.",
        ),
        marks=(
            *("exit code 137", "exit code: 137", "exit status 137", "exited with code 137"),
            *("oomkilled", "signal: killed", "low on resource"),
        ),
        cause="the step took more memory than its limit; Harness' default of 500Mi is often too little for snapshots",
        fix="raise resources.limits.memory; with kaniko set PLUGIN_COMPRESSED_CACHING=false, PLUGIN_SINGLE_SNAPSHOT or "
        "PLUGIN_USE_NEW_RUN, and leave PLUGIN_REPRODUCIBLE out",
        type="ResourceLimitsFailure",
    ),
    Advice(
        name="busy-path",
        symptom="a path of the base image is busy or read-only",
        programs="kaniko",
        examples=(
            (
                "error building image: failed to get filesystem from image: error removing ./ to make way for link: "
                "unlinkat //run/secrets: device or resource busy"
            ),
            "mkdir /var/run/secrets: read-only file system",
        ),
        marks=("device or resource busy", "read-only file system"),
        cause="the base image writes to a path at which something is mounted into the container",
        fix="mount it elsewhere, or set PLUGIN_IGNORE_PATH to that path",
        type="ConfigurationFailure",
    ),
    Advice(
        name="architecture",
        symptom="exec format error",
        programs="every engine",
        examples=(
            "exec /bin/sh: exec format error",
            ".buildkit_qemu_emulator: /bin/sh: Exec format error",
        ),
        marks=("exec format error",),
        cause="the program is for another architecture than the machine that runs it",
        fix="build on a machine of that architecture, or with buildx and emulation (docker run --privileged "
        "tonistiigi/binfmt --install all); kaniko's custom platform only chooses the base image",
        type="ConfigurationFailure",
    ),
    Advice(
        name="clipped-log",
        symptom="the log is cut",
        programs="BuildKit, Harness",
        examples=("#12 84.21 [output clipped, log limit 2MiB reached]",),
        marks=("output clipped, log limit",),
        cause="BuildKit shows only a part of what a RUN prints, and Harness shows 25 KB of a line and 5 MB of a step",
        fix="make the command print less, or write its output to a file; buildpush keeps the whole log of its engine "
        "in logs of the state directory",
        fails=False,
    ),
    Advice(
        name="expired",
        symptom="the step has expired",
        programs="Harness, buildpush, every engine",
        examples=(
            "Step BuildAndPush status: EXPIRED",
            "the step took longer than the timeout of 600 seconds",
            "failed to solve: context deadline exceeded",
        ),
        marks=(
            *("status: expired", "status expired", "state expired", "step expired", "stage expired"),
            *("took longer than", "context deadline exceeded"),
        ),
        cause="a time limit was reached",
        fix="raise timeout; a cache and a smaller context make the step faster",
        type="Timeout",
    ),
)
