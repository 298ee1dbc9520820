"""The native engine makes the images that BuildKit makes, without a daemon."""

from __future__ import annotations

import io
import os
import stat
import tarfile
from contextlib import suppress
from dataclasses import replace
from functools import partial

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import buildpush
from buildpush.dockerfile.platforms import machine
from buildpush.foundation.errors import BuildError, BuildPushError, ContextError, DockerfileError, UnreachableError
from buildpush.foundation.events import Note
from buildpush.http.client import Http
from buildpush.http.download import download
from buildpush.images.model import Index, Platform


def refused(directory, text, kind=BuildError, **changes):
    with pytest.raises(kind) as caught:
        directory.tree(text, **changes)
    return caught.value


def test_a_directory_is_copied_with_modes_links_and_root_as_owner(directory):
    directory.write("site/index.html", "hi")
    directory.write("site/run", "#!", mode=0o755)
    (directory.root / "site/empty").mkdir()
    (directory.root / "site/link").symlink_to("../elsewhere")

    found = directory.tree("FROM scratch\nCOPY site /srv/www\n")

    assert {path: repr(thing) for path, thing in found.items()} == {
        "srv": "directory 0755 0:0 ''",
        "srv/www": "directory 0755 0:0 ''",
        "srv/www/empty": "directory 0755 0:0 ''",
        "srv/www/index.html": "file 0644 0:0 'hi'",
        "srv/www/link": "link 0777 0:0 '../elsewhere'",
        "srv/www/run": "file 0755 0:0 '#!'",
    }


@pytest.mark.parametrize(
    ("copy", "paths"),
    [
        ("COPY a /x", ["x"]),
        ("COPY a /x/", ["x", "x/a"]),
        ("COPY a .", ["a"]),
        ("WORKDIR /w\nCOPY a b/", ["w", "w/b", "w/b/a"]),
        ("WORKDIR /w\nCOPY a .", ["w", "w/a"]),
        ("COPY d /x", ["x", "x/e", "x/e/f"]),
        ("COPY d/ a /x/", ["x", "x/a", "x/e", "x/e/f"]),
        ("COPY d/e/* /x/", ["x", "x/f"]),
        ("COPY */e /x/", ["x", "x/f"]),
        ("COPY *.nope /x/", []),
        ("COPY [a-b] /x/", ["x", "x/a"]),
        ("COPY ../a /x", ["x"]),
        ('COPY ["a", "/x y"]', ["x y"]),
        ("COPY la /x", ["x"]),
        ("COPY ld /x", ["x", "x/e", "x/e/f"]),
        ("COPY ld/e/f /x", ["x"]),
        ('ARG P=a\nCOPY ${P} "/x"', ["x"]),
        ("COPY --link a /x/y", ["x", "x/y"]),
    ],
)
def test_copy_lands_where_buildkit_lands_it(directory, copy, paths):
    directory.write("a", "1")
    directory.write("d/e/f", "2")
    directory.write("Dockerfile")
    (directory.root / "la").symlink_to("a")
    (directory.root / "ld").symlink_to("d")
    assert sorted(directory.tree(f"FROM scratch\n{copy}\n")) == paths


def test_chown_and_chmod_reach_new_directories_too(directory):
    directory.write("d/e/f")
    found = directory.tree("FROM scratch\nCOPY --chown=7:8 --chmod=1750 d /x/y\n")
    assert {repr(found[path]) for path in ("x", "x/y")} == {"directory 0750 7:8 ''"}
    assert repr(found["x/y/e"]) == "directory 1750 7:8 ''"
    assert repr(found["x/y/e/f"]) == "file 1750 7:8 ''"


def test_a_user_without_group_has_the_group_of_the_same_number(directory):
    directory.write("a")
    assert directory.tree("FROM scratch\nCOPY --chown=7 a /a\n")["a"].owner == (7, 7)


def test_names_of_users_are_looked_up_in_the_image(directory, make_base):
    directory.write("a")
    directory.bases["base.test/b:1"] = make_base(
        {"etc/passwd": "root:x:0:0::/:\napp:x:5:6::/:\n", "etc/group": "staff:x:9:\n"}, kind="gzip"
    )
    found = directory.layers(
        "FROM base.test/b:1\nCOPY --chown=app a /a\nCOPY --chown=app:staff a /b\nUSER app\nWORKDIR /w"
    )
    assert found[1]["a"].owner == (5, 6)
    assert found[3]["w"].owner == (5, 6)


def test_an_unknown_user_is_an_error_with_its_line(directory):
    directory.write("a")
    error = refused(directory, "FROM scratch\n\nCOPY --chown=app a /a\n")
    assert error.where == "Dockerfile:3"
    assert "/etc/passwd" in str(error)


def test_a_stage_gives_its_files_to_another(directory):
    directory.write("a", "A")
    directory.write("d/b", "B")
    found = directory.tree(
        "FROM scratch AS one\nCOPY --chown=3:4 a d /x/\n"
        "FROM scratch\nCOPY --from=one /x /y\nCOPY --from=0 /x/a /z/\nCOPY --from=one x/* /g/\n"
    )
    assert repr(found["y/b"]) == "file 0644 3:4 'B'"
    assert repr(found["z/a"]) == "file 0644 3:4 'A'"
    assert found["y"].owner == (0, 0)
    assert sorted(path for path in found if path.startswith("g")) == ["g", "g/a", "g/b"]


def test_a_stage_that_nothing_needs_is_not_built(directory):
    directory.write("a")
    assert directory.tree("FROM scratch AS broken\nRUN x\nFROM scratch\nCOPY a /\n")
    assert directory.tree("FROM scratch AS good\nCOPY a /\nFROM nowhere.test/x\nRUN x\n", target="good")


