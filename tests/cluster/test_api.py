"""The API of a cluster, asked over loopback: a server that refuses, loses answers, breaks streams, or is away."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit

import pytest

from buildpush.cluster import streams
from buildpush.cluster.api import JOBS, PODS, SECRETS, Api, ExpiredError
from buildpush.cluster.kubeconfig import Access, ClusterUser, ExecPlugin
from buildpush.cluster.logs import LogStream
from buildpush.cluster.watching import Watching, is_gone
from buildpush.foundation.errors import AuthenticationError, BuildPushError, ClusterError, UnreachableError
from buildpush.foundation.events import Retry
from buildpush.foundation.secrets import Secret
from buildpush.http.retry import Retries
from buildpush.places import CommandResult, Recorded
from tests.http.servers import Handler, Server, in_turn, serving

pytestmark = pytest.mark.sandbox

SOON = Retries(attempts=4, restart=3, base=0.01, cap=0.02, longest=0.05)
JOB = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "a"}}


def said(message, code=403, reason="Forbidden", **more):
    return json.dumps(
        {"kind": "Status", "status": "Failure", "message": message, "reason": reason, "code": code, **more}
    )


def answer(status, document=None, **headers):
    text = document if isinstance(document, str) else json.dumps(document or {})
    return lambda request: request.answer(status, text.encode(), **headers)


def items(*documents, version="7"):
    return answer(200, {"metadata": {"resourceVersion": version}, "items": list(documents)})


def named(name, version="7", **labels):
    return {"metadata": {"name": name, "uid": f"uid-{name}", "resourceVersion": version, "labels": labels}}


def stream(*pieces, whole=True):
    """Answer with *pieces*, chunk by chunk; a stream that is not *whole* breaks after them."""

    def handle(request):
        request.send_response(200)
        request.send_header("Transfer-Encoding", "chunked")
        request.end_headers()
        for piece in pieces:
            data = piece if isinstance(piece, bytes) else piece.encode()
            request.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
            request.wfile.flush()
        if whole:
            request.wfile.write(b"0\r\n\r\n")
        else:
            request.wfile.flush()
            request.close_connection = True

    return handle


def change(kind, document):
    return json.dumps({"type": kind, "object": document}) + "\n"


@contextmanager
def api(server: Server, user=None, place=None, sink=lambda _event: None, **options):
    access = Access(server.url, "ci", user=user or ClusterUser(), source="the test")
    with Api(access, place or Recorded(), {}, retries=SOON, sink=sink, **options) as opened:
        yield opened


def asked(server: Server) -> list[str]:
    return [f"{seen.command} {urlsplit(seen.path).path}" for seen in server.seen]


def query(seen) -> dict[str, list[str]]:
    return parse_qs(urlsplit(seen.path).query)


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


# ---- logins


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


# ---- watches


def test_a_watch_yields_changes_until_the_server_ends_it():
    lines = [change("ADDED", named("a", "8")), change("BOOKMARK", {"metadata": {"resourceVersion": "9"}})]
    with serving(stream(*lines)) as server, api(server) as cluster:
        found = [(kind, one["metadata"]["resourceVersion"]) for kind, one in cluster.watch(JOBS, {"a": "b"}, "7")]
    assert found == [("ADDED", "8"), ("BOOKMARK", "9")]
    asked_for = query(server.seen[0])
    assert (asked_for["watch"], asked_for["resourceVersion"], asked_for["a"]) == (["true"], ["7"], ["b"])
    assert asked_for["allowWatchBookmarks"] == ["true"]


def test_lines_that_arrive_in_halves_are_whole_changes():
    line = change("ADDED", named("a")) + change("MODIFIED", named("b"))
    with serving(stream(*line)) as server, api(server) as cluster:  # byte by byte
        assert [one["metadata"]["name"] for _, one in cluster.watch(JOBS, {}, "7")] == ["a", "b"]


def test_a_change_arrives_before_the_next_one_is_sent():
    """A watch that waited for a full block would say nothing for minutes."""
    taken = threading.Event()

    def handle(request):
        stream(change("ADDED", named("a")), whole=False)(request)
        assert taken.wait(10)

    with serving(handle) as server, api(server) as cluster:
        changes = cluster.watch(JOBS, {}, "7")
        assert next(changes)[0] == "ADDED"
        taken.set()
        changes.close()


def test_a_version_that_is_no_longer_kept_is_told_by_an_event():
    gone = change("ERROR", {"kind": "Status", "code": 410, "message": "too old resource version"})
    with serving(stream(gone)) as server, api(server) as cluster, pytest.raises(ExpiredError):
        list(cluster.watch(JOBS, {}, "7"))


def test_a_version_that_is_no_longer_kept_is_told_by_a_status():
    with (
        serving(answer(410, said("too old", 410, "Expired"))) as server,
        api(server) as cluster,
        pytest.raises(ExpiredError),
    ):
        list(cluster.watch(JOBS, {}, "7"))


@pytest.mark.parametrize(
    "line",
    [
        change("ERROR", {"kind": "Status", "code": 500, "message": "etcd has no leader"}),
        change("ERROR", None),
        "junk\n",
        "[]\n",
        '{"type": "ADDED"}\n',
        '{"type": "ADDED", "object": []}\n',
        '{"type": "ADDED", "object": {}}\n',
        '{"type": "ADDED", "object": {"metadata": {"resourceVersion": 7}}}\n',
        '{"type": "ADDED", "obj',
    ],
)
def test_a_broken_watch_is_no_change(line):
    with (
        serving(stream(change("ADDED", named("a")), line)) as server,
        api(server) as cluster,
        pytest.raises(UnreachableError, match="the cluster's watch"),
    ):
        list(cluster.watch(JOBS, {}, "7"))


def test_a_watch_that_breaks_is_told():
    with (
        serving(stream(change("ADDED", named("a")), '{"type"', whole=False)) as server,
        api(server) as cluster,
        pytest.raises(UnreachableError),
    ):
        list(cluster.watch(JOBS, {}, "7"))


class Story:
    """A server that answers the lists and watches of Jobs in turn; those of pods find nothing, and wait."""

    def __init__(self, *handles):
        self.handles = iter(handles)
        self.over = threading.Event()

    def __call__(self, request):
        if "/pods" in request.path:
            if "watch=true" in request.path:
                self.over.wait(20)
                stream()(request)
            else:
                items()(request)
            return
        handle = next(self.handles, None)
        if handle is None:
            self.over.wait(20)
            handle = stream()
        handle(request)

    @contextmanager
    def watched(self):
        with serving(self) as server:
            try:
                with api(server) as cluster:
                    watching = Watching(cluster, "r")
                    watching.start()
                    try:
                        yield watching, server
                    finally:
                        watching.stop()
                        self.over.set()
            finally:
                self.over.set()


def eventually(condition):
    waiting = threading.Event()
    for _ in range(500):
        if condition():
            return
        waiting.wait(0.02)
    pytest.fail("it does not happen")


def test_what_is_watched_is_kept_up_to_date():
    story = Story(
        items(named("a"), named("b")),
        stream(change("DELETED", named("b", "8")), change("ADDED", named("c", "9"))),
        stream(change("MODIFIED", {**named("c", "10"), "status": {"active": 1}})),
    )
    with story.watched() as (watching, server):
        eventually(lambda: (watching.job("c") or {}).get("status"))
        assert watching.job("a") == named("a")
        assert watching.job("b") is None
    versions = [query(seen).get("resourceVersion") for seen in server.seen if "/jobs" in seen.path]
    assert versions[:3] == [None, ["7"], ["9"]]  # the second watch goes on where the first one ended


def test_after_an_expired_version_everything_is_listed_again():
    gone = change("ERROR", {"code": 410, "message": "too old"})
    story = Story(items(named("a")), stream(gone), items(named("b"), version="20"))
    with story.watched() as (watching, _):
        eventually(lambda: watching.job("b"))
        assert watching.job("a") is None


def test_after_a_broken_watch_everything_is_listed_again(monkeypatch):
    monkeypatch.setattr("buildpush.cluster.watching._PAUSE_SECONDS", 0.01)
    story = Story(items(named("a")), stream("{", whole=False), items(named("a"), named("b")))
    with story.watched() as (watching, _):
        eventually(lambda: watching.job("b"))


def test_a_watch_that_ends_at_once_again_and_again_is_not_asked_without_a_pause(monkeypatch):
    monkeypatch.setattr("buildpush.cluster.watching._PAUSE_SECONDS", 0.2)
    story = Story(items(named("a")), *[stream()] * 1000)
    with story.watched() as (watching, server):
        eventually(lambda: watching.job("a"))
        threading.Event().wait(0.5)
        assert len([seen for seen in server.seen if "/jobs" in seen.path]) < 10


def test_a_right_that_is_missing_ends_the_watch():
    story = Story(answer(403, said("jobs.batch is forbidden: cannot list")))
    with story.watched() as (watching, _):
        eventually(lambda: watching._failure)
        with pytest.raises(AuthenticationError, match="the cluster refuses to list jobs"):
            watching.job("a")


def test_a_server_that_stays_away_ends_the_watch(monkeypatch):
    monkeypatch.setattr("buildpush.cluster.watching._PAUSE_SECONDS", 0.01)
    monkeypatch.setattr("buildpush.cluster.watching._LONGEST_SECONDS", 0.1)
    story = Story(items(named("a")), *[Handler.reset] * 1000)
    with story.watched() as (watching, _):
        eventually(lambda: watching._failure)
        with pytest.raises(UnreachableError):
            watching.job("a")


def test_what_a_pod_said_last_is_kept_after_its_deletion():
    def pods(request):
        if "/jobs" in request.path:
            (stream() if "watch=true" in request.path else items())(request)
            return
        label = {"buildpush.dev/job": "a"}
        if "watch=true" not in request.path:
            items(named("a-x", **label))(request)
        else:
            gone = {**named("a-x", "8", **label), "status": {"phase": "Failed"}}
            stream(change("DELETED", gone))(request)

    with serving(pods) as server, api(server) as cluster:
        watching = Watching(cluster, "r")
        watching.start()
        eventually(lambda: is_gone(watching.pod("a")))
        assert watching.pod("a")["status"] == {"phase": "Failed"}
        watching.stop()


# ---- logs


def line(second, text, fraction=0):
    return f"2026-11-28T09:00:{second:02}.{fraction:09}Z {text}\n"


def logs(*handles):
    """Serve a log whose stream is as *handles* say, in turn; return the lines, and what was asked for."""
    with serving(in_turn(*handles)) as server, api(server) as cluster:
        log = LogStream(cluster, "p", "build")
        eventually(lambda: len(server.seen) >= len(handles))
        log.end()
        eventually(lambda: log.is_over)
        return log.take(), [query(seen).get("sinceTime") for seen in server.seen]


@pytest.fixture
def _quick(monkeypatch):
    monkeypatch.setattr("buildpush.cluster.logs._PAUSE_SECONDS", 0.01)


@pytest.mark.usefixtures("_quick")
def test_a_log_arrives_line_by_line():
    assert logs(stream(line(1, "one"), line(2, "two")), stream())[0] == ["one", "two"]


@pytest.mark.usefixtures("_quick")
def test_a_log_that_breaks_goes_on_without_loss_or_doubling():
    """The server cuts at whole seconds, so lines come again; also those of the same time, and half of one."""
    whole = [line(1, "a"), line(1, "b", 5), line(1, "b", 5), line(1, "b", 5), line(2, "c"), line(3, "d")]
    lines, since = logs(
        stream(*whole[:3], whole[3][:20], whole=False),
        stream(*whole[:3], whole=False),  # nothing new at all
        stream(*whole[:5], whole[5][:-2], whole=False),
        stream(*whole[4:]),
        stream(whole[5]),
    )
    assert lines == ["a", "b", "b", "b", "c", "d"]
    assert since[:4] == [
        None,
        ["2026-11-28T09:00:01.000000005Z"],
        ["2026-11-28T09:00:01.000000005Z"],
        ["2026-11-28T09:00:02.000000000Z"],
    ]


@pytest.mark.usefixtures("_quick")
def test_the_same_text_at_another_time_is_another_line():
    assert logs(stream(line(1, "a"), whole=False), stream(line(1, "a"), line(1, "a", 1)), stream())[0] == ["a", "a"]


@pytest.mark.usefixtures("_quick")
def test_a_last_line_without_an_end_is_shown():
    text = line(1, "one") + line(2, "no end")[:-1]
    assert logs(stream(text), stream(line(2, "no end")[:-1]))[0] == ["one", "no end"]


@pytest.mark.usefixtures("_quick")
def test_half_a_line_is_shown_once_it_is_whole():
    """A server that goes away may end its stream as if it were over."""
    assert logs(stream(line(1, "whole")[:-3]), stream(line(1, "whole")), stream())[0] == ["whole"]


@pytest.mark.usefixtures("_quick")
def test_a_log_that_is_not_there_yet_is_asked_for_again():
    early = answer(400, said("container is waiting to start", 400, "BadRequest"))
    assert logs(early, early, stream(line(1, "one")), stream())[0] == ["one"]


@pytest.mark.usefixtures("_quick")
def test_a_log_that_is_gone_ends():
    gone = answer(404, said("pods p not found", 404, "NotFound"))
    assert logs(stream(line(1, "one"), whole=False), gone)[0] == ["one"]


def test_a_quiet_container_is_asked_less_and_less(monkeypatch):
    """After its end, its pod stays for some seconds, and each stream ends at once."""
    monkeypatch.setattr("buildpush.cluster.logs._PAUSE_SECONDS", 0.1)
    with serving(stream()) as server, api(server) as cluster:
        log = LogStream(cluster, "p", "build")
        threading.Event().wait(0.6)
        log.end()
        eventually(lambda: log.is_over)
    assert len(server.seen) <= 5


def test_the_end_of_a_container_ends_a_pause_at_once(monkeypatch):
    pauses = []

    class Ending(threading.Event):
        def wait(self, timeout=None):
            pauses.append(timeout)
            return super().wait(timeout)

    monkeypatch.setattr("buildpush.cluster.logs.threading", SimpleNamespace(Event=Ending, Thread=threading.Thread))
    monkeypatch.setattr("buildpush.cluster.logs._PAUSE_SECONDS", 60)
    with (
        serving(in_turn(stream(line(1, "one")), stream(line(1, "one"), line(2, "two")))) as server,
        api(server) as cluster,
    ):
        log = LogStream(cluster, "p", "build")
        eventually(lambda: pauses)  # an end that comes while the stream lasts needs no second one
        log.end()
        eventually(lambda: log.is_over)
        assert log.take() == ["one", "two"]


@pytest.mark.usefixtures("_quick")
def test_bytes_that_are_no_text_do_not_end_a_log():
    assert logs(stream(line(1, "a").encode() + b"2026-11-28T09:00:02Z \xff\n"), stream())[0] == ["a", "\\xff"]
