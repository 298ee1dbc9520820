"""The overlay2 store of a daemon, read where it lies: stores made by hand, and a real daemon's."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import os
import subprocess
import tarfile
from contextlib import closing
from pathlib import Path

import pytest

from buildpush.foundation.errors import DigestError
from buildpush.foundation.events import Note
from buildpush.images.blocks import BLOCK
from buildpush.images.compression import digest_of
from buildpush.transfer import overlay
from buildpush.transfer.daemon import Daemon, connect
from buildpush.transfer.docker_archive import open_docker_archive
from buildpush.transfer.oci import write_layout
from buildpush.transfer.overlay import StoreError

NAME = f"buildpush.test/overlay:{os.getpid()}"
LARGE = os.urandom(BLOCK) * 2 + b"and a bit"


def packed(files, **more) -> bytes:
    """Return a tar: bytes for a file, a string for a symbolic link, ``None`` for a directory."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", **{"format": tarfile.GNU_FORMAT, **more}) as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            if isinstance(content, tarfile.TarInfo):
                content.name = name
                tar.addfile(content)
            elif isinstance(content, bytes):
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
            else:
                member.type = tarfile.DIRTYPE if content is None else tarfile.SYMTYPE
                member.linkname, member.mode = content or "", 0o755
                tar.addfile(member)
    return buffer.getvalue()


def hard(target) -> tarfile.TarInfo:
    member = tarfile.TarInfo()
    member.type, member.linkname = tarfile.LNKTYPE, target
    return member


class Store:
    """A store made by hand, of layers that are tars, and the client of a daemon that has it."""

    base_url, timeout, api_version, headers = "http+docker://localhost", 1, "1.45", ()

    def __init__(self, root: Path, *layers: bytes):
        self.root, self.layers, self.api = root, layers, self
        self.ids = [digest_of(data) for data in layers]
        document = {"os": "linux", "rootfs": {"type": "layers", "diff_ids": list(map(str, self.ids))}}
        self.config = json.dumps(document).encode()
        self.identity = digest_of(self.config)
        self.about: list[Path] = []
        self.exports = 0
        self.driver, self.status = "overlay2", [["Using metacopy", "false"]]
        self._write(root / "image/overlay2/imagedb/content/sha256" / self.identity.hex, self.config)
        chain = ""
        for number, (data, diff_id) in enumerate(zip(layers, self.ids, strict=True)):
            name = hashlib.sha256(f"{chain} {diff_id}".encode()).hexdigest() if chain else diff_id.hex
            self._layer(root / "image/overlay2/layerdb/sha256" / name, data, f"cache{number}")
            chain = f"sha256:{name}"

    def _write(self, path, data):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def _layer(self, about, data, cache_id):
        self.about.append(about)
        files = self.root / "overlay2" / cache_id / "diff"
        files.mkdir(parents=True)
        self._write(about / "diff", str(digest_of(data)).encode())
        self._write(about / "cache-id", cache_id.encode())
        lines = [json.dumps(one) + "\n" for one in self._split(data, files)]
        self._write(about / "tar-split.json.gz", gzip.compress("".join(lines).encode()))

    def _split(self, data, files):
        at = 0
        with tarfile.open(fileobj=io.BytesIO(data), errors="surrogateescape") as tar:
            for member in tar:
                yield {"type": 2, "payload": base64.b64encode(data[at : member.offset_data]).decode(), "position": 0}
                at = member.offset_data + (member.size if member.isreg() else 0)
                raw = os.fsencode(member.name)
                named = {"name": member.name} if raw.isascii() else {"name_raw": base64.b64encode(raw).decode()}
                yield {"type": 1, **named, **({"size": member.size} if member.size else {}), "payload": None}
                if member.isreg() and ".." not in member.name:
                    self._write(files / member.name.lstrip("/"), tar.extractfile(member).read())
        yield {"type": 2, "payload": base64.b64encode(data[at:]).decode(), "position": 0}

    def files(self, number=0) -> Path:
        return self.root / "overlay2" / f"cache{number}" / "diff"

    def found(self) -> overlay.StoredImage:
        return overlay.find(self.root, self.identity, self.ids)

    def info(self):
        return {"Driver": self.driver, "DriverStatus": self.status, "DockerRootDir": str(self.root)}

    def inspect_image(self, _name):
        return {"Id": str(self.identity), "RootFS": {"Layers": list(map(str, self.ids))}, "Os": "linux"}

    def get(self, _url, **_):
        self.exports += 1
        self.status_code, self.close = 200, lambda: None
        return self

    def iter_content(self, _size):
        yield packed({f"blobs/sha256/{digest_of(one).hex}": one for one in (*self.layers, self.config)})