@pytest.mark.parametrize("kind", ["plain", "gzip", "zstd"])
def test_a_base_image_keeps_its_layers_and_gives_files(directory, make_base, kind):
    directory.write("a", "new")
    files = {"etc/": "700", "etc/one": "1", "etc/two": "=>etc/one", "lib": "->usr/lib", "usr/": "", "usr/lib/": ""}
    directory.bases["base.test/b:1"] = base = make_base(files, kind=kind, Env=["A=1"], Cmd=["x"])
    text = "FROM base.test/b:1 AS b\nCOPY a /lib/a\nCOPY a /etc/\n"
    text += "FROM scratch\nCOPY --from=b /etc /e\nCOPY --from=b /lib/a /l\n"

    with directory.built(text, target="b") as image:
        assert image.layers[0] is base.layers[0]
        below = directory.files_of(image)
    whole = directory.tree(text)

    assert "lib/a" not in below
    assert below["usr/lib/a"].text == "new"
    assert below["etc"].mode == 0o700
    assert (whole["e/one"].text, whole["e/two"].text, whole["l"].text) == ("1", "1", "new")


def test_hard_links_survive_inside_one_copied_directory(directory):
    directory.write("d/a", "same")
    os.link(directory.root / "d/a", directory.root / "d/b")
    (layer,) = directory.layers("FROM scratch\nCOPY d /x\n")
    assert (layer["x/b"].kind, layer["x/b"].text) == ("hard", "x/a")


def test_deletions_of_a_base_image_are_seen(directory, make_base):
    directory.bases["base.test/b:1"] = make_base({"d/": "", "d/a": "1", "d/b": "2", "d/.wh.a": ""})
    assert sorted(directory.tree("FROM base.test/b:1 AS b\nFROM scratch\nCOPY --from=b /d /x\n")) == ["x", "x/b"]


def test_copy_from_an_image_pulls_it(directory, make_base):
    directory.bases["base.test/b:1"] = make_base({"a": "1"})
    assert directory.tree("FROM scratch\nCOPY --from=base.test/b:1 /a /b\n")["b"].text == "1"


def test_configuration_is_what_buildkit_writes(directory):
    found = directory.config(
        "FROM scratch\nARG V=1\nENV A=$V B='x y'\nENV C=$A-$B A=2\nLABEL l=\"$A\"\nEXPOSE 80 8080:81/udp 90-91\n"
        'VOLUME ["/data"]\nUSER 1:2\nSTOPSIGNAL quit\nSHELL ["/bin/ash", "-c"]\nCMD run $A\n'
        'HEALTHCHECK --interval=1m30s --retries=3 CMD ["t"]\nMAINTAINER me\nONBUILD COPY a b\n',
        labels={"m": "n"},
    )
    assert found["config"] == {
        "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "A=2", "B=x y", "C=1-x y"],
        "WorkingDir": "/",
        "Labels": {"l": "2", "m": "n"},
        "ExposedPorts": {"80/tcp": {}, "81/udp": {}, "90/tcp": {}, "91/tcp": {}},
        "Volumes": {"/data": {}},
        "User": "1:2",
        "StopSignal": "quit",
        "Shell": ["/bin/ash", "-c"],
        "Cmd": ["/bin/ash", "-c", "run $A"],
        "ArgsEscaped": True,
        "Healthcheck": {"Test": ["CMD", "t"], "Interval": 90_000_000_000, "Retries": 3},
        "OnBuild": ["COPY a b"],
    }
    assert (found["author"], found["created"]) == ("me", "2023-11-14T22:13:20Z")
    assert found["rootfs"] == {"type": "layers", "diff_ids": []}


def test_the_history_reads_as_buildkit_writes_it(directory):
    directory.write("a")
    text = (
        "FROM scratch\nARG X=1\nWORKDIR /w\nCOPY --chown=1 a a ./\nEXPOSE 80\nVOLUME /a /b\n"
        'ENTRYPOINT ["e", "f"]\nCMD c\nHEALTHCHECK NONE\n'
    )
    history = directory.config(text)["history"]
    assert [(line["created_by"], line.get("empty_layer", False)) for line in history] == [
        ("ARG X=1", True),
        ("WORKDIR /w", False),
        ("COPY --chown=1 a a ./ # buildkit", False),
        ("EXPOSE [80/tcp]", True),
        ("VOLUME [/a /b]", True),
        ('ENTRYPOINT ["e" "f"]', True),
        ('CMD ["/bin/sh" "-c" "c"]', True),
        ("HEALTHCHECK {Test:[NONE] Interval:0s Timeout:0s StartPeriod:0s StartInterval:0s Retries:0}", True),
    ]


def test_an_entrypoint_resets_the_command_of_the_base_only(directory, make_base):
    directory.bases["base.test/b:1"] = make_base({}, Cmd=["x"])
    assert "Cmd" not in directory.config('FROM base.test/b:1\nENTRYPOINT ["e"]\n')["config"]
    assert directory.config('FROM base.test/b:1\nCMD ["c"]\nENTRYPOINT ["e"]\n')["config"]["Cmd"] == ["c"]


def test_arguments_come_from_the_user_the_head_and_the_platform(directory):
    text = (
        "ARG G=g\nFROM scratch\nARG G\nARG A=1\nARG TARGETARCH\nARG N\n"
        'LABEL a=$A g=$G t=$TARGETARCH n="${N-none}" h=$HIDDEN\n'
    )
    labels = directory.config(text, build_args={"A": "2"})["config"]["Labels"]
    assert labels == {"a": "2", "g": "g", "t": "amd64", "n": "none", "h": ""}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("ENV A=1\nARG A=2", "2"),
        ("ARG A=2\nENV A=1", "1"),
        ("ENV A=1\nARG A", "1"),
        ("ARG A=1\nFROM one", "1"),
        ("ENV A=1\nARG A=2\nFROM one", "1"),
        ("ARG B=1 A=$B", "1"),
        ("ARG A=1\nARG A", "1"),
        ("ARG B=A\nARG $B=1", ""),
    ],
)
def test_the_last_that_sets_a_variable_counts(directory, text, value):
    """A stage sees the arguments of the stage it begins from, but variables of the image come after them."""
    found = directory.config(f"FROM scratch AS one\n{text}\nLABEL l=$A\n")
    assert found["config"]["Labels"] == {"l": value}


