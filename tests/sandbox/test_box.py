"""The sandbox as Python code sees it: it starts, stops, survives and says clearly why it cannot."""

import http.client
import os
import signal
import socket
import ssl
import sys
import threading
import time
from pathlib import Path

import pytest

from buildpush.foundation.errors import SettingsError
from buildpush.sandbox import Sandbox, serve
from tests.sandbox.conftest import Client

pytestmark = pytest.mark.sandbox


def ask(box, path="/artifactory/api/system/ping", **headers):
    host, _, port = box.host.rpartition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=5)
    try:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def test_it_answers_while_with_lasts():
    with Sandbox() as box:
        assert ask(box) == (200, "OK")
    with pytest.raises(ConnectionRefusedError):
        ask(box)


def test_it_says_where_it_is():
    with Sandbox() as box:
        assert box.url == f"http://{box.host}"
        assert box.artifactory_url == f"{box.url}/artifactory/"
        assert box.repository == "docker-local"


def test_it_leaves_no_thread_and_no_directory():
    before = set(threading.enumerate())
    with Sandbox() as box:
        directory = box._store.content.path("00").parents[2]
        assert directory.exists()
    assert set(threading.enumerate()) <= before
    assert not directory.exists()


def test_its_directory_names_the_process_that_a_sweep_asks_about():
    with Sandbox() as box:
        names = [part for part in box._store.content.path("00").parts if part.startswith("buildpush-")]
        assert names[0].startswith(f"buildpush-{os.getpid()}-")


def test_it_stops_at_once_although_a_client_stays_connected(client, box):
    idle = socket.create_connection(("127.0.0.1", int(box.host.rpartition(":")[2])))
    client.send("GET", "/v2/")
    location = client.send("POST", "/v2/docker-local/app/blobs/uploads/").headers["Location"]
    idle.sendall(
        f"PATCH {location.removeprefix(box.url)} HTTP/1.1\r\nHost: x\r\nAuthorization: {client.basic}\r\n"
        "Content-Length: 100\r\n\r\nhalf".encode()
    )
    begun = time.monotonic()
    box.close()
    idle.close()
    assert time.monotonic() - begun < 1


def test_closing_twice_does_nothing():
    with Sandbox() as box:
        pass
    box.close()


def test_two_run_side_by_side():
    with Sandbox() as one, Sandbox() as two:
        assert one.host != two.host
        assert one.password != two.password
        assert ask(one) == ask(two) == (200, "OK")


def test_it_survives_a_restart(tmp_path, connect):
    with Sandbox(tmp_path) as box:
        first = connect(box)
        digest = first.push("docker-local/app", "1", b"layer")
        first.send("PUT", "/artifactory/api/storage/docker-local/app/1?properties=stage=dev")
        password, files = box.password, box.files()
    with Sandbox(tmp_path) as box:
        second = connect(box, password=password)
        assert second.send("GET", "/v2/docker-local/app/manifests/1").headers["Docker-Content-Digest"] == digest
        assert box.files() == files
        assert box.properties("docker-local", "app/1/manifest.json")["stage"] == ["dev"]


def test_a_restart_forgets_what_nothing_names(tmp_path, connect):
    now = [1_000_000.0]
    with Sandbox(tmp_path, clock=lambda: now[0]) as box:
        one = connect(box)
        blob = one.push_blob("docker-local/app", b"abandoned")
        kept = one.push("docker-local/app", "1", b"layer")
        one.send("PATCH", one.send("POST", "/v2/docker-local/app/blobs/uploads/").headers["Location"], body=b"half")
    now[0] += 25 * 3600
    with Sandbox(tmp_path, clock=lambda: now[0]) as box:
        assert not box.has_blob(blob["digest"])
        assert box.has_blob(kept)
        contents = [path for path in (tmp_path / "content").rglob("*") if path.is_file()]
        assert len(contents) == 3
        assert list((tmp_path / "incoming").iterdir()) == []


def test_a_port_that_is_taken_is_an_error_that_names_another(box):
    port = int(box.host.rpartition(":")[2])
    with pytest.raises(SettingsError, match=f":{port}: Address already in use") as caught, Sandbox(port=port):
        pass
    assert f"--port {port + 1}" in caught.value.hint
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_port_that_is_none_is_an_error(port):
    with pytest.raises(SettingsError, match="cannot listen"), Sandbox(port=port):
        pass


@pytest.mark.programs
def test_a_host_that_is_not_this_machine_is_an_error():
    with pytest.raises(SettingsError, match=r"cannot listen on 192\.0\.2\.1"), Sandbox(host="192.0.2.1"):
        pass


def test_a_data_directory_that_is_a_file_is_an_error(tmp_path):
    (tmp_path / "data").write_text("not a folder")
    with pytest.raises(SettingsError, match="cannot use the data directory") as caught, Sandbox(tmp_path / "data"):
        pass
    assert "--data" in caught.value.hint


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a directory in which even root may not write")
def test_a_data_directory_that_cannot_be_written_to_is_an_error():
    with pytest.raises(SettingsError, match="cannot use the data directory"), Sandbox(Path("/proc/self/data")):
        pass


