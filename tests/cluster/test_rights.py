"""The rights that builds in Jobs need: the role of the examples grants them, and a check says which are missing."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from buildpush.cluster.order import ClusterOrder
from buildpush.cluster.rights import RIGHTS, Right, missing
from buildpush.foundation.documents import read_documents
from buildpush.foundation.errors import SettingsError, UnreachableError
from buildpush.pipeline import clusters
from buildpush.pipeline.clusters import Clusters, cluster_remarks
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


def test_the_role_grants_what_is_asked_for():
    assert {str(right) for right in RIGHTS} <= granted()


def test_the_role_grants_little_more():
    """Newer servers ask for create as well as get on pods/exec; events are watched as pods are."""
    assert granted() - {str(right) for right in RIGHTS} == {"create pods/exec", "watch events"}


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


def context_with(open_):
    return SimpleNamespace(clusters=SimpleNamespace(open=open_))


def test_a_check_names_the_rights_that_are_missing():
    api = FakeApi({"create secrets"})
    [remark] = cluster_remarks(ClusterOrder(), context_with(lambda _order, _context: SimpleNamespace(api=api)))
    assert remark == (
        "in the namespace ci, this account may not create secrets; "
        "give this account the rights in examples/kubernetes/role.yaml"
    )


def test_a_check_of_a_cluster_that_grants_all_says_nothing():
    found = context_with(lambda _order, _context: SimpleNamespace(api=FakeApi()))
    assert list(cluster_remarks(ClusterOrder(), found)) == []


@pytest.mark.parametrize("hint", [None, "set KUBECONFIG"])
def test_a_check_without_a_cluster_says_so_and_goes_on(hint):
    def fail(_order, _context):
        message = "no cluster is known"
        raise SettingsError(message, hint=hint)

    [remark] = cluster_remarks(ClusterOrder(), context_with(fail))
    assert remark == "the cluster cannot be asked: no cluster is known" + (f"; {hint}" if hint else "")


def test_a_check_of_a_server_that_does_not_answer_says_so():
    class Silent(FakeApi):
        def allows(self, *_words, **_more):
            message = "no answer"
            raise UnreachableError(message)

    [remark] = cluster_remarks(ClusterOrder(), context_with(lambda *_: SimpleNamespace(api=Silent())))
    assert remark == "the cluster cannot be asked: no answer"


# ---- what doctor says


@pytest.mark.parametrize(("lacking", "state"), [((), "ok"), (("create secrets",), "failed")])
def test_doctor_asks_the_cluster_for_each_right(lacking, state):
    api = FakeApi(lacking)
    api.access = SimpleNamespace(server="https://k:6443", source="~/.kube/config, context ci")
    found = context_with(lambda _order, _context: SimpleNamespace(api=api))
    [check] = _may_make_jobs(ClusterOrder(), found)
    assert (check.what, check.state) == ("cluster https://k:6443", state)
    assert all(right in check.text for right in lacking)


# ---- the clusters of a run


class FakeCluster:
    def __init__(self):
        self.closed = 0

    def close(self):
        self.closed += 1


def test_a_cluster_is_opened_once_for_each_context_and_namespace(monkeypatch):
    monkeypatch.setattr(clusters, "_new_cluster", lambda *_words, **_more: FakeCluster())
    found, run = Clusters(), SimpleNamespace()
    first = found.open(ClusterOrder(context="a", namespace="b"), run)
    assert found.open(ClusterOrder(context="a", namespace="b", executor="x"), run) is first
    others = [found.open(order, run) for order in (ClusterOrder(context="a"), ClusterOrder(namespace="b"))]
    assert len({first, *others}) == 3
    found.close()
    found.close()
    assert [one.closed for one in (first, *others)] == [1, 1, 1]
