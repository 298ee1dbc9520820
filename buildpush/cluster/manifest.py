"""The documents that a build sends to the cluster: a Job, and the Secret that it owns.

The Job is created suspended, since the Secret needs its uid: a pod that starts first would wait for its volume.
"""

from __future__ import annotations

import base64
import shlex
from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import field
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Any, Final

from buildpush.foundation.errors import ClusterError
from buildpush.foundation.records import dataclass
from buildpush.foundation.secrets import Secret
from buildpush.places import FILES, FileContent

# An object of the API, as JSON.
Document = dict[str, Any]

RUN_LABEL: Final = "buildpush.dev/run"
JOB_LABEL: Final = "buildpush.dev/job"
REQUEST_LABEL: Final = "buildpush.dev/request"
MACHINE_LABEL: Final = "buildpush.dev/machine"
PROCESS_NOTE: Final = "buildpush.dev/process"
RECEIVE: Final = "receive"
BUILD: Final = "build"
PUSH: Final = "push"
_LISTS: Final = "initContainers", "containers"
WHOLE: Final = ".whole"  # in the volume once the whole context is there
_MANAGED: Final = {"app.kubernetes.io/managed-by": "buildpush"}
OURS: Final = f"app.kubernetes.io/managed-by=buildpush,{RUN_LABEL}"  # selects what any run has made
# Nothing in the pod has to be saved, and a shell waits for its child without hearing that it should end.
_GRACE_SECONDS: Final = 3
_WORK, _PRIVATE = "work", "private"
# The variable of a word of the command that only the Secret has: everybody who may read Jobs sees their commands.
HIDDEN: Final = "BUILD_ARG_"
# A Secret holds at most this much, whatever is in it.  Source: seen with Kubernetes 1.34.
_LARGEST_SECRET: Final = 1_048_576


@dataclass(frozen=True, slots=True)
class Limits:
    """What the container of a build may do and use.

    Attributes:
        user: ID of the user that it runs as; the image's own by default.
        memory: maximum bytes.
        cores: maximum number of processor cores.
        requested_memory: bytes that a node must have free.
        requested_cores: cores that a node must have free.
        privileged: whether it has all privileges.
    """

    user: int | None = None
    memory: int | None = None
    cores: float | None = None
    requested_memory: int | None = None
    requested_cores: float | None = None
    privileged: bool = False


@dataclass(frozen=True, slots=True)
class PodContainer:
    """A command, and what it gets; the attributes are those of :class:`JobSpec`."""

    image: str
    argv: tuple[str, ...] = field(repr=False)
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    files: Mapping[str, FileContent] = field(default_factory=dict, repr=False)
    home: bool = True


@dataclass(frozen=True, slots=True)
class JobSpec:
    """A command to run in a Job.

    Attributes:
        image: that holds its program.
        argv: program and arguments; :data:`~buildpush.places.FILES` in them is the directory of the private files.
        receiver: image with ``sh``, ``gzip`` and ``tar``, which unpacks the context.
        env: variables of the command; the cluster keeps their values in the Secret. A word of *argv* that is the value
            of a variable whose name begins with :data:`HIDDEN` stands in the Secret only.
        files: private files.
        work: directory that the context is unpacked into, and that the command may write to.
        limits: of its container.
        home: whether HOME is set to the directory, for images whose user has none.
        request: identifies what is built, so that a later run finds the Job.
        capabilities: what it needs where it does not run as root, such as SETUID; all others are dropped. With none, it
            keeps the policy "restricted"; ``None`` for the usual ones.
        push: what sends the image once it is built; ``None`` where the command itself does.
    """

    image: str
    argv: tuple[str, ...] = field(repr=False)
    receiver: str
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    files: Mapping[str, FileContent] = field(default_factory=dict, repr=False)
    work: str = "/workspace"
    limits: Limits = Limits()
    home: bool = False
    request: str = ""
    capabilities: tuple[str, ...] | None = None
    push: PodContainer | None = None

    @property
    def private(self) -> str:
        """The directory of the private files; each container sees its own there."""
        return f"{self.work}/private"

    @property
    def containers(self) -> dict[str, PodContainer]:
        """What runs once the context is there, by name: one after the other."""
        build = PodContainer(self.image, self.argv, self.env, self.files, self.home)
        return {BUILD: build, **({PUSH: self.push} if self.push else {})}

    @property
    def has_secret(self) -> bool:
        """Whether any of them has private files or variables."""
        return any(one.files or one.env for one in self.containers.values())


