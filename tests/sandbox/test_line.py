"""A line passes on what it is given, and breaks exactly where it was told to."""

import socket
import threading
import time
from contextlib import contextmanager, suppress

import pytest

from buildpush.foundation.errors import SettingsError
from buildpush.sandbox import Line

pytestmark = pytest.mark.sandbox

DATA = bytes(range(256)) * 4096  # 1 MiB
LIMIT_SECONDS = 20


class Server:
    """Keeps what each connection brings; says *early* at once, and *answer* when the client has ended."""

    def __init__(self, answer=b"thanks"):
        self.answer = answer
        self.early = b""
        self.bodies = []
        self.ended = threading.Semaphore(0)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.host = f"127.0.0.1:{self._socket.getsockname()[1]}"
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self):
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            body = bytearray()
            self.bodies.append(body)
            self._threads.append(threading.Thread(target=self._serve, args=(connection, body)))
            self._threads[-1].start()

    def _serve(self, connection, body):
        with connection:
            connection.settimeout(LIMIT_SECONDS)
            try:
                connection.sendall(self.early)
                while piece := connection.recv(65536):
                    body += piece
                connection.sendall(self.answer)
            except OSError:
                pass
        self.ended.release()

    def wait(self, connections=1):
        for _ in range(connections):
            assert self.ended.acquire(timeout=LIMIT_SECONDS)

    def close(self):
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        for thread in self._threads:
            thread.join(LIMIT_SECONDS)


@pytest.fixture
def server():
    made = Server()
    yield made
    made.close()


@contextmanager
def connected(line):
    host, _, port = line.host.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=LIMIT_SECONDS) as client:
        yield client


def read_all(client):
    pieces = []
    while piece := client.recv(65536):
        pieces.append(piece)
    return b"".join(pieces)


def exchange(line, data=DATA):
    with connected(line) as client:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        return read_all(client)


def send_until_reset(line, data=DATA):
    def talk():
        with connected(line) as client:
            client.sendall(data)
            client.recv(1)

    # It may come so early that connecting fails already.
    with pytest.raises((ConnectionResetError, BrokenPipeError)):
        talk()


def test_everything_passes_and_is_counted(server):
    with Line(server.host) as line:
        assert exchange(line) == b"thanks"
        assert (line.connections, line.sent, line.received) == (1, len(DATA), len(b"thanks"))
    assert server.bodies == [DATA]
    assert line.hits == []


def asked(client, request):
    client.sendall(request.encode())
    return client.recv(1000)


def test_a_tunnel_leads_where_its_client_asks_and_counts_from_there(server):
    with Line("127.0.0.1:1", tunnel=True, reset_after=300_001) as line, connected(line) as client:
        answer = asked(client, f"CONNECT {server.host} HTTP/1.1\r\nHost: {server.host}\r\n\r\n")
        assert answer == b"HTTP/1.1 200 Connection established\r\n\r\n"
        with suppress(ConnectionResetError, BrokenPipeError):
            client.sendall(DATA)
        server.wait()
        assert server.bodies == [DATA[:300_001]]
        assert line.sent == 300_001


@pytest.mark.parametrize("request_line", ["GET / HTTP/1.1", "CONNECT nowhere HTTP/1.1", "CONNECT 127.0.0.1:1 HTTP/1.1"])
def test_a_tunnel_to_nowhere_is_reset(request_line):
    with Line("127.0.0.1:1", tunnel=True) as line, connected(line) as client, pytest.raises(ConnectionResetError):
        asked(client, f"{request_line}\r\n\r\n")


def test_a_client_that_leaves_before_it_asks_for_a_tunnel_leaves_nothing_open():
    with Line("127.0.0.1:1", tunnel=True) as line, connected(line) as client:
        client.sendall(b"CONN")
        client.shutdown(socket.SHUT_WR)
        assert client.recv(1) == b""


def test_a_large_answer_passes_to_a_client_that_reads_late(server):
    server.answer = DATA * 8
    with Line(server.host) as line:
        assert exchange(line, b"please") == DATA * 8


def test_a_reset_comes_after_exactly_so_many_bytes(server):
    with Line(server.host, reset_after=300_001) as line:
        send_until_reset(line)
        server.wait()
        assert server.bodies == [DATA[:300_001]]
        assert [what for _seconds, what in line.hits] == ["reset"]


def test_every_connection_is_hit_unless_told_otherwise(server):
    with Line(server.host, reset_after=1000) as line:
        for _ in range(3):
            send_until_reset(line)
        server.wait(3)
        assert [len(body) for body in server.bodies] == [1000] * 3


def test_only_so_many_connections_are_hit(server):
    with Line(server.host, reset_after=1000, times=2) as line:
        for _ in range(2):
            send_until_reset(line)
        assert exchange(line) == b"thanks"
        assert (line.connections, len(line.hits)) == (3, 2)