def test_a_default_that_the_user_overrides_is_not_looked_at(directory):
    found = directory.config("FROM scratch\nARG A=${no:?way}\nLABEL l=$A\n", build_args={"A": "1"})
    assert found["config"]["Labels"] == {"l": "1"}


def test_an_image_without_path_gets_one(directory, make_base):
    directory.bases["base.test/b:1"] = make_base({}, Env=["A=1", "B=2", "A=3"])
    environment = directory.config("FROM base.test/b:1\nENV A=4 $N=5\nLABEL l=$PATH\n")["config"]["Env"]
    assert environment == [
        "A=4",
        "B=2",
        "A=3",
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "=5",
    ]


@pytest.mark.parametrize(
    ("text", "ports"),
    [
        ("EXPOSE 90 80 80", "80/tcp 80/tcp 90/tcp"),
        ("EXPOSE 9 80/UDP 81/", "80/udp 81/tcp 9/tcp"),
        ("EXPOSE 1:2 127.0.0.1:3:4 [::1]:5:6 ::1:7:8/sctp", "4/tcp 2/tcp 8/sctp 6/tcp"),
        ("EXPOSE 1-3:4 7-7 +8 0-1", "8/tcp 0/tcp 1/tcp 4/tcp 7/tcp"),
        ('ARG P="1 2"\nEXPOSE 3 $P', "1/tcp 2/tcp 3/tcp"),
        ("EXPOSE $N ''", ""),
    ],
)
def test_ports_stand_in_the_order_of_what_was_written_sorted(directory, text, ports):
    found = directory.config(f"FROM scratch\n{text}\n")
    assert found["history"][-1]["created_by"] == f"EXPOSE [{ports}]"
    assert found["config"].get("ExposedPorts", {}) == {port: {} for port in ports.split()}


@pytest.mark.parametrize(
    ("flags", "shown", "kept"),
    [
        ("--interval=90s --retries=+3", "Interval:1m30s Timeout:0s", {"Interval": 90_000_000_000, "Retries": 3}),
        ("--interval=1.0005s --retries=", "Interval:1.0005s Timeout:0s", {"Interval": 1_000_500_000}),
        ("--timeout=2h0.5s", "Interval:0s Timeout:2h0m0.5s", {"Timeout": 7_200_500_000_000}),
        ("--timeout=1ms5us --interval=-0", "Interval:0s Timeout:1.005ms", {"Timeout": 1_005_000}),
        ("--timeout=.0015s --interval=0s", "Interval:0s Timeout:1.5ms", {"Timeout": 1_500_000}),
        ("--timeout=60m --interval=", "Interval:0s Timeout:1h0m0s", {"Timeout": 3_600_000_000_000}),
    ],
)
def test_durations_read_as_go_reads_and_prints_them(directory, flags, shown, kept):
    found = directory.config(f"FROM scratch\nHEALTHCHECK {flags} CMD a b\n")
    rest = f"StartPeriod:0s StartInterval:0s Retries:{kept.get('Retries', 0)}"
    assert found["history"][-1]["created_by"] == f"HEALTHCHECK {{Test:[CMD-SHELL a b] {shown} {rest}}}"
    assert found["config"]["Healthcheck"] == {"Test": ["CMD-SHELL", "a b"], **kept}


@pytest.mark.parametrize("signal", ["65", "-3", "+2", "rtmin+15", "SIGRTMAX-14", "sigCLD"])
def test_a_signal_is_any_number_or_a_name(directory, signal):
    assert directory.config(f"FROM scratch\nSTOPSIGNAL {signal}\n")["config"]["StopSignal"] == signal


def test_commands_stand_in_the_history_as_go_quotes_them(directory):
    words = r'["a\"\\", "\n\t\u0007\u001b\u007f", "é\u00a0\u2028", "\udb40\udc01"]'
    line = directory.config(f"FROM scratch\nCMD {words}\n")["history"][-1]["created_by"]
    assert line == r'CMD ["a\"\\" "\n\t\a\x1b\x7f" "é\u00a0\u2028" "\U000e0001"]'


def test_a_user_that_a_variable_leaves_blank_is_root(directory):
    found = directory.config("FROM scratch\nUSER 5\nUSER $N\n")
    assert ("User" in found["config"], found["history"][-1]["created_by"]) == (False, "USER ")


def test_a_build_argument_that_nothing_asks_for_is_noted(directory):
    directory.config("FROM scratch\nARG A\n", build_args={"A": "1", "B": "2", "HTTP_PROXY": "x"})
    assert [event.text for event in directory.events if isinstance(event, Note)] == [
        "no ARG of the Dockerfile declares the build arguments B"
    ]


def test_several_platforms_make_an_index(directory):
    directory.dockerfile("FROM scratch\nARG TARGETARCH\nLABEL a=$TARGETARCH\n")
    platforms = (Platform("linux", "amd64"), Platform("linux", "arm", "v7"))
    with directory.built(platforms=platforms) as index:
        assert isinstance(index, Index)
        assert [image.platform for image in index.images] == list(platforms)
        assert b'"variant":"v7"' in index.images[1].config


@pytest.mark.parametrize("flag", ["--platform=$BUILDPLATFORM", "--platform=linux/s390x"])
def test_scratch_is_for_the_target_whatever_from_says(directory, flag):
    directory.dockerfile(f"FROM {flag} scratch\nLABEL a=b\n")
    with directory.built(platforms=(Platform("linux", "arm64"),)) as image:
        assert (image.platform.architecture, directory.config_of(image)["architecture"]) == ("arm64", "arm64")