@dataclass(frozen=True, slots=True)
class JobOptions:
    """What is the same for all Jobs of a step.

    Attributes:
        service_account: that the pods run as; the namespace's default by default.
        pull_secrets: names of Secrets with logins for the images of the pods.
        template: is merged into each Job.
        deadline: seconds after which the cluster ends the Job; ``None`` for none.
        time_to_live: seconds after its end at which the cluster deletes a Job that nobody deleted.
        patience: seconds that a Job may wait for a node, or for room in a quota.
    """

    service_account: str = ""
    pull_secrets: tuple[str, ...] = ()
    template: Mapping[str, Any] = field(default_factory=dict)
    deadline: int | None = None
    time_to_live: int = 600
    patience: float = 600.0


@dataclass(frozen=True, slots=True)
class Run:
    """Who makes Jobs.

    Attributes:
        label: identifies the run.
        machine: identifies the machine, and the container on it, whose processes know each other.
        process: identifies the process there.
    """

    label: str
    machine: str = ""
    process: str = ""


def job(name: str, run: Run, spec: JobSpec, options: JobOptions) -> Document:
    """Return the Job *name* of the *run*."""
    labels = {**_MANAGED, RUN_LABEL: run.label, JOB_LABEL: name}
    labels |= {REQUEST_LABEL: spec.request} if spec.request else {}
    labels |= {MACHINE_LABEL: run.machine} if run.machine else {}
    document: Document = {
        "spec": {
            "ttlSecondsAfterFinished": options.time_to_live,
            "template": {"spec": _pod(name, spec, options)},
        },
    }
    if options.deadline is not None:
        document["spec"]["activeDeadlineSeconds"] = options.deadline
    template = _in_our_lists(options.template, document)
    merged: Document = merge(merge(document, template), _fixed(name, labels, run.process))
    return merged


def _in_our_lists(template: Mapping[str, Any], job: Document) -> Mapping[str, Any]:
    """Return *template* with each of our containers in the list that *job* has it in: a push moves the build."""
    pod, ours = _pod_of(found := deepcopy(template)), _pod_of(job)
    lists = {one["name"]: key for key in _LISTS for one in ours[key]}
    moved: dict[str, list[Any]] = {key: [] for key in _LISTS}
    for key in _LISTS:
        if isinstance(items := pod.get(key), list):
            for item in items:
                name = item.get("name") if isinstance(item, Mapping) else None
                moved[lists.get(name, key) if isinstance(name, str) else key].append(item)
            del pod[key]
    for key, items in moved.items():
        if items:
            pod[key] = items
    return found


def _pod_of(job: Any) -> dict[str, Any]:
    """Return what *job* says of its pod; nothing if it says nothing that could be read."""
    for key in ("spec", "template", "spec"):
        job = job.get(key) if isinstance(job, Mapping) else None
    return job if isinstance(job, dict) else {}


def _fixed(name: str, labels: Mapping[str, str], process: str) -> Document:
    """Return what no template changes: it finds the Job again, and keeps it from starting too early, or twice."""
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name,
            "labels": dict(labels),
            **({"annotations": {PROCESS_NOTE: process}} if process else {}),
        },
        "spec": {
            "suspend": True,
            "backoffLimit": 0,
            "completions": 1,
            "parallelism": 1,
            "template": {"metadata": {"labels": dict(labels)}, "spec": {"restartPolicy": "Never"}},
        },
    }


def fixed_fields(template: Mapping[str, Any]) -> Iterator[str]:
    """Yield the fields of *template* that have no effect, such as ``spec.suspend``."""
    labels = dict.fromkeys((RUN_LABEL, JOB_LABEL, REQUEST_LABEL, MACHINE_LABEL), "")
    yield from _common(template, _fixed("", labels, "any"), ())


def _common(template: Any, fixed: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[str]:
    for key, value in template.items() if isinstance(template, Mapping) else ():
        if isinstance(fixed.get(key), Mapping) and isinstance(value, Mapping):
            yield from _common(value, fixed[key], (*path, key))
        elif key in fixed:
            yield ".".join((*path, key))


def _pod(name: str, spec: JobSpec, options: JobOptions) -> Document:
    *before, last = (_container(name, label, spec) for label in spec.containers)
    volumes = (_volume(name, label, spec) for label, one in spec.containers.items() if one.files)
    pod: Document = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": _GRACE_SECONDS,
        "initContainers": [_receiver(spec), *before],
        "containers": [last],
        "volumes": [{"name": _WORK, "emptyDir": {}}, *volumes],
    }
    if spec.limits.user:  # so that it can write to the directory, and read the Secret
        pod["securityContext"] = {"fsGroup": spec.limits.user}
    if options.service_account:
        pod["serviceAccountName"] = options.service_account
    if options.pull_secrets:
        pod["imagePullSecrets"] = [{"name": name} for name in options.pull_secrets]
    return pod


