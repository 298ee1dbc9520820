"""The API of a cluster, asked over loopback: a server that refuses, loses answers, or is away."""

from __future__ import annotations

import json
import threading

import pytest

from buildpush.cluster.api import JOBS, PODS, SECRETS, Api
from buildpush.cluster.kubeconfig import Access, ClusterUser
from buildpush.foundation.errors import AuthenticationError, BuildPushError, ClusterError
from buildpush.foundation.events import Retry
from buildpush.foundation.secrets import Secret
from buildpush.places import Recorded
from tests.cluster.api_server import (
    JOB,
    answer,
    api,
    asked,
    items,
    named,
    query,
    said,
)
from tests.http.servers import Handler, in_turn, serving

pytestmark = pytest.mark.sandbox

# ---- documents


def test_a_document_is_created_strictly_and_comes_back_as_the_server_keeps_it():
    with serving(answer(201, named("a"))) as server, api(server, ClusterUser(token=Secret("t0ken", "x"))) as cluster:
        assert cluster.create(JOBS, JOB)["metadata"]["uid"] == "uid-a"
    (seen,) = server.seen
    assert asked(server) == ["POST /apis/batch/v1/namespaces/ci/jobs"]
    assert query(seen) == {"fieldManager": ["buildpush"], "fieldValidation": ["Strict"]}
    assert json.loads(seen.body) == JOB
    assert seen.headers["Authorization"] == "Bearer t0ken"


def test_a_change_is_a_merge():
    with serving(answer(200, named("a"))) as server, api(server) as cluster:
        cluster.patch(JOBS, "a", {"spec": {"suspend": False}})
    assert asked(server) == ["PATCH /apis/batch/v1/namespaces/ci/jobs/a"]
    assert server.seen[0].headers["Content-Type"] == "application/merge-patch+json"


def test_what_is_deleted_goes_with_all_that_it_owns():
    with serving(answer(200, {"status": "Success"})) as server, api(server) as cluster:
        cluster.delete(JOBS, "a")
    assert asked(server) == ["DELETE /apis/batch/v1/namespaces/ci/jobs/a"]
    assert query(server.seen[0]) == {"propagationPolicy": ["Background"]}


def test_what_is_gone_already_needs_no_deletion():
    with serving(answer(404, said("not found", 404, "NotFound"))) as server, api(server) as cluster:
        cluster.delete(JOBS, "a")


def test_a_deletion_that_is_refused_is_told():
    with (
        serving(answer(403, said("jobs.batch is forbidden"))) as server,
        api(server) as cluster,
        pytest.raises(AuthenticationError, match=r"the cluster refuses to delete a: jobs\.batch is forbidden"),
    ):
        cluster.delete(JOBS, "a")


def test_a_list_has_its_version():
    with serving(items(named("a"), named("b"), version="42")) as server, api(server) as cluster:
        found, version = cluster.list(PODS, {"labelSelector": "a=b"})
    assert ([one["metadata"]["name"] for one in found], version) == (["a", "b"], "42")
    assert query(server.seen[0]) == {"labelSelector": ["a=b"]}


def test_one_object_is_found_by_its_name():
    with serving(items(named("a"))) as server, api(server) as cluster:
        assert cluster.find(JOBS, "a") == named("a")
    assert query(server.seen[0]) == {"fieldSelector": ["metadata.name=a"]}


@pytest.mark.parametrize("allowed", [True, False])
def test_a_right_is_asked_for(allowed):
    with serving(answer(201, {"status": {"allowed": allowed}})) as server, api(server) as cluster:
        assert cluster.allows("get", "pods", subresource="exec") is allowed
    assert json.loads(server.seen[0].body)["spec"]["resourceAttributes"] == {
        "namespace": "ci",
        "verb": "get",
        "resource": "pods",
        "group": "",
        "subresource": "exec",
    }


@pytest.mark.parametrize("review", [{}, {"status": None}, {"status": {}}, {"status": {"allowed": "false"}}, []])
def test_a_server_that_does_not_say_whether_grants_nothing(review):
    with serving(answer(201, review)) as server, api(server) as cluster:
        assert cluster.allows("get", "pods") is False


# ---- refusals


@pytest.mark.parametrize(
    ("status", "message", "error", "hint"),
    [
        (403, 'jobs.batch is forbidden: User "me" cannot create', AuthenticationError, "examples/kubernetes/role.yaml"),
        (403, "exceeded quota: q, requested: count/jobs.batch=1", ClusterError, "the namespace ci is full"),
        (403, 'pods "x" is forbidden: violates PodSecurity "restricted"', ClusterError, "a policy of the cluster"),
        (403, "admission webhook denied the request: no", ClusterError, "a policy of the cluster"),
        (400, 'strict decoding error: unknown field "spec.nodeSelectr"', ClusterError, "correct job_template"),
        (404, "namespaces ci not found", ClusterError, "check that the namespace ci exists"),
        (422, "Job.batch is invalid: spec: wrong", ClusterError, None),
        (413, "Request entity too large", ClusterError, None),
    ],
)
def test_a_refusal_has_its_words_and_its_hint(status, message, error, hint):
    with (
        serving(answer(status, said(message, status))) as server,
        api(server) as cluster,
        pytest.raises(error) as caught,
    ):
        cluster.create(JOBS, JOB)
    assert str(caught.value) == f"the cluster refuses to create the Job a: {message}"
    assert (hint or "") in (caught.value.hint or "")
    assert len(server.seen) == 1


def test_a_refusal_that_is_no_document_is_told_by_its_status():
    with (
        serving(answer(418, "")) as server,
        api(server) as cluster,
        pytest.raises(ClusterError, match="refuses to create the Job a: status 418"),
    ):
        cluster.create(JOBS, JOB)


