"""Logins at the API of a cluster: a token that expires is read again, and a refusal for good is told."""

from __future__ import annotations

import json

import pytest

from buildpush.cluster import streams
from buildpush.cluster.api import JOBS
from buildpush.cluster.kubeconfig import ClusterUser, ExecPlugin
from buildpush.foundation.errors import AuthenticationError
from buildpush.places import CommandResult, Recorded
from tests.cluster.api_server import (
    JOB,
    answer,
    api,
    items,
    named,
    said,
    stream,
)
from tests.http.servers import in_turn, serving

pytestmark = pytest.mark.sandbox


def rotating(*documents):
    """Refuse the token ``old``, and answer all others."""
    answers = in_turn(*documents)

    def handle(request):
        if request.headers["Authorization"] == "Bearer old":
            answer(401, said("Unauthorized", 401, "Unauthorized"))(request)
        else:
            answers(request)

    return handle


def test_a_token_that_has_expired_is_read_again(tmp_path):
    path = tmp_path / "token"
    path.write_text("old", encoding="ascii")
    with serving(rotating(answer(201, named("a")))) as server, api(server, ClusterUser(token_file=path)) as cluster:
        assert cluster._login.header() == "Bearer old"
        path.write_text("new", encoding="ascii")
        assert cluster.create(JOBS, JOB)["metadata"]["name"] == "a"
    assert [seen.headers["Authorization"] for seen in server.seen] == ["Bearer old", "Bearer new"]


def test_a_token_that_expires_is_read_again_for_a_stream(tmp_path):
    path = tmp_path / "token"
    path.write_text("old", encoding="ascii")
    user = ClusterUser(token_file=path)
    with serving(rotating(stream("t1 a\n"))) as server, api(server, user) as cluster:
        assert cluster._login.header() == "Bearer old"
        path.write_text("new", encoding="ascii")
        assert list(cluster.log("p", "build")) == [("t1", "a\n")]


def printing(*tokens):
    documents = [{"status": {"token": token}} for token in tokens]
    return Recorded([CommandResult(0, json.dumps(document)) for document in documents])


PLUGIN = ExecPlugin(("login",), {}, "client.authentication.k8s.io/v1")
REFUSES = answer(401, said("Unauthorized", 401, "Unauthorized"))


def test_a_login_that_is_refused_for_good_ends_after_one_renewal():
    place = printing("one", "two", "three", "four")
    with (
        serving(REFUSES) as server,
        api(server, ClusterUser(plugin=PLUGIN), place) as cluster,
        pytest.raises(AuthenticationError, match=r"the cluster does not know us \(the test\): Unauthorized") as caught,
    ):
        cluster.create(JOBS, JOB)
    assert caught.value.hint == "log in to the cluster again, as you do for kubectl"
    assert (len(server.seen), len(place.calls)) == (2, 2)


def test_a_stream_whose_login_is_refused_for_good_is_no_empty_stream():
    place = printing("one", "two", "three", "four")
    with (
        serving(REFUSES) as server,
        api(server, ClusterUser(plugin=PLUGIN), place) as cluster,
        pytest.raises(AuthenticationError, match="the cluster does not know us"),
    ):
        list(cluster.watch(JOBS, {}, "7"))
    assert len(server.seen) == 2


def test_a_stream_into_a_container_renews_its_login(monkeypatch):
    seen = []

    def execute(endpoint, *_arguments):
        seen.append((endpoint.header, endpoint.path))
        if endpoint.header == "Bearer old":
            message = "refused"
            raise streams.LoginRefusedError(message)
        return 0, "received"

    monkeypatch.setattr(streams, "execute", execute)
    with (
        serving(items()) as server,
        api(server, ClusterUser(plugin=PLUGIN), printing("old", "new")) as cluster,
    ):
        assert cluster.execute("p", "receive", ["cat"], []) == (0, "received")
    assert seen == [(f"Bearer {token}", "api/v1/namespaces/ci/pods/p") for token in ("old", "new")]


def test_a_stream_into_a_container_is_refused_once_more_and_no_longer(monkeypatch):
    def execute(_endpoint, *_arguments):
        message = "refused"
        raise streams.LoginRefusedError(message)

    place = printing("one", "two", "three")
    monkeypatch.setattr(streams, "execute", execute)
    with (
        serving(items()) as server,
        api(server, ClusterUser(plugin=PLUGIN), place) as cluster,
        pytest.raises(AuthenticationError),
    ):
        cluster.execute("p", "receive", ["cat"], [])
    assert len(place.calls) == 2
