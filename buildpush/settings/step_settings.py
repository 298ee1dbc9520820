"""The settings that every kind of step has."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from buildpush.settings.declare import Settings, StepSection, setting
from buildpush.settings.kinds import (
    AnyText,
    Duration,
    Enforce,
    IdentifierText,
    StepName,
    Structure,
    When,
)


def ca_path_setting(group: str) -> Any:
    """Return the declaration of ``ca_path``, which a step that builds has, and one that publishes build-info."""
    return setting(
        "File of certificates, in PEM, of authorities that are trusted at every host that the step speaks to.",
        "They are trusted besides the system's. {setting}`registry_certificate` names them for one host. "
        "With the engines `docker`, `buildx` and `buildah` a note says where they have those for base images. "
        "`HARNESS_CA_PATH` and `SSL_CERT_FILE` in the environment count for the whole run, "
        "which includes fetching a {setting}`context`.",
        group=group,
        example="certificates/company.pem",
        honoured_by="run",
        place="env",
        ambient=("HARNESS_CA_PATH",),
    )


def compat_setting(place: StepSection) -> Any:
    """Return the declaration of ``compat``, which a step that builds has, and one that publishes build-info."""
    return setting(
        "The client whose documents the build-info is to equal: `jf`.",
        "Without it, the build-info has what `jf` leaves out: variants in the ids of platforms, a module for each "
        "attestation, the image's id for each platform, and only the layers of the known base image as dependencies. "
        "`jf` guesses those from the history.",
        group="Build-info",
        example="jf",
        honoured_by="publish",
        place=place,
    )


_ISSUES: Final[Mapping[str, tuple[str, str, str]]] = {
    "tracker": (
        "Name of the tracker that has the issues which {setting}`issues_regexp` finds.",
        "It is only written to the build-info: no tracker is asked.",
        "JIRA",
    ),
    "regexp": (
        "Pattern of an issue in the first line of a commit's message: group 1 is the key, group 2 the summary.",
        (
            "The build-info lists the issues of the commits since the last published run of the build, at most 100. "
            "{setting}`issues_tracker` must be set as well. "
            "It is a Java regular expression, as in `<+...>`; one that could take too long is refused."
        ),
        "([A-Z]+-[0-9]+): (.+)",
    ),
    "url": (
        "Address of the issues; with a slash and the key after it, it is the page of one.",
        "",
        "https://acme.atlassian.net/browse/",
    ),
}


def issues_setting(name: str, place: StepSection) -> Any:
    """Return the declaration of ``issues_`` and *name*, which the same steps have."""
    sentence, text, example = _ISSUES[name]
    return setting(sentence, text, group="Build-info", example=example, honoured_by="publish", place=place)


_of_step = partial(setting, group="Step", honoured_by="run", place="step")


class CommonSettings(Settings):
    """Settings that every kind of step has."""

    identifier: IdentifierText = _of_step(
        "Short name of the step, for `--step` and expressions.",
        "Without it, made from {setting}`name`.",
        default="",
        example="build_api",
    )
    name: StepName = _of_step(
        "Name of the step for people.",
        default="",
        example="Build API",
    )
    description: AnyText = _of_step(
        "Description of the step.",
        default="",
        example="The API of the shop",
    )
    timeout: Duration | None = _of_step(
        "Time after which the step is stopped and fails.",
        "Without it a step of a file has 10 hours, as Harness gives it on Kubernetes; one of variables, flags or "
        "keywords alone has no limit. "
        "Where a pipeline, stage or group has a `timeout`, a step has at most the time that is left of it, and no "
        "failure strategy handles its end. "
        "Fetching a {setting}`context` that is not a directory may take as long again.",
        example="1h 30m",
    )
    when: When = _of_step(
        "Condition under which the step runs.",
        "`stageStatus` is `Success` (nothing before it in the stage has failed), `Failure` or `All`. "
        "`condition` is an expression that must be true as well; one that cannot be evaluated is an error. "
        "A step that is skipped is listed with the reason.",
        example={"stageStatus": "Success", "condition": '<+codebase.branch> == "main"'},
    )
    failure_strategies: Structure = _of_step(
        "What happens if the step fails.",
        "The first entry that names the type of the error is used, then those of the group and of the stage. "
        "Without one, the stage fails. "
        "The exit code of an error gives its type: 2 is `ConfigurationFailure`, 5 `Authentication`, 124 `Timeout`; "
        "of 4 and 6, no answer and a busy server are `Connectivity` and `RetryableTransientFailure`, "
        "a refusal is `Authorization`; all others are `Unknown`. "
        "Rollbacks fail the stage: rollback steps are not run here.",
        example=[{"onFailure": {"errors": ["AllErrors"], "action": {"type": "Ignore"}}}],
    )
    strategy: Structure = _of_step(
        "Loop that runs the step several times.",
        "`matrix`, `repeat` or `parallelism`, as in Harness; expressions may use `<+matrix.AXIS>`, `<+repeat.item>`, "
        "`<+repeat.partition>` and `<+strategy.iteration>`. "
        "At most `maxConcurrency` iterations run at the same time; without it, as many as there are cores, at least 2. "
        "Two that would push the same reference are refused.",
        example={"matrix": {"os": ["alpine", "debian"], "maxConcurrency": "1"}},
    )
    enforce: Enforce = setting(
        "Policy sets that Harness checks the step against.",
        "Only Harness can evaluate them, and one may forbid the step, so a step that has any is refused here.",
        group="Step",
        example={"policySets": ["account.images"]},
        honoured_by="",
        alternative="only Harness can evaluate policy sets, and one may forbid the step; "
        "to run it without them, leave policySets empty",
        place="step",
    )
