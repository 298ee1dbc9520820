"""Messages about logins and rights."""

# Flags of other programs in this module's texts: any

from __future__ import annotations

from typing import Final

from buildpush.advice.row import Advice

ACCESS: Final = (
    Advice(
        name="kaniko-login-file",
        symptom="kaniko cannot write its login file",
        programs="kaniko",
        examples=(
            "failed to create docker config file: open /kaniko/.docker/config.json: permission denied",
            "failed to create docker config file: open/kaniko/ .docker/config.json: permission denied",
        ),
        marks=("kaniko/…docker/config.json…permission…denied",),
        cause="the container of the step does not run as root, and kaniko writes below /kaniko",
        fix="set runAsUser: 0 for this step; where the cluster forbids root, build with buildah or rootless BuildKit",
        type="ConfigurationFailure",
    ),
    Advice(
        name="kaniko-username",
        symptom="kaniko has no user name",
        programs="kaniko",
        examples=("Username must be specified for registry: https://index.docker.io/v1/",),
        marks=("username must be specified for registry",),
        cause="the step pushes, and has no user and password for that registry",
        fix="give both, by connectorRef or by PLUGIN_USERNAME and PLUGIN_PASSWORD; or set PLUGIN_NO_PUSH",
        type="Authentication",
    ),
    Advice(
        name="guest-mode",
        symptom="no credentials: guest mode",
        programs="docker, buildx",
        examples=("Registry credentials or Docker config not provided. Guest mode enabled.",),
        marks=("docker config not provided. guest mode enabled",),
        cause="the connector has no credentials, or a secret of it was not found; the push will be denied",
        fix="check connectorRef and its secrets; where nothing is pushed, ignore the line",
        type="Authentication",
    ),
    Advice(
        name="base-login",
        symptom="the login of the base image is refused",
        programs="docker, buildx",
        examples=("Error authenticating base connector: exit status 1",),
        marks=("error authenticating base connector",),
        cause="the login for base images is refused; the login for the push is a different one",
        fix="check user and password of the connector that baseImageConnectorRefs names",
        type="Authentication",
    ),
    Advice(
        name="kaniko-push-check",
        symptom="kaniko may not push",
        programs="kaniko",
        examples=(
            (
                "error checking push permissions -- make sure you entered the correct tag name, and that you are"
                ' authenticated correctly, and try again: checking push permission for "acme.jfrog.io/docker/app:1": '
                "creating push check transport for acme.jfrog.io failed: GET https://acme.jfrog.io/v2/: UNAUTHORIZED"
            ),
        ),
        marks=("error checking push permissions",),
        cause="before it builds, kaniko begins an upload, and that was refused: login, repository or certificate",
        fix="read the end of the line: a login (UNAUTHORIZED), rights or a repository that does not exist (DENIED, "
        "NAME_UNKNOWN), or a certificate (x509); PLUGIN_SKIP_PUSH_PERMISSION_CHECK only postpones the failure",
        type="Authorization",
    ),
    Advice(
        name="cache-repository",
        symptom="the cache repository is refused",
        programs="kaniko",
        examples=(
            (
                "WARN[0014] error uploading layer to cache: failed to push to destination acme.jfrog.io/cache:9458c2: "
                "unexpected status code 401 Unauthorized"
            ),
        ),
        marks=("error uploading layer to cache",),
        cause="the repository of the cache is on another host, does not exist, or may not be written to; "
        "the build continues without a cache",
        fix="create the repository, and give the step's account the right to deploy there; for hits, order the "
        "Dockerfile from what seldom changes to what often does, and set PLUGIN_CACHE_COPY_LAYERS for COPY",
        type="Authentication",
        fails=False,
    ),
    Advice(
        name="same-host",
        symptom="the credentials of another account are used",
        programs="docker, buildx, buildah, kaniko",
        examples=(),
        marks=(),
        cause="a login file has one login per host: the second login to a host replaces the first, "
        "so base image and push cannot use different accounts there",
        fix="give one account the rights of both, use two hosts, such as two subdomains of JFrog, or split the step",
        type="Authentication",
    ),
    Advice(
        name="overwrite",
        symptom="an existing tag may not be overwritten",
        programs="Artifactory and other registries, with every engine",
        examples=(
            "manifest invalid: tag 1.4 is immutable and cannot be overwritten",
            (
                "error pushing image: PUT https://acme.jfrog.io/v2/docker/app/manifests/1.4: MANIFEST_INVALID: "
                "manifest invalid; map[description:Not enough permissions to delete/overwrite 'docker/app/1.4']"
            ),
        ),
        marks=(
            *("manifest_invalid", "manifest invalid", "tag…immutable", "immutable…tag"),
            *("delete/overwrite", "cannot be overwritten"),
        ),
        cause="the tag exists, and this account may not overwrite it, or the repository's tags are immutable",
        fix="use a new tag for each run, such as <+pipeline.sequenceId>, or give the account the right to overwrite",
        type="Authorization",
    ),
    Advice(
        name="secret-as-argument",
        symptom="a secret is given as a build argument",
        programs="BuildKit",
        examples=(' - SecretsUsedInArgOrEnv: Do not use ARG or ENV instructions for sensitive data (ARG "NPM_TOKEN")',),
        marks=("secretsusedinargorenv",),
        cause="build arguments stay readable in the image, through docker history, and in the log of the command",
        fix="give it by envDockerSecrets, and read it with RUN --mount=type=secret; then change the secret",
        fails=False,
    ),
    Advice(
        name="denied",
        symptom="denied, or 403",
        programs="every engine",
        examples=(
            "denied: requested access to the resource is denied",
            "unexpected status from HEAD request to https://acme.jfrog.io/v2/docker/app/blobs/sha256:ab: 403 Forbidden",
            "pull access denied for acme/app, repository does not exist or may require 'docker login'",
        ),
        marks=(
            *("requested access to the resource is denied", "403 forbidden", "status code 403", "pull access denied"),
            *("insufficient_scope", "insufficient scope"),
        ),
        cause="the account has no permission there, or the path is wrong; a repo without a host belongs to Docker Hub",
        fix="check host and repository key of repo and the account's right to deploy; in Artifactory push to a local "
        "repository, or to a virtual one with a default deployment repository, never to a remote one",
        type="Authorization",
    ),
    Advice(
        name="unauthorized",
        symptom="unauthorized, or 401",
        programs="every engine",
        examples=(
            "unauthorized: authentication required",
            "GET https://acme.jfrog.io/v2/token: UNAUTHORIZED: The client does not have permission; status code 401",
            "failed to authorize: failed to fetch oauth token: unexpected status: 401 Unauthorized",
        ),
        marks=("unauthorized", "authentication required", "status code 401", "incorrect username or password"),
        cause="the registry got no credential, or one that is wrong or has expired, or that of another host",
        fix="compare the host of repo with the host that the credential is for, then user, password and the secret's "
        "identifier; an Artifactory password that has expired has to be changed in its pages first",
        type="Authentication",
    ),
)