def test_a_connection_that_is_shorter_is_not_hit_and_not_counted(server):
    with Line(server.host, reset_after=1000, times=1) as line:
        assert exchange(line, b"short") == b"thanks"
        send_until_reset(line)


def test_a_stalled_line_stays_open_and_passes_nothing(server):
    with Line(server.host, stall_after=1000) as line:
        with connected(line) as client:
            client.sendall(DATA[:2000])
            client.settimeout(0.1)
            with pytest.raises(TimeoutError):
                client.recv(1)
            assert line.sent == 1000
        assert not server.ended.acquire(timeout=0.1)
    server.wait()
    assert server.bodies == [DATA[:1000]]


def test_an_answer_is_cut_short_and_the_connection_ends_in_order(server):
    with Line(server.host, truncate_after=4) as line:
        assert exchange(line) == b"than"
        assert [what for _seconds, what in line.hits] == ["truncated"]


def test_an_answer_is_cut_short_although_the_client_still_sends(server):
    server.early = b"refused, because"
    with Line(server.host, truncate_after=7) as line, connected(line) as client:
        assert read_all(client) == b"refused"
        client.sendall(DATA)


def test_one_bit_is_flipped(server):
    with Line(server.host, flip_at=70_000) as line:
        assert exchange(line) == b"thanks"
    (body,) = server.bodies
    assert [at for at, (one, other) in enumerate(zip(body, DATA, strict=True)) if one != other] == [70_000]
    assert body[70_000] ^ DATA[70_000] == 1


def test_misfortunes_add_up(server):
    with Line(server.host, flip_at=1, reset_after=3, times=1) as line:
        send_until_reset(line, b"aaaa")
        server.wait()
        assert server.bodies == [b"a`a"]
        assert [what for _seconds, what in line.hits] == ["flipped", "reset"]
        assert exchange(line, b"aaaa") == b"thanks"


def test_a_slow_line_takes_its_time(server):
    with Line(server.host, bytes_per_second=1_000_000) as line:
        begun = time.monotonic()
        assert exchange(line, DATA[:300_000]) == b"thanks"
        assert time.monotonic() - begun >= 0.2


def test_a_line_can_break_and_be_mended_while_it_is_open(server):
    with Line(server.host) as line:
        assert exchange(line) == b"thanks"
        line.reset_after = 10
        send_until_reset(line)
        line.reset_after = None
        assert exchange(line) == b"thanks"


def test_history_tells_bytes_over_time(server):
    with Line(server.host, bytes_per_second=1_000_000) as line:
        exchange(line, DATA[:200_000])
    seconds, sent = zip(*line.history, strict=True)
    assert (seconds[0], sent[0], sent[-1]) == (0.0, 0, 200_000)
    assert list(seconds) == sorted(seconds)
    assert list(sent) == sorted(sent)
    assert len(sent) > 3


def test_a_server_that_is_not_there_resets_the_client():
    with socket.create_server(("127.0.0.1", 0)) as unused:
        host = f"127.0.0.1:{unused.getsockname()[1]}"
    with Line(host) as line:
        send_until_reset(line, b"hello")
        assert line.sent == 0


def test_a_client_that_resets_is_passed_on(server):
    with Line(server.host) as line, connected(line) as client:
        client.sendall(b"hello")
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.close()
        server.wait()


def test_closing_ends_every_connection_and_leaves_no_thread(server):
    before = threading.active_count()
    line = Line(server.host)
    with line:
        rude = [socket.create_connection(("127.0.0.1", int(line.host.rpartition(":")[2]))) for _ in range(5)]
        for one in rude:
            one.sendall(b"half")
    line.close()
    for one in rude:
        one.settimeout(LIMIT_SECONDS)
        with one, suppress(ConnectionResetError):
            assert one.recv(1) == b""
    server.wait(len(server.bodies))
    assert threading.active_count() <= before + len(server.bodies)


@pytest.mark.parametrize("upstream", ["", "localhost", "host:", ":80", "host:http", "host:70000"])
def test_an_upstream_that_is_no_address_is_an_error(upstream):
    with pytest.raises(SettingsError, match="HOST:PORT"):
        Line(upstream)


@pytest.mark.parametrize("wrong", [{"reset_after": 0}, {"flip_at": -1}, {"bytes_per_second": -5.0}, {"times": -1}])
def test_a_number_that_makes_no_sense_is_an_error(wrong):
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        Line("127.0.0.1:1", **wrong)


def test_a_port_that_is_taken_is_an_error(server):
    port = int(server.host.rpartition(":")[2])
    with pytest.raises(SettingsError, match=f":{port}: Address already in use"), Line(server.host, port=port):
        pass


def test_a_push_passes_through_a_line_to_the_sandbox(box, client):
    """Addresses that the sandbox gives lead through the line too, because it answers under the name it was asked."""
    with Line(box.host) as line:
        answer = client.send("POST", f"http://{line.host}/v2/docker-local/app/blobs/uploads/")
        assert answer.headers["Location"].startswith(f"http://{line.host}/")
