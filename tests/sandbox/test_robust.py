"""The sandbox as a server: killed at any moment, asked by many at once, and sent what is too large."""

import hashlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace

import pytest
import urllib3

from buildpush.foundation.secrets import Secret

APP = "docker-local/app"
ROUNDS = 4
PUSHERS = 4
MANY = 200
MEGABYTE = 1024 * 1024


@contextmanager
def serving(*words):
    """Start the command; yield what a client needs, and the process."""
    command = [sys.executable, "-m", "buildpush", "sandbox", "--port", "0", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            rows = {}
            while "token" not in rows:
                name, _, value = process.stdout.readline().rstrip().partition("  ")
                rows[name] = value.strip()
            host = rows["registry"].partition("/")[0]
            secret = Secret(rows["password"], "test")
            yield SimpleNamespace(
                process=process, host=host, url=f"http://{host}", username=rows["user"], password=secret
            )
        finally:
            process.kill()
            process.stdout.read()


def push_and_publish(client, name, confirmed):
    """Push images and publish builds until the server is gone; record what it confirmed, and how to ask for it."""
    build = {"version": "1.0.1", "name": name, "started": "2026-01-02T03:04:05.678+0000", "modules": []}
    with suppress(urllib3.exceptions.HTTPError, OSError):
        for number in range(1000):
            layer = random.randbytes(random.choice([10, 100_000, 2_000_000]))
            manifest = client.make_manifest(APP, layer, labels={"name": name, "number": str(number)})
            layers = [*json.loads(manifest)["layers"], json.loads(manifest)["config"]]
            confirmed += [(f"/v2/{APP}/blobs/{one['digest']}", one["digest"]) for one in layers]
            if client.put_manifest(APP, f"{name}-{number}", manifest).status == 201:
                confirmed.append((f"/v2/{APP}/manifests/{name}-{number}", client.digest_of(manifest)))
            body = json.dumps({**build, "number": str(number)}).encode()
            if client.send("PUT", "/artifactory/api/build", body=body).status == 204:
                confirmed.append((f"/artifactory/api/build/{name}/{number}", None))


@pytest.mark.programs
def test_a_kill_at_any_moment_loses_nothing_that_was_confirmed(tmp_path, connect):
    confirmed = []
    for number in range(ROUNDS):
        with serving("--data", str(tmp_path / "data")) as box, ThreadPoolExecutor(PUSHERS) as pool:
            for path, digest in confirmed:
                answer = connect(box).send("GET", path)
                assert answer.status == 200, path
                assert digest is None or connect(box).digest_of(answer.data) == digest
            before = len(confirmed)
            for pusher in range(PUSHERS):
                pool.submit(push_and_publish, connect(box), f"r{number}p{pusher}", confirmed)
            until = time.monotonic() + 20
            while len(confirmed) < before + PUSHERS and time.monotonic() < until:
                time.sleep(0.01)
            time.sleep(random.uniform(0, 0.7))
            box.process.send_signal(signal.SIGKILL)
        assert len(confirmed) > before
    with serving("--data", str(tmp_path / "data")):  # it starts, and has swept what was not confirmed
        content = [path for path in (tmp_path / "data" / "content").rglob("*") if path.is_file()]
        assert all(path.name == hashlib.sha256(path.read_bytes()).hexdigest() for path in content)


@pytest.mark.sandbox
def test_many_clients_push_and_pull_at_once(box, connect):
    def act(number):
        client = connect(box)
        digest = client.push(APP, f"t{number}", random.randbytes(20_000), b"common")
        return digest == client.digest_of(client.send("GET", f"/v2/{APP}/manifests/t{number}").data)

    with ThreadPoolExecutor(MANY) as pool:
        assert all(pool.map(act, range(MANY)))
    assert len(box.tags(APP)) == MANY


def peak(process):
    """Return the most bytes of memory that a process had."""
    status = Path(f"/proc/{process.pid}/status")
    if not status.exists():
        pytest.skip("needs /proc, to see the memory of a process")
    (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


@pytest.mark.programs
def test_the_size_of_a_blob_does_not_matter_to_memory(connect):
    block = os.urandom(MEGABYTE)
    with serving() as box:
        client = connect(box)
        client.push(APP, "1", block)
        before = peak(box.process)
        location = client.send("POST", f"/v2/{APP}/blobs/uploads/").headers["Location"]
        assert client.send("PATCH", location, body=(block for _ in range(200))).status == 202
        answer = client.send("PUT", f"{location}?digest={client.digest_of(block * 200)}")
        assert len(client.send("GET", answer.headers["Location"]).data) == 200 * MEGABYTE
        assert peak(box.process) - before < 20 * MEGABYTE


def exchange(box, data):
    host, _, port = box.host.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection, suppress(ConnectionError):
        connection.sendall(data)
        return connection.recv(65536)
    return b""


@pytest.mark.sandbox
@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET /v2/" + b"a" * 100_000 + b" HTTP/1.1\r\n", 400),
        (b"GET /v2/ HTTP/1.1\r\nX: " + b"a" * 100_000 + b"\r\n", 400),
        (b"GET /v2/ HTTP/1.1\r\n" + b"X: y\r\n" * 10_000, 400),
        (b"GET /v2/ HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n", 400),
        (b"GET /v2/docker-local/app/manifests/%ff%00 HTTP/1.1\r\n", 401),
    ],
)
def test_a_head_that_is_too_large_or_broken_is_refused(head, status, box):
    answer = exchange(box, head + f"Host: {box.host}\r\n\r\n".encode())
    assert answer == b"" or answer.startswith((f"HTTP/1.1 {status} ".encode(), b"HTTP/1.0 400"))
    assert exchange(box, b"GET /artifactory/api/system/ping HTTP/1.1\r\nHost: x\r\n\r\n").endswith(b"OK")


@pytest.mark.sandbox
def test_no_more_of_a_manifest_is_kept_than_a_manifest_may_have(box, client):
    answer = client.put_manifest(APP, "1", bytes(30 * MEGABYTE))
    assert answer.status == 413
    assert box.requests[-1].received < 6 * MEGABYTE
