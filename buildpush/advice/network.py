"""Messages about hosts, certificates and daemons."""

# Flags of other programs in this module's texts: any

from __future__ import annotations

from typing import Final

from buildpush.advice.row import Advice

NETWORK: Final = (
    Advice(
        name="certificate",
        symptom="the certificate is not trusted",
        programs="every engine",
        examples=(
            'Get "https://reg.corp/v2/": tls: failed to verify: x509: certificate signed by unknown authority',
            'Get "https://reg.corp/v2/": x509: certificate is valid for reg.local, not reg.corp',
        ),
        marks=("x509:",),
        cause="the registry's certificate is of a private authority or for another name, has expired, "
        "or a proxy replaces it with its own",
        fix="trust the authority: docker reads it from /etc/docker/certs.d/HOST, the plugins by HARNESS_CA_PATH, "
        "kaniko by its flag --registry-certificate HOST=PATH, a buildx builder in the ca entry of its configuration, "
        "and buildpush itself by HARNESS_CA_PATH in the file, or SSL_CERT_FILE in the environment; to skip the check, "
        "set PLUGIN_INSECURE for the registry of the push, and PLUGIN_INSECURE_REGISTRY for the host of base images",
        type="Connectivity",
    ),
    Advice(
        name="plain-http",
        symptom="the registry speaks HTTP without TLS",
        programs="every engine",
        examples=('Get "https://localhost:5000/v2/": http: server gave HTTP response to HTTPS client',),
        marks=("server gave http response to https client",),
        cause="the registry has no TLS, and the program insists on it unless told otherwise",
        fix="set PLUGIN_INSECURE for the registry of the push, and PLUGIN_INSECURE_REGISTRY for that of base images, "
        "which works with native, buildah and kaniko; Docker's daemon has insecure-registries",
        type="Connectivity",
    ),
    Advice(
        name="rate-limit",
        symptom="too many requests",
        programs="every engine",
        examples=(
            "toomanyrequests: You have reached your unauthenticated pull rate limit.",
            "unexpected status from HEAD request to https://registry-1.docker.io/v2/: 429 Too Many Requests",
        ),
        marks=("toomanyrequests", "429 too many requests", "pull rate limit"),
        cause="Docker Hub counts pulls without a login by address, and your network shares one",
        fix="set baseImageConnectorRefs for Docker Hub, or take base images from a remote repository of Artifactory "
        "or a mirror (PLUGIN_MIRROR; PLUGIN_REGISTRY_MIRRORS for kaniko); a builder of the docker-container driver "
        "asks for mirrors in its BuildKit configuration, and not in the daemon's",
        type="RetryableTransientFailure",
    ),
    Advice(
        name="parallel-daemons",
        symptom="two Docker daemons in one pod",
        programs="docker, buildx",
        examples=(
            (
                "failed to start daemon, ensure docker is not running or delete /var/run/docker.pid: process with "
                "PID 24 is still running"
            ),
            "can't create unix socket /var/run/docker.sock: bind: address already in use",
            "failed to load listeners: listen tcp 127.0.0.1:2375: bind: address already in use",
            'ERROR: no builder "buildx-1" found',
        ),
        marks=(
            *("docker.pid", "docker.sock: bind: address already in use", "failed to load listeners…already in use"),
            "no builder …found",
        ),
        cause="steps of one stage share a pod, and each starts its own Docker daemon",
        fix="let them share one daemon, such as a Docker-in-Docker service in the background, or run the steps one "
        "after the other, or in separate stages; buildpush starts no daemon",
        type="ConfigurationFailure",
    ),
    Advice(
        name="no-daemon",
        symptom="the Docker daemon does not answer",
        programs="docker, buildx",
        examples=(
            "Unable to reach Docker Daemon after 15 attempts.",
            "ERROR: Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?",
        ),
        marks=("unable to reach docker daemon after", "cannot connect to the docker daemon"),
        cause="the daemon has not started (its container is not privileged), is slow, or its socket is not mounted",
        fix="use a privileged pod or a Docker-in-Docker service, or mount the socket; wait until docker info "
        "answers; or use an engine without a daemon, such as native or buildah",
        type="Connectivity",
    ),
    Advice(
        name="plugin-image",
        symptom="the image of the plugin cannot be pulled",
        programs="Kubernetes",
        examples=(
            'Back-off pulling image "plugins/kaniko:1.10.4": ErrImagePull',
            "Reason: ImagePullBackOff",
        ),
        marks=("errimagepull", "imagepullbackoff"),
        cause="the cluster cannot reach the registry of the plugin's image, or is limited there",
        fix="mirror the image, and give the step or the account a connector from which it is pulled",
        type="PluginImageFailure",
    ),
    Advice(
        name="dns",
        symptom="a host name cannot be resolved",
        programs="every engine; docker and buildx with a daemon inside a container",
        examples=(
            "dial tcp: lookup acme.jfrog.io on 127.0.0.11:53: no such host",
            "Temporary failure resolving 'deb.debian.org'",
            "curl: (6) Could not resolve host: pypi.org",
        ),
        marks=(
            *("no such host", "temporary failure resolving", "temporary failure in name resolution"),
            *("could not resolve host", "server misbehaving"),
        ),
        cause="the name is wrong, or the network of a daemon inside a container has no DNS; a download that hangs "
        "there usually has an MTU larger than the network's",
        fix="check the name; set dns and mtu in the /etc/docker/daemon.json of that daemon, or take a builder in the "
        "network of the host; PLUGIN_ADD_HOST gives RUN the address of a single host",
        type="Connectivity",
    ),
    Advice(
        name="interruption",
        symptom="a server fails for a moment",
        programs="every engine",
        examples=(
            "unexpected status from PUT request to https://acme.jfrog.io/v2/docker/app/blobs/: 502 Bad Gateway",
            "write tcp 10.0.0.2:4711->10.0.0.9:443: write: connection reset by peer",
            "net/http: TLS handshake timeout",
            "dial tcp 10.0.0.9:443: i/o timeout",
            'Put "https://acme.jfrog.io/v2/docker/app/blobs/uploads/1": EOF',
        ),
        marks=(
            *("500 internal server error", "502 bad gateway", "503 service unavailable", "504 gateway"),
            *("connection reset by peer", "tls handshake timeout", "i/o timeout", "unexpected eof", '": eof'),
        ),
        cause="the registry, or a proxy in between, was overloaded or closed the connection",
        fix="run it again; kaniko tries again as often as PLUGIN_PUSH_RETRY says, the other plugins do not, and "
        "buildpush does by itself; if it keeps failing, ask the registry's operators about the limits of its proxies",
        type="RetryableTransientFailure",
    ),
)
