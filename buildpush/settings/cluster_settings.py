"""The settings of a build in a cluster of Kubernetes; a table, not logic."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Literal

from buildpush.settings.declare import setting
from buildpush.settings.kinds import Duration, FileText, PinnedReference, Text, Texts
from buildpush.settings.plugin_settings import PluginSettings

_cluster = partial(setting, group="Cluster", honoured_by="run", place="env")


class ClusterSettings(PluginSettings):
    """Where a build runs, and what its Job in a cluster is given."""

    place: Literal["here", "container", "kubernetes"] = _cluster(
        "Where the engine runs: on this machine, in a container on it, or in a Job of a Kubernetes cluster.",
        "The engines `kaniko`, `buildah` and `native` can run in a Job, which pushes from the cluster. The context is "
        "sent into it; what `.dockerignore` leaves out stays here. The cluster is the one that `kubectl` would use. "
        "Inside a pod, without this setting and with `engine: auto`, a step is built in a Job of the pod's cluster "
        "where the pod's account may make Jobs and an image for kaniko or buildah is given; else in the pod. Only the "
        "engine `kaniko` runs in a container, and does so anyway: `container` chooses it.",
        default="here",
        example="kubernetes",
    )
    kube_context: Text | None = _cluster(
        "The context of the kubeconfig that names the cluster; the current one by default.",
        "The files are those of `KUBECONFIG`, or `~/.kube/config`; in a pod without them, its own cluster is used.",
        example="builds",
    )
    namespace: Text | None = _cluster(
        "The namespace that Jobs are made in; that of the context by default.",
        example="ci",
    )
    service_account: Text | None = _cluster(
        "The service account that the pods of Jobs run as; the namespace's own by default.",
        "It needs no rights: its token is not mounted. What this program itself needs is in "
        "`examples/kubernetes/role.yaml`.",
        example="builder",
    )
    image_pull_secrets: Texts = _cluster(
        "Secrets of the namespace with logins for the images that the pods are made of.",
        "Base images are pulled by the engine, with the credentials of the step.",
        default=(),
        example=("registry-login",),
    )
    executor_image: PinnedReference | None = _cluster(
        "Image with the program of the {setting}`engine`, for its Job, pinned by its digest.",
        "It holds buildah, or buildpush for the engine `native`. kaniko's is {setting}`kaniko_image`.",
        example="acme.jfrog.io/docker-remote/buildah@sha256:" + 4 * "0123456789abcdef",
    )
    receiver_image: PinnedReference | None = _cluster(
        "Image that receives the context in the pod: it needs `sh`, `gzip` and `tar`.",
        "By default it is {setting}`pusher_image`, or else the image of the engine; kaniko's executor has no shell, "
        "and needs another one.",
        example="acme.jfrog.io/docker-remote/busybox@sha256:" + 4 * "0123456789abcdef",
    )
    pusher_image: PinnedReference | None = _cluster(
        "Image of this program, as `examples/plugin` builds it, that pushes what {setting}`engine` has built in a Job.",
        "The engine then hands its image over inside the pod, and gets a login for the registry that is pushed to only "
        "if it pulls from there; a push that breaks is retried and goes on where it was. Without it, kaniko and "
        "buildah push by themselves. The engine `native` is this program.",
        example="acme.jfrog.io/docker-remote/buildpush@sha256:" + 4 * "0123456789abcdef",
    )
    job_template: FileText | None = _cluster(
        "A YAML file that is merged into each Job: node selectors, tolerations, annotations, volumes.",
        "Maps are merged, lists whose items have names by these, and `null` removes an entry. The container that "
        "builds is named `build`, the one that receives the context `receive`, and the one of {setting}`pusher_image` "
        "`push`; each may be in either list of containers. The server refuses fields that it does not know.",
        example="job.yaml",
    )
    job_patience: Duration = _cluster(
        "How long a Job may wait for a node, or for room in a quota, before the step fails.",
        "A node that no longer answers is waited for as long as this.",
        default=timedelta(minutes=10),
        example="30m",
    )
    job_time_to_live: Duration = _cluster(
        "How long the cluster keeps a Job that a killed run left, after the Job's end.",
        "A run that ends by itself, or by Ctrl-C, deletes its Jobs.",
        default=timedelta(minutes=10),
        example="1h",
    )