def tars(image) -> list[bytes]:
    return [b"".join(layer.blocks()) for layer in image.layers]


def read_all(image) -> list[bytes]:
    return [reader.read() for _, reader in image.blobs(range(len(image.layers)))]


FIRST = packed({"etc": None, "etc/a": b"a" * 700, "etc/empty": b"", "etc/link": "a", "large": LARGE, "x/y/z": b"z"})
SECOND = packed({"etc/.wh.a": b"", "./etc/b": b"b", "deep/" + "n" * 150: b"long", "/rooted": b"r", "h": hard("etc/b")})


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "docker", FIRST, SECOND)


@pytest.fixture
def events():
    return []


@pytest.fixture
def opened(tmp_path, events):
    return lambda client: Daemon(client, tmp_path, None, events.append).image(NAME)


def notes(events) -> str:
    return "\n".join(event.text for event in events if isinstance(event, Note))


def test_the_layers_are_the_tars_that_they_were(store):
    assert tars(store.found()) == [FIRST, SECOND]
    assert store.found().config == store.config


def test_blocks_are_of_one_size(store):
    assert {len(block) for block in list(store.found().layers[0].blocks())[:-1]} == {BLOCK}


def test_names_that_are_no_utf_8_are_found(tmp_path):
    layer = packed({"caf\udce9/\udcff": b"x", "ü/€": b"y"}, errors="surrogateescape")
    assert tars(Store(tmp_path, layer).found()) == [layer]


def test_an_image_without_layers_and_one_with_an_empty_layer_are_read(tmp_path):
    assert tars(Store(tmp_path / "none").found()) == []
    assert tars(Store(tmp_path / "empty", packed({}), packed({})).found()) == [packed({}), packed({})]


def test_layers_are_read_at_once_and_in_any_order(store):
    image = store.found()
    several = [iter(image.layers[at].blocks()) for at in (1, 0, 0)]
    assert [next(one)[:512] for one in several] == [SECOND[:512], FIRST[:512], FIRST[:512]]
    assert b"".join(image.layers[1].blocks()) == SECOND


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_nothing_stays_open_when_a_layer_is_not_read_to_its_end(store):
    before = descriptors()
    for _ in range(3):
        with closing(store.found().layers[0].blocks()) as blocks:
            next(blocks)
    assert descriptors() == before


@pytest.mark.parametrize(
    "lost",
    ["image/overlay2/imagedb", "image/overlay2/layerdb", "overlay2/cache1", "overlay2/cache0/diff"],
)
def test_a_store_that_is_not_whole_is_refused_before_anything_is_read(store, lost):
    (store.root / lost).rename(store.root / "elsewhere")
    with pytest.raises(StoreError, match="No such file"):
        store.found()


@pytest.mark.parametrize("name", ["tar-split.json.gz", "cache-id", "diff"])
def test_a_layer_about_which_something_is_missing_is_refused(store, name):
    (store.about[1] / name).unlink()
    with pytest.raises(StoreError, match=name):
        store.found()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("diff", str(digest_of(b"other")).encode(), "is not the layer"),
        ("cache-id", b"../../etc", "no directory"),
        ("cache-id", b"", "no directory"),
        ("cache-id", b"\xff", "cannot be parsed"),
    ],
)
def test_a_layer_that_is_another_one_is_refused(store, name, content, message):
    (store.about[0] / name).write_bytes(content)
    with pytest.raises(StoreError, match=message):
        store.found()


def test_a_configuration_that_is_another_one_is_refused(store):
    (store.root / "image/overlay2/imagedb/content/sha256" / store.identity.hex).write_bytes(b"{}")
    with pytest.raises(StoreError, match="has a different image"):
        store.found()


def test_layers_that_are_not_those_of_the_configuration_are_refused(store):
    with pytest.raises(StoreError, match="has a different image"):
        overlay.find(store.root, store.identity, store.ids[:1])


@pytest.mark.parametrize(
    "line",
    ['{"type":1,"name":"../secret","size":1}', '{"type":1,"name":"etc/../../secret","size":1}'],
)
def test_no_name_leads_out_of_the_layer(store, line):
    (store.files().parent / "secret").write_text("s")
    (store.about[0] / "tar-split.json.gz").write_bytes(gzip.compress(line.encode()))
    with pytest.raises(StoreError):
        tars(store.found())