@pytest.mark.parametrize("name", ["s", "0"])
def test_a_trigger_may_copy_from_a_stage_that_nothing_else_needs(directory, name):
    directory.write("a")
    text = f"FROM scratch AS s\nCOPY a /b\nFROM scratch AS base\nONBUILD COPY --from={name} /b /c\nFROM base\n"
    assert directory.tree(text).keys() == {"c"}


MALFORMED = [
    b"[]",
    b'{"config": "x"}',
    b'{"config": [1]}',
    b'{"config": {"Env": "A=b"}}',
    b'{"config": {"Env": [1]}}',
    b'{"config": {"OnBuild": [null]}}',
    b'{"config": {"Labels": ["a"]}}',
    b'{"config": {"Labels": {"a": 1}}}',
    b'{"config": {"Volumes": "/x"}}',
    b'{"config": {"User": 7}}',
    b'{"history": {"created_by": "x"}}',
]


@pytest.mark.parametrize("config", MALFORMED)
def test_a_base_image_with_a_configuration_that_is_none_is_refused(directory, make_base, config):
    directory.bases["a.test/base:1"] = replace(make_base({}), config=config)
    text = "FROM a.test/base:1\nENV A=b\nLABEL c=d\nVOLUME /e\nEXPOSE 1\nWORKDIR f\n"
    assert "configuration of the base image" in str(refused(directory, text, BuildError))


def test_a_layer_of_a_base_image_with_a_time_that_is_none_is_refused(directory, make_base):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        member = tarfile.TarInfo("x")
        member.pax_headers = {"mtime": "inf"}
        tar.addfile(member)
    base = make_base({})
    directory.bases["a.test/base:1"] = replace(base, blobs=lambda _wanted: [(0, io.BytesIO(buffer.getvalue()))])
    directory.write("a")
    assert "cannot be read" in str(refused(directory, "FROM a.test/base:1\nCOPY a /x/\n", BuildError))


def test_triggers_of_a_base_image_are_done(directory, make_base):
    directory.write("a", "1")
    directory.bases["base.test/b:1"] = make_base({}, OnBuild=["COPY a /t", "LABEL x=y"])
    with directory.built("FROM base.test/b:1\n") as image:
        assert directory.files_of(image)["t"].text == "1"
    assert "OnBuild" not in directory.config("FROM base.test/b:1\n")["config"]


def test_a_trigger_may_hold_the_text_of_a_file(directory, make_base):
    directory.bases["base.test/b:1"] = make_base({}, OnBuild=["COPY <<E /t\nhello\nE"])
    assert directory.tree("FROM base.test/b:1\n")["t"].text == "hello\n"


@pytest.mark.parametrize("address", ["http://[::1/x?planted", "https://a:b/x?planted"])
def test_an_address_that_is_none_is_an_error_with_its_line(directory, address):
    error = refused(directory, f"FROM scratch\nADD {address} /x/\n")
    assert (error.where, "is not an address" in str(error), "planted" in str(error)) == ("Dockerfile:2", True, False)
    with suppress(BuildPushError):
        buildpush.check(cwd=directory.root, env={"HOME": "/"}, repo="a.test/b/c", engine="native")


@pytest.mark.sandbox
def test_a_file_of_the_web_that_cannot_be_reached_is_an_error_with_its_line(directory):
    directory.dockerfile("FROM scratch\nADD http://127.0.0.1:1/x /x\n")
    with Http(sleep=lambda _seconds: None) as http:
        engine = directory.engine(fetch=partial(download, http, most=1_000_000))
        with pytest.raises(UnreachableError) as caught, engine.build(directory.request()):
            pass
    assert caught.value.where == "Dockerfile:2"


def test_a_heredoc_becomes_a_file(directory):
    found = directory.tree("FROM scratch\nARG A=1\nCOPY <<x <<'y' /d/\na=$A \"q\"\nx\nb=$A\ny\nCOPY <<z /e\nz\n")
    assert (found["d/x"].text, found["d/y"].text, found["e"].text) == ('a=1 "q"\n', "b=$A\n", "")


@pytest.mark.parametrize("kind", ["", "gz", "bz2", "xz"])
def test_add_unpacks_archives(directory, kind):
    with tarfile.open(directory.root / "a.tar", f"w:{kind}") as tar:
        for name in ("one", "sub/two", "../three"):
            member = tarfile.TarInfo(name)
            member.size, member.uid = 1, 9
            tar.addfile(member, io.BytesIO(b"x"))
    found = directory.tree("FROM scratch\nADD a.tar /x/\n")
    assert sorted(found) == ["x", "x/one", "x/sub", "x/sub/two", "x/three"]
    assert found["x/one"].owner == (9, 0)


def test_a_file_in_an_archive_replaces_a_directory_with_all_that_was_in_it(directory):
    with tarfile.open(directory.root / "a.tar", "w") as tar:
        for name in ("d/e/f/g", "d"):
            member = tarfile.TarInfo(name)
            member.size = 1
            tar.addfile(member, io.BytesIO(b"x"))
    found = directory.tree("FROM scratch\nADD a.tar /x/\n")
    assert (sorted(found), found["x/d"].kind) == (["x", "x/d"], "file")


def test_add_copies_what_is_no_archive(directory):
    directory.write("a.gz", b"\x1f\x8bnot really")
    directory.write("d/f")
    assert sorted(directory.tree("FROM scratch\nADD a.gz d /x/\n")) == ["x", "x/a.gz", "x/f"]