def _receiver(spec: JobSpec) -> Document:
    return {
        "name": RECEIVE,
        "image": spec.receiver,
        "command": _command(("sh", "-c", waiting(spec.work))),
        "volumeMounts": [{"name": _WORK, "mountPath": spec.work}],
        **_security(spec, RECEIVE),
        # A quota of limits asks for those of each container. They cost nothing: the two run one after the other.
        **_resources(spec.limits),
    }


def _container(name: str, label: str, spec: JobSpec) -> Document:
    one = spec.containers[label]
    container: Document = {
        "name": label,
        "image": one.image,
        "command": _command((word.replace(FILES, spec.private) for word in one.argv), hidden_names(one.env)),
        "workingDir": spec.work,
        "volumeMounts": [{"name": _WORK, "mountPath": spec.work}],
        "terminationMessagePolicy": "File",
        **_security(spec, label),
    }
    if one.files:
        container["volumeMounts"].append({"name": _private(label), "mountPath": spec.private, "readOnly": True})
    env: list[Document] = [
        {"name": variable, "valueFrom": {"secretKeyRef": {"name": name, "key": key}}}
        for key, variable in _keys(label, "env", one.env)
    ]
    if one.home:
        env.append({"name": "HOME", "value": spec.work})
    if env:
        container["env"] = env
    return container | _resources(spec.limits)


def _command(words: Iterable[str], hidden: Mapping[str, str] = MappingProxyType({})) -> list[str]:
    """Return *words* as a container gets them unchanged: ``$(NAME)`` is a variable there, and ``$$`` one dollar.

    Of the *hidden* ones, only the variables are named, which they are given by.
    """
    return [f"$({hidden[word]})" if word in hidden else word.replace("$", "$$") for word in words]


def hidden_names(env: Mapping[str, str]) -> dict[str, str]:
    """Return the names of the variables in *env* that are words of a command, by these words."""
    return {text: name for name, text in env.items() if name.startswith(HIDDEN)}


def in_shell(words: Iterable[str], env: Mapping[str, str]) -> str:
    """Return the command of a shell that has these *words*; hidden ones are read from their variables."""
    names = hidden_names(env)
    return " ".join(f'"${names[word]}"' if word in names else shlex.quote(word) for word in words)


def _security(spec: JobSpec, label: str) -> Document:
    """Return what a container may do; what the build may do besides, no other one needs."""
    context: Document = {}
    limits, is_build = spec.limits, label == BUILD
    is_privileged = limits.privileged and is_build
    if spec.capabilities is not None and limits.user and not is_privileged:
        added = {"add": list(spec.capabilities)} if spec.capabilities and is_build else {}
        context["capabilities"] = {"drop": ["ALL"], **added}
        if not added:  # what the policy "restricted" asks for; a program that has capabilities needs both
            context |= {"allowPrivilegeEscalation": False, "seccompProfile": {"type": "RuntimeDefault"}}
    if limits.user is not None:
        context |= {"runAsUser": limits.user, "runAsNonRoot": limits.user != 0}
    if is_privileged:
        context["privileged"] = True
    return {"securityContext": context} if context else {}


def _resources(limits: Limits) -> Document:
    values: dict[str, dict[str, float | None]] = {
        "limits": {"memory": limits.memory, "cpu": limits.cores},
        "requests": {"memory": limits.requested_memory, "cpu": limits.requested_cores},
    }
    found = {kind: _quantities(each) for kind, each in values.items()}
    resources = {kind: each for kind, each in found.items() if each}
    return {"resources": resources} if resources else {}


def _quantities(values: Mapping[str, float | None]) -> Document:
    return {name: _quantity(value) for name, value in values.items() if value is not None}


def _quantity(value: float) -> str:
    """Return *value* as Kubernetes writes it: bytes as they are, cores in thousandths."""
    return str(value) if isinstance(value, int) else f"{max(1, round(value * 1000))}m"


