"""Messages about names, tags, flags and the work of a step."""

# Flags of other programs in this module's texts: any

from __future__ import annotations

from typing import Final

from buildpush.advice.row import Advice

NAMES: Final = (
    Advice(
        name="no-destination",
        symptom="kaniko has no destination",
        programs="kaniko",
        examples=("Error: you must provide --destination, or use --no-push",),
        marks=("you must provide --destination",),
        cause="no repository or no tag reached the executor: an expression of tags or repo was empty",
        fix="check what tags and repo resolve to, with buildpush check; or set PLUGIN_NO_PUSH",
        type="ConfigurationFailure",
    ),
    Advice(
        name="no-repository",
        symptom="the repository is empty",
        programs="kaniko",
        examples=("repository name to publish image must be specified",),
        marks=("repository name to publish image must be specified",),
        cause="repo is empty, and the step pushes",
        fix="set repo, or PLUGIN_NO_PUSH",
        type="ConfigurationFailure",
    ),
    Advice(
        name="cache-without-repository",
        symptom="a cache without a repository",
        programs="kaniko",
        examples=("Error: if using cache with --no-push, specify cache repo with --cache-repo",),
        marks=("specify cache repo with --cache-repo",),
        cause="where nothing is pushed, kaniko has no repository for its cache",
        fix="set remoteCacheRepo, or leave the cache out",
        type="ConfigurationFailure",
    ),
    Advice(
        name="cache-manifest",
        symptom="the registry does not accept the manifest of the cache",
        programs="buildx",
        examples=(
            (
                "ERROR: failed to solve: error writing manifest blob: unexpected status from PUT request to "
                "https://acme.jfrog.io/v2/docker/app/manifests/cache: 400 Bad Request"
            ),
        ),
        marks=("error writing manifest blob",),
        cause="buildx exports the cache as an index of layers, which that registry does not support",
        fix="add image-manifest=true,oci-mediatypes=true to cacheTo, or use a newer version of the registry",
        type="ConfigurationFailure",
    ),
    Advice(
        name="attestations",
        symptom="the registry does not accept what buildx adds",
        programs="buildx, with an older Artifactory",
        examples=(
            "unexpected status from PUT request to https://acme.jfrog.io/v2/docker/app/manifests/1: 400 Bad Request",
        ),
        marks=("/manifests/…: 400 bad request",),
        cause="buildx pushes an index with attestations, which that version does not support",
        fix="give buildx --provenance=false and --sbom=false, or use a newer Artifactory; "
        "buildpush pushes without attestations",
        type="ConfigurationFailure",
    ),
    Advice(
        name="cache-export",
        symptom="this builder cannot export a cache",
        programs="buildx",
        examples=(
            "ERROR: Cache export is not supported for the docker driver.",
            "error: cache export feature is currently not supported for docker driver",
        ),
        marks=("cache export …not supported",),
        cause="cacheTo is set, and the builder is the daemon's own, of the docker driver",
        fix="create a builder with docker buildx create --driver docker-container --use, or use Docker's containerd "
        "image store",
        type="ConfigurationFailure",
    ),
    Advice(
        name="load-several-platforms",
        symptom="several platforms cannot be loaded",
        programs="buildx",
        examples=("ERROR: docker exporter does not currently support exporting manifest lists",),
        marks=("does not currently support exporting manifest lists",),
        cause="Docker's daemon holds an image for one platform, and the step loads one for several",
        fix="push it instead, write an OCI archive, or build for one platform",
        type="ConfigurationFailure",
    ),
    Advice(
        name="no-digest",
        symptom="the digest is not known",
        programs="buildx plugin",
        examples=("Could not fetch the digest. metadata file is empty",),
        marks=("could not fetch the digest",),
        cause="PLUGIN_ARTIFACT_FILE is set, and PLUGIN_METADATA_FILE, from which the plugin reads the digest, is not",
        fix="set PLUGIN_METADATA_FILE; buildpush has the digest from its own push",
        fails=False,
    ),
    Advice(
        name="auto-tag",
        symptom="no tag is made from the branch or the Git tag",
        programs="docker, buildx, buildah, kaniko",
        examples=(
            "Invalid semantic version when auto detecting the tag",
            "cannot build docker image for refs/heads/feature, invalid semantic version when auto detecting the tag",
            "skipping automated docker build for refs/heads/feature",
        ),
        marks=("when auto detecting the tag", "skipping automated docker build"),
        cause="the Git tag is not a semantic version, or the branch is not the default one; "
        "the docker plugin then ends with success, but without an image",
        fix="name the tag as 1.2.3, or turn auto-tag off and set tags",
        type="ConfigurationFailure",
    ),
    Advice(
        name="auto-and-expand-tag",
        symptom="auto-tag and expand-tag together",
        programs="kaniko",
        examples=("The auto-tag flag conflicts with the expand-tag flag",),
        marks=("auto-tag flag conflicts with the expand-tag flag",),
        cause="PLUGIN_AUTO_TAG and PLUGIN_EXPAND_TAG are both on",
        fix="keep one of them",
        type="ConfigurationFailure",
    ),
    Advice(
        name="push-only-without-image",
        symptom="the image to push is not in the daemon",
        programs="docker, buildx",
        examples=("source image acme.jfrog.io/docker/app:1 not found, cannot push",),
        marks=("source image …not found, cannot push",),
        cause="PLUGIN_PUSH_ONLY pushes an image of the daemon, and this daemon does not have it",
        fix="build or load the image first, with the same daemon; each step of a stage may have its own",
        type="ConfigurationFailure",
    ),
    Advice(
        name="push-only-conflict",
        symptom="push and no push together",
        programs="docker, buildx, kaniko",
        examples=(
            "Inputs no-push and push-only cannot be used together. Please define only one.",
            "conflict: push-only and dry-run cannot be used together",
        ),
        marks=("no-push and push-only", "dry-run and push-only", "push-only and no-push", "push-only and dry-run"),
        cause="PLUGIN_PUSH_ONLY is on, and so is PLUGIN_NO_PUSH or PLUGIN_DRY_RUN",
        fix="remove one of them",
        type="ConfigurationFailure",
    ),
    Advice(
        name="no-archive",
        symptom="the archive to push is missing",
        programs="kaniko",
        examples=(
            "source_tar_path is required when push_only is set",
            "image tarball does not exist at path: /harness/image.tar",
        ),
        marks=("source_tar_path is required", "image tarball does not exist at path"),
        cause="PLUGIN_PUSH_ONLY pushes the archive at PLUGIN_SOURCE_TAR_PATH, which is not set or does not exist",
        fix="name the archive of the earlier build, in a directory that both steps share",
        type="ConfigurationFailure",
    ),
    Advice(
        name="null-value",
        symptom="null value error before Initialize",
        programs="Harness",
        examples=("null value error before Initialize",),
        marks=("null value error",),
        cause="an expression in the infrastructure of the stage has no value yet when the stage starts",
        fix="use only values there that are known at the start of the stage, such as pipeline variables",
        type="ConfigurationFailure",
    ),
    Advice(
        name="email",
        symptom="unknown shorthand flag at the login",
        programs="docker, buildx, buildah",
        examples=("unknown shorthand flag: 'e' in -e",),
        marks=("unknown shorthand flag: 'e' in -e",),
        cause="PLUGIN_EMAIL is set, but current programs have no flag for it when they log in",
        fix="remove PLUGIN_EMAIL",
        type="ConfigurationFailure",
    ),
    Advice(
        name="build-info-without-manifest",
        symptom="the build-info step does not find the image",
        programs="build-info plugin",
        examples=(
            "no manifest.json found for docker-local/app/1",
            "AQL query returned no results: manifest.json",
        ),
        marks=("no manifest.json", "manifest.json…not found", "aql…no results"),
        cause="the image is for several platforms (Artifactory keeps list.manifest.json), was pushed elsewhere, or the "
        "plugin read another host from docker_image: one with a port, or with fewer than two dots",
        fix="check docker_image; run the step with buildpush, which reads all platforms, ports and short hosts",
        type="ConfigurationFailure",
    ),
    Advice(
        name="invalid-reference",
        symptom="invalid reference format",
        programs="every engine",
        examples=(
            (
                'invalid argument "acme.jfrog.io/Docker/App:1" for "-t, --tag" flag: invalid reference format: '
                "repository name must be lowercase"
            ),
            'ERROR: invalid tag "acme.jfrog.io/docker/app:": invalid reference format',
        ),
        marks=("invalid reference format", "must be lowercase"),
        cause="the name has capitals, an empty tag, two slashes or a tag with a slash, or holds an expression",
        fix='write repo in lower case (.toLowerCase()), and make a tag of a branch by .replace("/", "-")',
        type="ConfigurationFailure",
    ),
    Advice(
        name="no-such-repository",
        symptom="name unknown, or 404",
        programs="Artifactory, with every engine",
        examples=(
            "name unknown: The repository with name 'app' does not exist in the registry",
            "unexpected status from POST request to https://acme.jfrog.io/v2/dockr/app/blobs/uploads/: 404 Not Found",
        ),
        marks=("name unknown", "name_unknown", "repository not found", "/v2/…404 not found"),
        cause="there is no repository with that key, or its address needs the other form: a path or a subdomain",
        fix="compare with Set Me Up in Artifactory's pages; by path it is HOST/REPOSITORY-KEY/IMAGE",
        type="ConfigurationFailure",
    ),
)