def test_a_throw_away_sandbox_starts_among_temporary_directories_of_any_mode(tmp_path, monkeypatch):
    """In Kubernetes an emptyDir on /tmp has mode 777: the tutorial refused to start there."""
    tmp_path.chmod(0o777)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with Sandbox() as box:
        assert box.host


def test_a_data_directory_that_another_sandbox_uses_is_an_error(tmp_path):
    with (
        Sandbox(tmp_path),
        pytest.raises(SettingsError, match="another sandbox uses the data directory"),
        Sandbox(tmp_path),
    ):
        pass


def test_an_index_that_is_none_is_an_error(tmp_path):
    (tmp_path / "index.sqlite").write_bytes(b"rubbish" * 1000)
    with pytest.raises(SettingsError, match="cannot use the data directory"), Sandbox(tmp_path):
        pass


def test_without_aiohttp_it_says_what_to_install(monkeypatch):
    monkeypatch.delitem(sys.modules, "buildpush.sandbox.server", raising=False)
    monkeypatch.delattr("buildpush.sandbox.server", raising=False)
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    with pytest.raises(SettingsError) as caught, Sandbox():
        pass
    assert "buildpush[sandbox]" in caught.value.hint


def test_a_client_that_tries_tls_is_answered_in_plain_http(box):
    """Docker does, and goes on without TLS only when the answer begins with HTTP/."""
    host, _, port = box.host.rpartition(":")
    with socket.create_connection((host, int(port))) as plain:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        with pytest.raises(ssl.SSLWantReadError):
            ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname="localhost").do_handshake()
        plain.sendall(outgoing.read())
        assert plain.recv(5) == b"HTTP/"


@pytest.mark.parametrize("path", ["/nothing", "/artifactory/nothing", "/v2/%ff", "/ui/nothing", "/v2/../../etc/passwd"])
def test_an_address_that_leads_nowhere_is_no_mistake_of_the_sandbox(box, client, path):
    assert client.send("GET", path).status in {400, 404}
    assert box.failures == []


def test_a_full_disk_is_told_as_such(box, client, monkeypatch):
    def full(*_args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("buildpush.sandbox.content.Incoming._write", full)
    location = client.send("POST", "/v2/docker-local/app/blobs/uploads/").headers["Location"]
    answer = client.send("PATCH", location, body=b"data")
    assert (answer.status, "No space left" in answer.data.decode()) == (507, True)


def test_a_mistake_of_the_sandbox_is_kept_and_told_without_a_traceback(connect, monkeypatch):
    with Sandbox() as box:
        monkeypatch.setattr(box._store, "repositories", lambda: 1 / 0)
        one = connect(box)
        answer = one.send("GET", "/v2/_catalog")
        assert answer.status == 500
        assert b"Traceback" not in answer.data
        (failure,) = box.failures
        assert isinstance(failure, ZeroDivisionError)


def test_requests_tell_what_happened(box, client):
    client.push_blob("docker-local/app", b"12345")
    (request,) = box.requests
    assert (request.method, request.status, request.username, request.received) == ("POST", 201, box.username, 5)
    assert request.path == "/v2/docker-local/app/blobs/uploads/"
    assert str(request) == f"POST {request.path}?digest={client.digest_of(b'12345')} 201"


def test_several_uploads_at_once_do_not_mix(box, client):
    data = [bytes([number]) * 400_000 for number in range(6)]
    threads = [threading.Thread(target=client.push_blob, args=("docker-local/app", one)) for one in data]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(box.has_blob(client.digest_of(one)) for one in data)


def test_serve_announces_itself_and_stops_when_told():
    seen, stop = [], threading.Event()

    def announce(box):
        seen.append(ask(box))
        stop.set()

    serve(0, None, announce=announce, stop=stop)
    assert seen == [(200, "OK")]


def test_serve_ends_with_ctrl_c():
    def announce(_box):
        threading.Timer(0.05, signal.raise_signal, [signal.SIGINT]).start()

    with pytest.raises(KeyboardInterrupt):
        serve(0, None, announce=announce)


def test_the_data_are_for_their_owner_only_whatever_the_umask_says(tmp_path):
    before = os.umask(0)
    try:
        with Sandbox(tmp_path / "data") as box:
            client = Client(box)
            client.push_blob("docker-local/app", b"a layer")
            client.send("POST", "/v2/docker-local/app/blobs/uploads/")
            client.close()
            paths = [tmp_path / "data", *(tmp_path / "data").rglob("*")]
            assert any(path.is_file() and path.parent.parent.name == "content" for path in paths)
            for path in paths:
                assert not path.stat().st_mode & 0o077, path
    finally:
        os.umask(before)


def test_a_data_directory_that_others_may_write_to_is_refused(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data").chmod(0o777)
    with pytest.raises(SettingsError, match="others may write to it"):
        Sandbox(tmp_path / "data").__enter__()
