"""The rights that builds in Jobs need: the role of the examples grants them, and a check says which are missing."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from buildpush.cluster.order import ClusterOrder
from buildpush.cluster.rights import RIGHTS, Right, missing
from buildpush.foundation.documents import read_documents
from buildpush.foundation.errors import SettingsError, UnreachableError
from buildpush.pipeline.clusters import Clusters
from buildpush.pipeline.diagnosis import _may_make_jobs

ROLE = Path(__file__).parents[2] / "examples" / "kubernetes" / "role.yaml"


def granted() -> set[str]:
    role, *_ = (document.raw() for document in read_documents(ROLE, "role.yaml"))
    return {
        str(Right(verb, resource.partition("/")[0], group, resource.partition("/")[2]))
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def test_the_role_grants_what_is_asked_for_and_nothing_more():
    assert granted() == {str(right) for right in RIGHTS}


def test_the_role_reads_and_deletes_no_secret():
    assert {right for right in granted() if "secrets" in right} == {"create secrets"}


class FakeApi:
    namespace = "ci"

    def __init__(self, lacking=()):
        self.lacking = lacking

    def allows(self, verb, resource, *, group, subresource):
        return str(Right(verb, resource, group, subresource)) not in self.lacking


def test_the_rights_that_are_missing_are_named():
    assert list(map(str, missing(FakeApi({"get pods/log", "create jobs.batch"})))) == [
        "create jobs.batch",
        "get pods/log",
    ]


# ---- what a check says


def remarks(open_):
    clusters = Clusters()
    clusters.open = open_
    return clusters.remarks(ClusterOrder(), None)


def test_a_check_names_the_rights_that_are_missing():
    api = FakeApi({"create secrets"})
    [remark] = remarks(lambda _order, _context: SimpleNamespace(api=api))
    assert remark == (
        "in the namespace ci, this account may not create secrets; "
        "give this account the rights in examples/kubernetes/role.yaml"
    )


def test_a_check_of_a_cluster_that_grants_all_says_nothing():
    assert remarks(lambda _order, _context: SimpleNamespace(api=FakeApi())) == ()


def test_a_cluster_is_asked_for_rights_once_however_many_steps_it_builds():
    asked = []
    clusters = Clusters()
    clusters.open = lambda _order, _context: asked.append(1) or SimpleNamespace(api=FakeApi({"create secrets"}))
    first, second = (clusters.remarks(ClusterOrder(), None) for _ in range(2))
    assert first == second != ()
    assert asked == [1]


@pytest.mark.parametrize("hint", [None, "set KUBECONFIG"])
def test_a_check_without_a_cluster_says_so_and_goes_on(hint):
    def fail(_order, _context):
        message = "no cluster is known"
        raise SettingsError(message, hint=hint)

    [remark] = remarks(fail)
    assert remark == "the cluster cannot be asked: no cluster is known" + (f"; {hint}" if hint else "")


def test_a_check_of_a_server_that_does_not_answer_says_so():
    class Silent(FakeApi):
        def allows(self, *_words, **_more):
            message = "no answer"
            raise UnreachableError(message)

    [remark] = remarks(lambda *_: SimpleNamespace(api=Silent()))
    assert remark == "the cluster cannot be asked: no answer"


# ---- what doctor says


@pytest.mark.parametrize(("lacking", "state"), [((), "ok"), (("create secrets",), "failed")])
def test_doctor_asks_the_cluster_for_each_right(lacking, state):
    api = FakeApi(lacking)
    api.access = SimpleNamespace(server="https://k:6443", source="~/.kube/config, context ci")
    clusters = SimpleNamespace(open=lambda _order, _context: SimpleNamespace(api=api))
    [check] = _may_make_jobs(ClusterOrder(), SimpleNamespace(clusters=clusters))
    assert (check.what, check.state) == ("cluster https://k:6443", state)
    assert all(right in check.text for right in lacking)