@pytest.mark.parametrize("which", ["x", "x/y", "x/y/z"])
def test_no_link_is_followed_neither_a_file_nor_a_directory_above_it(store, which, tmp_path):
    path = store.files() / which
    path.rename(tmp_path / "moved")
    path.symlink_to(tmp_path / "moved")
    with pytest.raises(StoreError, match=r"Not a directory|symbolic links"):
        tars(store.found())


def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(store):
    (store.files() / "x/y/z").unlink()
    os.mkfifo(store.files() / "x/y/z")
    with pytest.raises(StoreError, match="truncated"):
        tars(store.found())


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no gzip",
        *(gzip.compress(one, mtime=0) for one in (b"no json", b"[]", b"{}", b"7", b'{"type":2,"payload":"?"}')),
    ],
)
def test_what_cannot_be_understood_is_no_layer(store, content):
    (store.about[0] / "tar-split.json.gz").write_bytes(content)
    try:
        found = tars(store.found())[0]
    except StoreError:
        return
    assert digest_of(found) != store.ids[0]  # and so refused by whoever takes it


def test_the_store_of_another_kind_or_place_is_not_looked_at(store):
    assert overlay.store_of(store.info()) == store.root
    for other in ({"Driver": "vfs"}, {"DriverStatus": [["Using metacopy", "true"]]}, {"DockerRootDir": "/not/here"}):
        assert overlay.store_of({**store.info(), **other}) is None
    assert overlay.store_of({}) is None


def test_a_daemon_whose_store_may_be_read_exports_nothing(store, opened, events):
    with opened(store) as image:
        assert image.random_access
        assert (image.config, [layer.diff_id for layer in image.layers]) == (store.config, store.ids)
        assert read_all(image) == [FIRST, SECOND]
    assert store.exports == 0
    assert notes(events) == f"the layers of {NAME} are read from the daemon's own store, {store.root}"


def test_a_store_that_is_not_whole_is_left_alone_and_that_is_said(store, opened, events):
    (store.about[1] / "tar-split.json.gz").unlink()
    with opened(store) as image:
        assert {at: reader.read() for at, reader in image.blobs([0, 1])} == {0: FIRST, 1: SECOND}
    assert store.exports == 1
    assert "are read from the daemon's export: " in notes(events)
    assert "No such file" in notes(events)


def test_a_daemon_of_another_machine_is_asked_for_the_export(store, opened, events):
    store.base_url = "http://elsewhere:2375"
    with opened(store) as image:
        assert not image.random_access
    assert not events


def test_an_older_docker_has_the_same_store(store, opened):
    store.api_version = "1.41"
    with opened(store) as image:
        assert read_all(image) == [FIRST, SECOND]
    assert store.exports == 0


@pytest.mark.parametrize("name", ["large", "etc/a", "x/y/z"])
@pytest.mark.parametrize("now", [None, b"short"])
def test_where_a_file_is_not_what_it_was_the_export_goes_on(store, opened, events, name, now):
    path = store.files() / name
    path.unlink()
    if now and len(now) < {"large": len(LARGE), "etc/a": 700}.get(name, 0):
        path.write_bytes(LARGE[:5] if name == "large" else b"aaaaa")
    with opened(store) as image:
        assert read_all(image) == [FIRST, SECOND]
    assert store.exports == 1
    assert "the rest of a layer" in notes(events)


def test_a_file_with_other_bytes_is_an_error_of_its_digest(store, opened, tmp_path):
    (store.files() / "etc/a").write_bytes(b"b" * 700)
    with opened(store) as image, pytest.raises(DigestError):
        write_layout(image, tmp_path / "layout")


# From here on, a real daemon with this store.

# What setcap cap_net_bind_service+ep writes.
PRIVILEGED = "\1\0\0\2\0\4" + 14 * "\0"
RUN = r"""
cd /data
ln hello hard; ln -s hello soft; ln -s /data/deep alias
echo latin > "$(printf 'caf\351')"; echo utf > größe
truncate -s 5M sparse; echo end >> sparse
rm gone; rm -r old; mkdir old; echo new > old/new; chown 1000:1000 hello; chmod 4755 hello
"""