def tar_of(*members: tuple[str, bytes, dict[str, object]]) -> bytes:
    """Return a tar of members: name, type, and what else is said of each."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, kind, facts in members:
            member = tarfile.TarInfo(name)
            member.type = kind
            for fact, value in facts.items():
                setattr(member, fact, value)
            tar.addfile(member)
    return buffer.getvalue()


CAPABLE = {"pax_headers": {"SCHILY.xattr.security.capability": "\x01\0\0\x02\0\x04\udcff"}, "mode": 0o755}
SPECIAL = (
    ("c", tarfile.CHRTYPE, {"devmajor": 1, "devminor": 3, "mode": 0o666}),
    ("b", tarfile.BLKTYPE, {"devmajor": 7, "devminor": 300}),
    ("p", tarfile.FIFOTYPE, {"mode": 0o600}),
    ("cap", tarfile.REGTYPE, CAPABLE),
    ("cap2", tarfile.LNKTYPE, {"linkname": "cap", "mode": 0o755}),
    ("l", tarfile.SYMTYPE, {"linkname": "./a//../\udcfe\udcff"}),
)


def seen(raw: bytes) -> dict[str, tuple[object, ...]]:
    """Return what a tar says of each member that is more than a file of bytes."""
    with tarfile.open(fileobj=io.BytesIO(raw)) as tar:
        return {
            member.name: (
                member.type, member.mode, member.devmajor, member.devminor, member.linkname,
                member.pax_headers.get("SCHILY.xattr.security.capability"),
            )
            for member in tar
        }  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "FROM scratch\nADD a.tar /\n",
        "FROM scratch AS s\nADD a.tar /\nFROM scratch\nCOPY --from=s / /\n",
        "FROM scratch\nCOPY --from=base.test/b:1 / /\n",
    ],
)
def test_devices_pipes_capabilities_and_the_bytes_of_links_come_through(directory, make_base, text):
    (directory.root / "a.tar").write_bytes(tar_of(*SPECIAL))
    base = make_base({})
    blobs = lambda wanted: ((at, io.BytesIO(tar_of(*SPECIAL))) for at in wanted)  # noqa: E731
    directory.bases["base.test/b:1"] = replace(base, blobs=blobs)
    with directory.built(text) as image:
        found = seen(directory.bytes_of(image)[-1])
    capability = CAPABLE["pax_headers"]["SCHILY.xattr.security.capability"]
    assert found == {
        "c": (tarfile.CHRTYPE, 0o666, 1, 3, "", None),
        "b": (tarfile.BLKTYPE, 0o644, 7, 300, "", None),
        "p": (tarfile.FIFOTYPE, 0o600, 0, 0, "", None),
        "cap": (tarfile.REGTYPE, 0o755, 0, 0, "", capability),
        "cap2": (tarfile.LNKTYPE, 0o755, 0, 0, "cap", capability),
        "l": (tarfile.SYMTYPE, 0o777, 0, 0, "./a//../\udcfe\udcff", None),
    }


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("RUN true", "RUN"),
        ("ADD https://example.com/x.git /", "git repository"),
        ("ADD git@example.com:x /", "git repository"),
        ("ADD ${NOTHING:-git@example.com:x} /", "git repository"),
        ("ADD --keep-git-dir https://example.com/x.git /", "--keep-git-dir"),
        ("ADD --checksum=sha256:00 a /", "--checksum"),
        ("COPY --exclude=[ a /", "malformed pattern"),
        ("COPY --parents [ /", "malformed pattern"),
        ("COPY --chmod=u+y a /", "mode"),
        ("COPY --chmod=98 a /", "mode"),
        ("COPY --from=3 a /", "no stage with that number"),
        ("COPY --from=$x a /", "variable"),
        ("EXPOSE nope", "port"),
        ("EXPOSE 65536", "port"),
        ("EXPOSE 9-8", "port"),
        ("EXPOSE -1", "port"),
        ("EXPOSE 80/x", "port"),
        ("EXPOSE 1-3:4-5", "port"),
        ("EXPOSE x:80", "port"),
        ("EXPOSE a:1:2", "port"),
        ("STOPSIGNAL 0", "signal"),
        ("STOPSIGNAL RTMAX-15", "signal"),
        ("HEALTHCHECK --interval=-1s CMD x", "millisecond"),
        ("HEALTHCHECK --interval=2562048h CMD x", "duration"),
        ("HEALTHCHECK --interval=.s CMD x", "duration"),
        ("HEALTHCHECK --retries=2147483648 CMD x", "number"),
        ("HEALTHCHECK --interval=5 CMD x", "duration"),
        ("HEALTHCHECK --retries=x CMD x", "number"),
        ("LABEL a=${b", "missing"),
        ("EXPOSE ${b", "missing"),
        ("COPY <<x /x\n${b\nx", "modifier"),
        ("COPY --from=scratch a /", "no files"),
        ("COPY --from=No:Tag a /", "repository path"),
        ("HEALTHCHECK --interval=1us CMD x", "millisecond"),
        ("VOLUME $nope", "empty path"),
        ('COPY ["a", "/\\u0000"]', "NUL"),
        ("FROM --platform=what scratch", "platform"),
        ("FROM --platform=$NOBODY scratch", "blank"),
        ("FROM No/Such", "repository path"),
    ],
)
def test_what_cannot_be_done_is_an_error_with_its_line(directory, text, words):
    directory.write("a")
    error = refused(directory, f"FROM scratch\n\n{text}\n", DockerfileError)
    assert error.where == "Dockerfile:3"
    assert words in str(error)


@pytest.mark.parametrize(
    "text",
    [
        "COPY [ /x",
        "COPY --from=0 [ /x",
        "COPY --from=0 nope /x",
        'COPY ["\\u0000*", "/x"]',
        "COPY nope*/../../x/a /x",
        "COPY d/f/g /x",
        "COPY around/a /x",
        "ADD nope /x",
        "WORKDIR /file/x",
    ],
)
def test_a_source_that_cannot_be_is_an_error_with_its_line(directory, text):
    directory.write("a")
    directory.write("d/f")
    (directory.root / "around").symlink_to("around")
    error = refused(directory, f"FROM scratch\nCOPY a /file\nFROM scratch\nCOPY a /file\n{text}\n")
    assert error.where == "Dockerfile:5"


def test_a_link_inside_the_context_may_go_up_and_down(directory):
    directory.write("d/e/f", "1")
    (directory.root / "d/up").symlink_to("../d/./e")
    assert directory.tree("FROM scratch\nCOPY d/up/f /x\n")["x"].text == "1"


def test_opaque_directories_and_links_of_a_base_image_are_understood(directory, make_base):
    files = {
        "d/": "",
        "d/a": "1",
        "d/.wh..wh..opq": "",
        "d/b": "2",
        "up": "->../d/./b",
        "loop": "->loop",
        "x": "=>gone",
    }
    directory.bases["base.test/b:1"] = make_base(files)
    text = "FROM base.test/b:1 AS b\nFROM scratch\nCOPY --from=b /d /d\nCOPY --from=b /up /u\n"
    assert sorted(directory.tree(text)) == ["d", "d/b", "u"]
    assert "cycle" in str(refused(directory, text + "COPY --from=b /loop /l\n"))


def test_a_file_takes_the_place_of_a_directory_only_in_an_archive(directory):
    directory.write("d/x/y")
    with tarfile.open(directory.root / "a.tar", "w") as tar:
        tar.addfile(tarfile.TarInfo("x"))
    assert directory.layers("FROM scratch\nCOPY d /\nADD a.tar /\n")[1]["x"].kind == "file"


def test_a_user_is_also_found_in_a_file_of_the_context(directory):
    directory.write("etc/passwd", "app:x:5:6::/:\nbad:x\n")
    text = "FROM scratch\nCOPY etc /etc\nCOPY <<group /etc/\ng:x:7:\ngroup\n"
    text += "COPY --chown=app:g etc /x\nUSER :7\nWORKDIR /w\n"
    found = directory.tree(text)
    assert found["x"].owner == (5, 7)
    assert found["w"].owner == (0, 7)


@pytest.mark.parametrize("config", [b"no json", b"[]", b"3"])
def test_a_base_image_whose_configuration_is_broken_is_an_error(directory, make_base, config):
    from dataclasses import replace

    directory.bases["base.test/b:1"] = replace(make_base({}), config=config)
    assert "configuration" in str(refused(directory, "FROM base.test/b:1\n"))


def test_a_base_image_that_gives_no_layers_is_an_error(directory, make_base):
    from dataclasses import replace

    directory.write("a")
    directory.bases["base.test/b:1"] = replace(make_base({}), blobs=lambda _: iter(()))
    assert "does not provide its layer" in str(refused(directory, "FROM base.test/b:1\nCOPY a /\n"))


BY_PLATFORM = """FROM scratch AS base-amd64
COPY a /a
FROM scratch AS base-arm64
RUN x
FROM base-$TARGETARCH
"""


@pytest.mark.parametrize(
    ("here", "platforms", "line"),
    [("amd64", (), None), ("arm64", (), 4), ("amd64", ("arm64",), 4), ("arm64", ("amd64", "arm64"), 4)],
)
def test_a_stage_that_is_chosen_by_platform_is_looked_at(directory, here, platforms, line):
    directory.write("a")
    directory.dockerfile(BY_PLATFORM)
    engine = directory.engine(platform=Platform("linux", here))
    request = directory.request(platforms=tuple(Platform("linux", one) for one in platforms))
    assert engine.refuses(request) == (f"Dockerfile:{line}: RUN" if line else None)


def test_the_machine_says_what_is_built_without_a_platform(monkeypatch):
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    assert str(machine()) == "linux/arm64"


PIECES = st.sampled_from(
    [
        *("FROM scratch\n", "FROM scratch AS s\n", "FROM s\n", "COPY a /x\n", "COPY d/ /x/\n", "COPY --from=s /x /y\n"),
        *(
            "ADD d*/* ./\n",
            "WORKDIR x/..\n",
            "COPY . /\n",
            "COPY l ",
            "COPY --chown=",
            "--chmod=777 ",
            "1:2 ",
            "/x ",
            "..",
            "\n",
        ),
        *(
            "COPY ",
            "$A",
            "${A:-",
            "}",
            "[",
            "*",
            "ARG A=/x\n",
            "ENV A=$A$A\n",
            "LABEL a=",
            '"',
            "EXPOSE ",
            "1-3",
            "VOLUME ",
        ),
        *("USER ", "ONBUILD COPY a /\n", "HEALTHCHECK CMD ", "<<E", "\nE\n", "--link ", "x/y/../z", "\\"),
    ]
)


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(PIECES, max_size=14))
def test_whatever_a_dockerfile_says_ends_in_an_image_or_an_error_of_ours(directory, pieces):
    directory.write("a", "1")
    directory.write("d/e/f", "2")
    if not (directory.root / "l").is_symlink():
        (directory.root / "l").symlink_to("d/e")
    with suppress(BuildPushError):
        directory.tree("FROM scratch\n" + "".join(pieces))


def test_a_run_names_the_engine_that_can(directory):
    directory.dockerfile("FROM scratch\nRUN true\n")
    assert directory.engine().refuses(directory.request()) == "Dockerfile:2: RUN"
    assert refused(directory, None).hint == "use engine: docker"


def test_a_trigger_with_run_is_refused_at_the_line_of_from(directory, make_base):
    directory.bases["base.test/b:1"] = make_base({}, OnBuild=["RUN x"])
    assert refused(directory, "#\nFROM base.test/b:1\n").where == "Dockerfile:2"


def test_a_missing_source_names_what_is_near(directory):
    directory.write("src/server.py")
    error = refused(directory, "FROM scratch\nCOPY src/sever.py /\n", ContextError)
    assert error.where == "Dockerfile:2"
    assert error.hint == "did you mean src/server.py?"


def test_a_source_that_dockerignore_hides_is_said_to_be_hidden(directory):
    directory.write("a.log")
    directory.write(".dockerignore", "x\n*.log\n")
    error = refused(directory, "FROM scratch\nCOPY a.log /\n", ContextError)
    assert ".dockerignore hides it" in str(error)
    assert error.hint.startswith(".dockerignore:2, '*.log'")


def test_dockerignore_leaves_files_out_and_keeps_exceptions(directory):
    for name in ("a", "b/c", "b/keep", "n/x", "Dockerfile"):
        directory.write(name)
    directory.write(".dockerignore", "b\n!b/keep\nn\n.dockerignore\nDockerfile\n")
    assert sorted(directory.tree("FROM scratch\nCOPY . /\n")) == ["a", "b", "b/keep"]
    assert sorted(directory.tree("FROM scratch\nCOPY b /b\n")) == ["b", "b/keep"]


@pytest.mark.parametrize("target", ["/etc/passwd", "../secret", "loop"])
def test_a_source_through_a_link_out_of_the_context_is_refused(directory, target):
    (directory.root.parent / "secret").write_text("s")
    (directory.root / "loop").symlink_to(target)
    error = refused(directory, "FROM scratch\nCOPY loop /\n", ContextError)
    assert error.where == "Dockerfile:2"
    assert "context" in str(error)


def test_a_pipe_and_the_bytes_of_a_link_are_taken_from_the_context(directory):
    (directory.root / "d").mkdir()
    os.mkfifo(directory.root / "d/pipe", 0o640)
    os.symlink("./x//../\udcfe", directory.root / "d/l")  # noqa: PTH211 - of a Path it is cleaned
    with directory.built("FROM scratch\nCOPY d /\n") as image:
        found = seen(directory.bytes_of(image)[0])
    assert found["pipe"][:2] == (tarfile.FIFOTYPE, 0o640)
    assert found["l"][4] == "./x//../\udcfe"


@pytest.mark.parametrize("source", ["d", "d/*"])
def test_a_socket_is_left_out_with_a_note_and_refused_where_it_is_named(directory, source):
    directory.write("d/a")
    os.mknod(directory.root / "d/s", stat.S_IFSOCK | 0o600)
    assert set(directory.layers(f"FROM scratch\nCOPY {source} /x/\n")[0]) == {"x", "x/a"}
    assert [str(event) for event in directory.events if isinstance(event, Note) and "d/s is a socket" in str(event)]
    assert "d/s is a socket" in str(refused(directory, "FROM scratch\nCOPY d/s /\n", ContextError))


def test_extended_attributes_of_an_archive_that_stay_behind_are_noted(directory):
    marks = {"pax_headers": {"SCHILY.xattr.user.x": "1", **CAPABLE["pax_headers"]}}
    (directory.root / "a.tar").write_bytes(tar_of(("a", tarfile.REGTYPE, marks)))
    directory.tree("FROM scratch\nADD a.tar /\n")
    (note,) = [event.text for event in directory.events if isinstance(event, Note)]
    assert note.endswith("a.tar has extended attributes that an image cannot contain: user.x")


def test_a_further_context_has_only_a_dockerignore_of_its_own(directory, tmp_path):
    further = tmp_path / "further"
    further.mkdir()
    for name in ("a", "b", "Dockerfile"):
        (further / name).write_text(name)
    (further / ".dockerignore").write_text("a")
    (further / "Dockerfile.dockerignore").write_text("b")
    found = directory.layers("FROM scratch\nCOPY --from=more . /x/\n", build_contexts={"more": str(further)})[0]
    assert set(found) == {"x", "x/b", "x/Dockerfile", "x/.dockerignore", "x/Dockerfile.dockerignore"}


def test_a_link_with_an_absolute_target_is_followed_inside_the_context(directory):
    directory.write("d/a", "x")
    (directory.root / "l").symlink_to("/d/a")
    (directory.root / "up").symlink_to("../../d")
    found = directory.layers("FROM scratch\nCOPY l up /\n")[0]
    assert (found["l"].text, found["a"].text) == ("x", "x")


def test_a_link_that_is_left_out_leads_nowhere(directory):
    directory.write("d/a", "x")
    directory.write(".dockerignore", "l")
    (directory.root / "l").symlink_to("d")
    (directory.root / "around").symlink_to("l/../d/a")
    (directory.root / "wild").symlink_to("l")
    for source in ("l/a", "l/*", "around", "w*"):
        assert "hides it" in str(refused(directory, f"FROM scratch\nCOPY {source} /\n", ContextError))


@pytest.mark.parametrize("origin", ["", "--from=s "])
def test_wildcards_walk_through_no_link_and_a_match_that_leads_nowhere_is_an_error(directory, origin):
    directory.write("d/w/a/x", "a")
    directory.write("d/w/b/x", "b")
    (directory.root / "d/w/l").symlink_to("a")
    (directory.root / "d/gone").symlink_to("nowhere")
    begin = "FROM scratch AS s\nCOPY . /\nFROM scratch\n"
    assert directory.tree(f"{begin}COPY {origin}d/w/*/x /\n")["x"].text == "b"
    assert set(directory.tree(f"{begin}COPY {origin}d/w/[^x]/x d/w[^x]b/x /o/\n")) == {"o", "o/x"}
    refused(directory, f"{begin}COPY {origin}d/g* /\n", ContextError)
    refused(directory, f"{begin}COPY {origin}d/gone/* /\n", ContextError)


def test_a_file_takes_the_place_of_a_link_in_a_directory_that_it_is_copied_into(directory, make_base):
    directory.write("f", "new")
    directory.bases["base.test/b:1"] = make_base({"d/": "", "d/f": "->../other", "l": "->d", "other": "old"})
    found = directory.layers("FROM base.test/b:1\nCOPY f /l/\nCOPY f /d/\nCOPY f /d\n")[1:]
    assert all((layer["d/f"].kind, layer["d/f"].text, "other" in layer) == ("file", "new", False) for layer in found)


def test_a_directory_that_is_only_passed_through_keeps_its_owner_and_takes_the_sources_mode(directory):
    directory.write("d/e/x")
    (directory.root / "d").chmod(0o700)
    text = "FROM scratch\nCOPY --parents --chown=3 d/e /\nCOPY --parents --chmod=711 --chown=4 d/e/x /\n"
    found = directory.layers(text)[1]
    assert (found["d"].mode, found["d"].owner) == (0o700, (3, 3))
    assert (found["d/e/x"].mode, found["d/e/x"].owner) == (0o711, (4, 4))


def test_a_mode_makes_of_a_linked_copy_an_ordinary_one_as_in_buildkit(directory):
    directory.write("f")
    refused(directory, "FROM scratch\nCOPY f /d\nCOPY --link --chmod=600 f /d/\n")
    directory.tree("FROM scratch\nCOPY f /d\nCOPY --link f /d/\n")


def test_a_file_that_changes_while_it_is_read_is_an_error(directory):
    file = directory.write("a", "x" * 10)
    with directory.built("FROM scratch\nCOPY a /\n") as image:
        file.write_text("y")
        with pytest.raises(ContextError, match="changed while it was read"):
            directory.bytes_of(image)


def test_a_file_that_goes_while_it_is_read_is_an_error(directory):
    file = directory.write("a")
    file.write_text("x")
    with directory.built("FROM scratch\nCOPY a /\n") as image:
        file.unlink()
        with pytest.raises(ContextError, match="cannot be read"):
            directory.bytes_of(image)


@pytest.mark.parametrize(
    ("setup", "text"),
    [
        ("COPY f /x", "COPY d /x"),
        ("COPY d /x", "COPY e /x"),
        ("COPY e /x", "COPY d /x"),
        ("COPY f /x", "COPY f /x/y"),
    ],
)
def test_a_file_does_not_become_a_directory_nor_the_other_way_round(directory, setup, text):
    directory.write("f")
    directory.write("d/sub/f")
    directory.write("e/sub")
    error = refused(directory, f"FROM scratch\n{setup}\n{text}\n")
    assert error.where == "Dockerfile:3"


def test_a_copy_onto_a_link_writes_through_it(directory, make_base):
    directory.write("f", "1")
    directory.bases["base.test/b:1"] = make_base({"link": "->real/place"})
    found = directory.layers("FROM base.test/b:1\nCOPY f /link\n")[1]
    assert sorted(found) == ["real", "real/place"]


def test_new_directories_below_a_set_group_id_directory_inherit_it(directory):
    (directory.root / "d/s").mkdir(parents=True)
    (directory.root / "d/s").chmod(0o2775)
    directory.write("f")
    found = directory.tree("FROM scratch\nCOPY d /\nCOPY f /s/new/f\n")
    assert found["s/new"].mode == 0o2755


def test_the_same_files_make_the_same_bytes_whatever_their_times(directory):
    directory.write("d/a", "1")
    text = "FROM scratch\nWORKDIR /w\nCOPY d /x/y\nCOPY <<h /h\nh\n"
    with directory.built(text) as image:
        first = [image.config, *directory.bytes_of(image)]
    os.utime(directory.root / "d/a", (1, 1))
    with directory.built(text) as image:
        assert [image.config, *directory.bytes_of(image)] == first


def test_without_a_given_time_files_keep_theirs(directory):
    os.utime(directory.write("a"), (86400, 86400))
    with directory.built("FROM scratch\nCOPY a /x/a\n", created=None) as image:
        (raw,) = directory.bytes_of(image)
    with tarfile.open(fileobj=io.BytesIO(raw)) as tar:
        assert [member.mtime for member in tar] == [86400, 86400]


def test_blobs_can_be_read_again_and_in_any_order(directory):
    directory.write("a", "1")
    with directory.built("FROM scratch\nCOPY a /a\nCOPY a /b\n") as image:
        assert directory.bytes_of(image) == directory.bytes_of(image)
        assert [position for position, _ in image.blobs([1])] == [1]
        assert image.random_access


def test_a_context_that_is_no_directory_is_an_error(directory):
    directory.dockerfile("FROM scratch\nCOPY a /a\n")
    with pytest.raises(ContextError), directory.engine().build(directory.request(context=directory.root / "nope")):
        pass


def test_a_foreign_syntax_can_be_checked(directory):
    directory.dockerfile("# syntax=example.com/x\nFROM scratch\n")
    with pytest.raises(DockerfileError) as caught:
        buildpush.check(cwd=directory.root, env={"HOME": "/"}, repo="a.test/b/c", engine="native")
    assert caught.value.where == "Dockerfile:1"


def test_a_foreign_syntax_is_left_to_others(directory):
    error = refused(directory, "# syntax=example.com/x\nFROM scratch\n", DockerfileError)
    assert error.where == "Dockerfile:1"


@pytest.mark.parametrize(("name", "says"), [("bogus/", "'bogus/' is not a platform"), ("$NONE", r"\$NONE is blank")])
def test_a_platform_that_is_none_is_refused_in_a_plan_too(directory, name, says):
    directory.write("Dockerfile", f"FROM --platform={name} scratch\nCOPY Dockerfile /\n")
    with pytest.raises(DockerfileError, match=says):
        directory.engine().refuses(directory.request())