def test_an_answer_that_is_no_json_is_told():
    with serving(answer(200, "<html>login</html>")) as server, api(server) as cluster, pytest.raises(BuildPushError):
        cluster.list(JOBS, {})


# ---- answers that are lost, and a server that has no time


def test_what_was_created_by_an_attempt_whose_answer_was_lost_is_ours():
    taken = answer(409, said('jobs.batch "a" already exists', 409, "AlreadyExists"))
    with serving(in_turn(Handler.reset, taken, items(named("a")))) as server, api(server) as cluster:
        assert cluster.create(JOBS, JOB)["metadata"]["uid"] == "uid-a"
    assert [line.split()[0] for line in asked(server)] == ["POST", "POST", "GET"]


def test_a_secret_whose_answer_was_lost_is_ours_without_the_right_to_read_it():
    """The role of the example lets nobody list Secrets."""
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}}
    taken = answer(409, said('secrets "a" already exists', 409, "AlreadyExists"))
    with serving(in_turn(Handler.reset, taken, answer(403, said("cannot list")))) as server, api(server) as cluster:
        assert cluster.create(SECRETS, secret) == secret
    assert [line.split()[0] for line in asked(server)] == ["POST", "POST"]


def test_a_name_that_somebody_else_has_is_a_refusal():
    taken = answer(409, said('jobs.batch "a" already exists', 409, "AlreadyExists"))
    with serving(taken) as server, api(server) as cluster, pytest.raises(ClusterError, match="already exists"):
        cluster.create(JOBS, JOB)
    assert len(server.seen) == 1


def test_what_was_created_and_deleted_meanwhile_is_told():
    taken = answer(409, said('jobs.batch "a" already exists', 409, "AlreadyExists"))
    with (
        serving(in_turn(Handler.reset, taken, items())) as server,
        api(server) as cluster,
        pytest.raises(ClusterError, match="already exists"),
    ):
        cluster.create(JOBS, JOB)


def test_a_conflict_with_others_is_tried_again():
    """A quota is counted by an update of one object: of several Jobs at once, some are told to try again."""
    conflict = answer(409, said("Operation cannot be fulfilled on resourcequotas", 409, "Conflict"))
    with serving(in_turn(conflict, conflict, answer(201, named("a")))) as server, api(server) as cluster:
        assert cluster.create(JOBS, JOB) == named("a")
    assert len(server.seen) == 3


def test_a_conflict_that_stays_is_told():
    conflict = answer(409, said("Operation cannot be fulfilled on resourcequotas", 409, "Conflict"))
    with serving(conflict) as server, api(server) as cluster, pytest.raises(ClusterError, match="cannot be fulfilled"):
        cluster.create(JOBS, JOB)
    assert len(server.seen) == 6


def test_a_server_that_has_too_much_to_do_is_given_time():
    events = []
    busy = answer(429, said("too many requests", 429, "TooManyRequests"), Retry_After="1")
    with serving(in_turn(busy, answer(201, named("a")))) as server, api(server, sink=events.append) as cluster:
        cluster.create(JOBS, JOB)
    (event,) = [event for event in events if isinstance(event, Retry)]
    assert event.reason == "status 429"
    assert event.seconds == pytest.approx(0.05, rel=0.5)  # what the server asks for, up to the longest wait


@pytest.mark.parametrize("status", [500, 503, 504])
def test_a_server_in_trouble_is_asked_again(status):
    failing = answer(status, said("etcdserver: request timed out", status, "InternalError"))
    with serving(in_turn(failing, failing, answer(201, named("a")))) as server, api(server) as cluster:
        assert cluster.create(JOBS, JOB) == named("a")
    assert len(server.seen) == 3


def test_a_server_that_stays_in_trouble_is_told():
    failing = answer(500, said("etcdserver: request timed out", 500, "InternalError"))
    with serving(failing) as server, api(server) as cluster, pytest.raises(ClusterError, match="request timed out"):
        cluster.create(SECRETS, {**JOB, "kind": "Secret"})


def test_a_server_that_is_away_for_a_while_is_waited_for():
    away = [Handler.reset] * 4
    with serving(in_turn(items(), *away, items(named("a")))) as server, api(server) as cluster:
        cluster.list(JOBS, {})
        assert cluster.list(JOBS, {})[0] == [named("a")]
    assert len(server.seen) == 6


def test_a_closed_api_asks_for_nothing():
    with serving(items()) as server:
        with api(server) as cluster:
            cluster.list(JOBS, {})
        with pytest.raises(BuildPushError, match="closed"):
            cluster.list(JOBS, {})
    assert len(server.seen) == 1


def test_threads_that_begin_at_once_share_their_connections():
    together, found = threading.Barrier(6), []

    def ask():
        together.wait()
        found.append(cluster._connections())

    with serving(items()) as server, api(server) as cluster:
        threads = [threading.Thread(target=ask) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(set(map(id, found))) == 1


@pytest.mark.parametrize(
    ("server", "proxy", "is_here"),
    [
        ("https://127.0.0.1:6443", "", True),
        ("https://localhost:6443/k8s/clusters/c", "", True),
        ("https://[::1]:6443", "", True),
        ("http://127.0.0.1:8001", "", False),  # nothing but the checksum of a gzip would tell a changed byte
        ("https://127.0.0.1:6443", "http://proxy.test:3128", False),
        ("https://10.0.0.1:6443", "", False),
        ("https://c.test", "", False),
    ],
)
def test_a_cluster_on_this_machine_is_known_by_its_address(tmp_path, server, proxy, is_here):
    with Api(Access(server, "n", proxy=proxy), Recorded(), {}) as found:
        assert found.is_on_this_machine is is_here