@pytest.fixture(scope="module")
def host(tmp_path_factory, start_daemon, need):
    need("docker", "dockerd", "unshare")
    with start_daemon(Path(tmp_path_factory.mktemp("dockerd")), "overlay2") as found:
        if "not supported" in found or "needs root" in found:
            pytest.skip(f"this machine has no overlay2 store: {found[-200:]}")
        if not found.startswith("unix://"):
            pytest.fail(f"a second daemon does not start: {found}")
        yield found


def docker(host, *argv) -> str:
    return subprocess.run(["docker", "--host", host, *argv], check=True, capture_output=True, text=True).stdout.strip()


def privileged() -> tarfile.TarInfo:
    member = tarfile.TarInfo()
    member.pax_headers = {"SCHILY.xattr.security.capability": PRIVILEGED}
    return member


@pytest.fixture
def built(host, tmp_path, busybox):
    """Build an image with everything that a layer can hold; one layer of it is of a container that was committed."""
    context = tmp_path / "context"
    for path, content in {
        "hello": b"hello",
        "gone": b"gone",
        "old/one": b"1",
        "deep/" + "d" * 120 + "/" + "f" * 120: b"long",
        "large": LARGE,
        "empty": b"",
    }.items():
        file = context / "data" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    base = tmp_path / "base.tar"
    base.write_bytes(packed({"able": privileged()}, format=tarfile.PAX_FORMAT))
    docker(host, "import", str(base), f"{NAME}-first")
    (context / "busybox").write_bytes(busybox.read_bytes())
    (context / "busybox").chmod(0o755)
    (context / "run").write_text("PATH=/bin\n/bin/busybox --install /bin\n" + RUN)
    lines = [f"FROM {NAME}-first", "COPY busybox /bin/busybox", "COPY data /data", "COPY run /run.sh"]
    lines += ['RUN ["/bin/busybox", "sh", "-e", "/run.sh"]', "WORKDIR /data"]
    (context / "Dockerfile").write_text("\n".join(lines))
    docker(host, "build", "--quiet", "--network", "none", "--tag", f"{NAME}-base", str(context))
    container = docker(host, "create", "--network", "none", f"{NAME}-base", "x")
    docker(host, "cp", str(context / "run"), f"{container}:/data/copied")
    docker(host, "commit", container, NAME)
    yield NAME
    docker(host, "rm", container)
    docker(host, "rmi", "--force", NAME, f"{NAME}-base", f"{NAME}-first")


@pytest.mark.engines
def test_a_real_store_gives_what_the_export_gives(host, built, tmp_path, events):
    docker(host, "save", "--output", str(tmp_path / "saved.tar"), built)
    saved = open_docker_archive(tmp_path / "saved.tar")
    with (
        closing(connect({"DOCKER_HOST": host}, tmp_path)) as client,
        Daemon(client, tmp_path, None, events.append).image(built) as image,
    ):
        assert image.config == saved.config
        assert read_all(image) == read_all(saved)
    assert "the daemon's own store" in notes(events)
    assert len(events) == 1


@pytest.mark.engines
def test_a_real_image_has_what_makes_layers_difficult(host, built, tmp_path):
    """Else the test above would say less than it seems."""
    members = {}
    with closing(connect({"DOCKER_HOST": host}, tmp_path)) as client, Daemon(client, tmp_path).image(built) as image:
        for layer in read_all(image):
            with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
                members |= {member.name: member for member in tar}
    assert {"data/caf\udce9", "data/größe", "data/.wh.gone", "data/copied"} <= members.keys()
    assert members["data/hello"].islnk() or members["data/hard"].islnk()
    assert members["data/soft"].issym()
    assert "SCHILY.xattr.security.capability" in members["able"].pax_headers
    assert any(len(name) > 240 for name in members)


@pytest.mark.engines
def test_an_ordinary_user_gets_the_export(host, built, tmp_path, events):
    """The daemon may be asked by who is in its group; its store is root's alone."""
    with closing(connect({"DOCKER_HOST": host}, tmp_path)) as client:
        root = overlay.store_of(client.info())
        said = client.api.inspect_image(built)
        for directory in list(root.parents)[:-2]:
            directory.chmod(directory.stat().st_mode | 0o055)
        Path(host.removeprefix("unix://")).chmod(0o666)
        os.seteuid(65534)
        try:
            with Daemon(client, tmp_path, None, events.append).image(said["Id"]) as image:
                assert not image.random_access
        finally:
            os.seteuid(0)
    assert "read from the daemon's export" in notes(events)
    assert "Permission denied" in notes(events)