def _volume(name: str, label: str, spec: JobSpec) -> Document:
    """Return the volume with the private files of one container: no other one can read them."""
    files = spec.containers[label].files
    items = [{"key": key, "path": str(PurePosixPath(path))} for key, path in _keys(label, "file", files)]
    mode = 0o440 if spec.limits.user else 0o400
    return {"name": _private(label), "secret": {"secretName": name, "items": items, "defaultMode": mode}}


def _private(label: str) -> str:
    return _PRIVATE if label == BUILD else f"{_PRIVATE}-{label}"


def _keys(label: str, kind: str, names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield the key in the Secret of each of *names*: a path has slashes, which a key cannot have."""
    prefix = kind if label == BUILD else f"{label}-{kind}"
    for number, name in enumerate(names):
        yield f"{prefix}-{number}", name


def secret(owner: Document, spec: JobSpec) -> Document:
    """Return the Secret with the private files and variables, which the Job *owner* owns: it is collected with it.

    Raises:
        ClusterError: they are too large for a Secret.
    """
    name = owner["metadata"]["name"]
    contents: dict[str, bytes] = {}
    for label, one in spec.containers.items():
        contents |= {key: _bytes(one.files[path]) for key, path in _keys(label, "file", one.files)}
        variables = _keys(label, "env", one.env)
        contents |= {key: one.env[variable].replace(FILES, spec.private).encode() for key, variable in variables}
    if (size := sum(map(len, contents.values()))) > _LARGEST_SECRET:
        message = f"the private files of the build have {size} bytes, and a Secret holds {_LARGEST_SECRET}"
        raise ClusterError(message, hint="trust fewer authorities, or pass fewer build secrets")
    reference = {"apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": owner["metadata"]["uid"]}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "Opaque",
        "metadata": {"name": name, "labels": owner["metadata"]["labels"], "ownerReferences": [reference]},
        "data": {key: base64.b64encode(content).decode() for key, content in contents.items()},
    }


def _bytes(content: FileContent) -> bytes:
    text = content.reveal() if isinstance(content, Secret) else content
    return text.encode() if isinstance(text, str) else text


def waiting(work: str) -> str:
    """Return the script that waits until the context is unpacked in *work*.

    It waits for as long as the Job may run: who sends the context may be slow. Then it waits for the process that has
    received it: with the container, its exit status would be lost. Everybody may write to a volume of a pod, and root
    can at least keep others from renaming what is in it.
    """
    return (
        f"cd {work}; chmod +t . 2>/dev/null; until [ -e .received ]; do sleep 0.2; done; "
        "while kill -0 $(cat .received) 2>/dev/null; do sleep 0.1; done; sleep 0.1"
    )


def receiving(work: str, *, compressed: bool) -> str:
    """Return the script that unpacks the tar on its standard input into *work*, and tells whether it was whole.

    A broken stream ends like a whole one. So what tells is the length and the checksum at the end of the gzip, whose
    status counts, which a pipe drops; without compression, the last entry of the tar, :data:`WHOLE`. One that an
    earlier attempt has left tells nothing. The output of the last command is not redirected: the runtime ends the
    stream when the standard output of its process is closed.
    """
    unpack = f"{{ gzip -dc && echo $$ > {WHOLE}; }} | tar -xpf -" if compressed else "tar -xpf -"
    done = f"[ -e {WHOLE} ] && echo $$ > {WHOLE} && mv {WHOLE} .received && echo received"
    return f"umask 022; cd {work} && rm -f {WHOLE} && {unpack} && {done} || {{ echo broken; exit 75; }}"


def merge(document: Any, patch: Any) -> Any:
    """Return *document* with *patch* merged into it.

    Maps are merged; an entry of ``null`` is removed. Lists whose items have names, such as containers, are merged by
    these; other lists are joined.
    """
    if isinstance(patch, Mapping):
        base = document if isinstance(document, Mapping) else {}
        merged = {**base, **{key: merge(base.get(key), value) for key, value in patch.items()}}
        return {key: value for key, value in merged.items() if value is not None}
    if isinstance(document, list) and isinstance(patch, list):
        return _merge_lists(document, patch)
    return deepcopy(patch)


def _merge_lists(items: list[Any], more: list[Any]) -> list[Any]:
    merged = list(items)
    names = [item.get("name") if isinstance(item, Mapping) else None for item in items]
    for item in more:
        name = item.get("name") if isinstance(item, Mapping) else None
        if name is not None and name in names:
            merged[names.index(name)] = merge(merged[names.index(name)], item)
        else:
            merged.append(deepcopy(item))
    return merged
