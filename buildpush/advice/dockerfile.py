"""Messages about the Dockerfile and its context."""

# Flags of other programs in this module's texts: any

from __future__ import annotations

from typing import Final

from buildpush.advice.row import Advice

DOCKERFILE: Final = (
    Advice(
        name="no-dockerfile",
        symptom="the Dockerfile is not found",
        programs="every engine",
        examples=(
            "dockerfile does not exist at path: /harness/Dockerfile",
            "ERROR: failed to solve: failed to read dockerfile: open Dockerfile: no such file or directory",
            (
                "unable to prepare context: unable to evaluate symlinks in Dockerfile path: lstat /src/Dockerfile: "
                "no such file or directory"
            ),
            "Error: the specified Containerfile or Dockerfile does not exist, no such file or directory",
            (
                "Error: cannot find Containerfile or Dockerfile in context directory: stat /src/Dockerfile: no such "
                "file or directory"
            ),
        ),
        marks=(
            *("dockerfile does not exist", "failed to read dockerfile", "symlinks in dockerfile path"),
            *("no containerfile or dockerfile", "cannot find containerfile or dockerfile"),
        ),
        cause="the path is relative to another directory than intended, belongs to another clone, or differs in case",
        fix="write it relative to the workspace, in Harness /harness; COPY paths are relative to the context",
        type="ConfigurationFailure",
    ),
    Advice(
        name="copy-source",
        symptom="a file to copy is not in the context",
        programs="every engine",
        examples=(
            "COPY failed: file not found in build context or excluded by .dockerignore: stat app: file does not exist",
            (
                "ERROR: failed to solve: failed to compute cache key: failed to calculate checksum of ref 1::2: "
                '"/app": not found'
            ),
            (
                "error building image: error building stage: failed to get files used from context: "
                "failed to get fileinfo for /workspace/app.jar: lstat /workspace/app.jar: no such file or directory"
            ),
            (
                'Error: building at STEP "COPY app.jar /": checking on sources under "/src": copier: stat: "/app.jar": '
                "no such file or directory"
            ),
        ),
        marks=(
            *("copy failed:", "add failed:", "failed to calculate checksum of ref", "failed to get fileinfo for"),
            *("checking on sources under", "no items matching glob"),
        ),
        cause="the path is relative to another context than intended, or a line of .dockerignore leaves it out",
        fix="write the path relative to the context, or choose another context; buildpush check names a line of "
        ".dockerignore, and buildpush doctor LOG, in the directory of the context, what is like the path there",
        type="ConfigurationFailure",
    ),
    Advice(
        name="volume",
        symptom="files below a VOLUME are missing in the image",
        programs="kaniko",
        examples=(
            "INFO[0003] Adding volume /data to ignorelist",
            "Dockerfile:4: RunIntoVolume: RUN writes into the volume /data",
        ),
        marks=("adding volume …to ignorelist", "adding volume …to whitelist", "runintovolume"),
        cause="what is written below a VOLUME after that instruction is not part of the image",
        fix="write the files before VOLUME, move VOLUME to the end or leave it out, or build with buildx",
        type="ConfigurationFailure",
        fails=False,
    ),
    Advice(
        name="buildkit-flag",
        symptom="a flag requires BuildKit",
        programs="docker without BuildKit",
        examples=("the --mount option requires BuildKit. Refer to https://docs.docker.com/go/buildkit/ to learn how",),
        marks=("option requires buildkit",),
        cause="the daemon's own builder is in use, which does not support the flag",
        fix="set DOCKER_BUILDKIT=1, or use engine: buildx",
        type="ConfigurationFailure",
    ),
    Advice(
        name="old-builder",
        symptom="the builder does not support this syntax",
        programs="kaniko, docker without BuildKit, old versions of buildah",
        examples=(
            "error building image: parsing dockerfile: Dockerfile parse error line 5: unknown flag: mount",
            "Dockerfile parse error line 7: unknown instruction: <<EOF",
        ),
        marks=("unknown flag: mount", "unknown instruction"),
        cause="a typing error, or RUN --mount or a here-document, for which the builder is too old",
        fix="write the line without it, take a newer builder, such as a maintained fork of kaniko, or engine: buildx",
        type="ConfigurationFailure",
    ),
    Advice(
        name="comma-in-argument",
        symptom="a build argument is split at a comma",
        programs="docker, buildx, kaniko",
        examples=("[Warning] One or more build-args [b] were not consumed",),
        marks=("one or more build-args",),
        cause="the Dockerfile has no ARG of that name; often the value before it held a comma, at which the plugins "
        "cut a list of arguments",
        fix="add the ARG, or set PLUGIN_MULTIPLE_BUILD_ARGS with PLUGIN_BUILD_ARGS_NEW; in YAML, a map needs neither",
        type="ConfigurationFailure",
        fails=False,
    ),
)
