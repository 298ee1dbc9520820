"""Trees that cross what files can be with where they are, and Dockerfiles that copy them in every way.

``SOURCE`` is there as a context, as a tar, as a base image and as a stage; ``TARGET`` is what COPY lands on.
"""

from __future__ import annotations

import io
import os
import random
import struct
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

CAPABILITY = struct.pack("<IIIII", 0x02000001, 1 << 10, 0, 0, 0)  # cap_net_bind_service=ep
WHEN = 1_200_000_000


@dataclass(frozen=True)
class Thing:
    """What is at a path; ``also`` is the path of the file that it is a hard link to."""

    kind: str = "file"
    mode: int = 0o644
    owner: tuple[int, int] = (0, 0)
    target: str = ""
    also: str = ""
    device: tuple[int, int] = (0, 0)
    marks: tuple[tuple[str, bytes], ...] = ()


def directory(mode: int = 0o755, owner: tuple[int, int] = (0, 0), **more: object) -> Thing:
    return Thing("directory", mode, owner, **more)  # type: ignore[arg-type]


def link(target: str) -> Thing:
    return Thing("link", 0o777, target=target)


SOURCE: Mapping[str, Thing] = {
    "f": Thing(),
    "g": Thing(mode=0o600, owner=(7, 8)),
    "x": Thing(mode=0o755),
    "s": Thing(mode=0o4755),
    "sg": Thing(mode=0o2755, owner=(0, 9)),
    "t": directory(0o1777),
    "t/in": Thing(mode=0o1644),
    "d": directory(0o750, (3, 4)),
    "d/f": Thing(),
    "d/hl": Thing(also="d/f"),
    "d/l": link("f"),
    "d/up": link("../f"),
    "d/out": link("../../f"),
    "d/sub": directory(0o700),
    "d/sub/f": Thing(mode=0o640),
    "d/sub/g": Thing(),
    "d/empty": directory(),
    "d/p": Thing("fifo", 0o640),
    "e": directory(0o711),
    "lf": link("f"),
    "ld": link("d"),
    "la": link("/f"),
    "lad": link("/d/sub"),
    "bad": directory(),
    "bad/dangling": link("nope"),
    "bad/far": link("/nope/deep"),
    "bad/odd": link("\udcfe\udcff/x"),
    "bad/loop": link("loop"),
    "bad/one": link("two"),
    "bad/two": link("one"),
    "lup": link("../../f"),
    "lthr": link("ld/f"),
    "lodd": link("./d//./sub/../f"),
    "lslash": link("d/"),
    "ldot": link("."),
    "h1": Thing(),
    "h2": Thing(also="h1"),
    "hd": directory(),
    "hd/h3": Thing(also="h1"),
    "p": Thing("fifo", 0o600),
    "c": Thing("char", 0o666, device=(1, 3)),
    "dev": directory(),
    "dev/b": Thing("block", 0o660, (0, 6), device=(7, 300)),
    "dev/c": Thing("char", 0o600, device=(1, 5)),
    "cap": Thing(mode=0o755, marks=(("security.capability", CAPABILITY),)),
    "capd": directory(),
    "capd/cap": Thing(mode=0o755, marks=(("security.capability", CAPABILITY),)),
    "ux": Thing(marks=(("user.x", b"1"),)),
    "dx": directory(marks=(("user.x", b"2"),)),
    "dx/f": Thing(),
    "odd": directory(),
    "odd/a b": Thing(),
    "odd/é": Thing(),
    "odd/\udcff": Thing(),
    "odd/[x]": Thing(),
    "odd/a*": Thing(),
    "odd/a\\b": Thing(),
    "odd/q?": Thing(),
    "odd/-x": Thing(),
    "odd/x\ny": Thing(),
    "odd/.hid": Thing(),
    "w": directory(),
    "w/a": directory(),
    "w/a/x.md": Thing(),
    "w/a/y.txt": Thing(),
    "w/b": directory(),
    "w/b/x.md": Thing(),
    "w/b/deep": directory(0o700),
    "w/b/deep/x.md": Thing(),
    "w/l": link("a"),
    "w/la": link("/w/b"),
    "w/x.md": Thing(),
}

TARGET: Mapping[str, Thing] = {
    "dir": directory(0o700, (5, 6)),
    "dir/f": Thing(mode=0o600, owner=(5, 6)),
    "dir/lf": link("../file"),
    "dir/d": link("../other"),
    "dir/g": link("../file"),
    "dir/x": link("nowhere"),
    "dir/h1": directory(),
    "dir/sub": Thing(),
    "dir/e": link("/other"),
    "dir/x.md": link("/other/k"),
    "dir/p": Thing("fifo", 0o644),
    "file": Thing(mode=0o640),
    "other": directory(),
    "other/k": Thing(),
    "other/f": link("k"),
    "ldir": link("dir"),
    "lfile": link("file"),
    "lfar": link("dir/f"),
    "ldang": link("missing/deep"),
    "lnew": link("fresh"),
    "lloop": link("lloop"),
    "labs": link("/other"),
    "lout": link("../../../other"),
    "setgid": directory(0o2775, (0, 50)),
    "own": directory(0o711, (7, 8)),
    "own/hard": Thing(),
    "own/hard2": Thing(also="own/hard"),
    "dev": Thing("char", 0o600, device=(1, 3)),
}

KINDS = {"directory": tarfile.DIRTYPE, "link": tarfile.SYMTYPE, "fifo": tarfile.FIFOTYPE, "char": tarfile.CHRTYPE}


def as_tar(things: Mapping[str, Thing]) -> bytes:
    """Return *things* as a tar, its bytes the paths."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for number, (path, thing) in enumerate(things.items()):
            member = tarfile.TarInfo(path)
            member.type = KINDS.get(thing.kind, tarfile.BLKTYPE if thing.kind == "block" else tarfile.REGTYPE)
            member.mode, (member.uid, member.gid), member.mtime = thing.mode, thing.owner, WHEN + number
            member.linkname, (member.devmajor, member.devminor) = thing.target, thing.device
            if thing.also:
                first = things[thing.also]
                member.type, member.linkname, member.mode = tarfile.LNKTYPE, thing.also, first.mode
                member.uid, member.gid = first.owner
                member.mtime = WHEN + list(things).index(thing.also)
            for key, value in thing.marks:
                member.pax_headers[f"SCHILY.xattr.{key}"] = value.decode("utf-8", "surrogateescape")
            content = path.encode("utf-8", "surrogateescape") if member.isreg() else b""
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def write(things: Mapping[str, Thing], root: Path) -> None:
    """Write *things* below *root*; as root, since there are devices among them."""
    base = os.fsencode(root)
    for path, thing in things.items():
        _write(base + b"/", path, thing)
    for number, (path, thing) in reversed([*enumerate(things.items())]):
        whole = base + b"/" + os.fsencode(path)
        if not thing.also:
            os.chown(whole, *thing.owner, follow_symlinks=False)
            if thing.kind != "link":
                os.chmod(whole, thing.mode)  # noqa: PTH101 - a path of bytes
            for key, value in thing.marks:
                os.setxattr(whole, key, value)
        os.utime(whole, (WHEN + number, WHEN + number), follow_symlinks=False)


def _write(base: bytes, path: str, thing: Thing) -> None:
    whole = base + os.fsencode(path)
    if thing.kind == "directory":
        os.mkdir(whole)  # noqa: PTH102 - a path of bytes
    elif thing.also:
        os.link(base + os.fsencode(thing.also), whole)
    elif thing.kind == "link":
        os.symlink(os.fsencode(thing.target), whole)  # noqa: PTH211 - a path of bytes
    elif thing.kind == "file":
        Path(os.fsdecode(whole)).write_bytes(path.encode("utf-8", "surrogateescape"))
    elif thing.kind == "fifo":
        os.mkfifo(whole)
    else:
        os.mknod(whole, 0o600 | (0o020000 if thing.kind == "char" else 0o060000), os.makedev(*thing.device))


NAMES = [path for path in SOURCE if "\n" not in path and " " not in path and path.isascii()]
WILDCARDS = (
    "*", "l*", "d/*", "*/f", "d*/", "d/s*", "*.md", "w/*/x.md", "w/l*/x.md", "w/*", "[a-c]*", "h*", "?", "ld/*",
    "lad/*", "odd/*", "odd/a*", "odd/[[]x]", "odd/q[?]", "odd/a\\\\b", "odd/a[*]", "no*", "d/sub/*", "w/*/d*/x.md",
    "la*", "[^d]*", "w/?/x.md", "ld*", "lad*/f", "w[^x]x.md", "c*", "dev/*", "hd/*", "d/*l*", "w/l*", "lo*",
    "w/la/*", "*/*", "*/*/*", "bad/d*", "bad/*",
)  # fmt: skip
ODD = (
    ".", "./", "/", "./d", "/d", "../d", "d/.", "d/", "ld/", "lad/f", "ld/sub", "d/../f", "ld/../f", "nope", "lf/",
    "f/", "lslash/f", "ldot/f", "w/l/x.md", "w/la/x.md", "la/", "d//f", "bad/loop/x", "e/", "lthr/", "f/x", "bad",
    'odd/"a b"',
)  # fmt: skip
PARENTS = (
    "d/f", "d/sub", "w/*/x.md", "w/**/x.md", "**/f", "**/*.md", "./d/./f", "w/./a/x.md", "w/./*/x.md",
    "w/./**/x.md", "ld/f", "ld/./f", "d", "d/", "lf", "**", "*", "d*/s*", "/d/f", "../d/f", "d/s**", "w/b/**",
    "lad/./f", "la", "h*", "nope", "d/*", "e", "hd/h3", "./d", "w/.", "w/./", "d/./*", "[^w]*/f", "w/a/../b/x.md",
    "bad/d*",
)  # fmt: skip
EXCLUDES = (
    "*.md", "**/*.md", "f", "**/f", "sub", "d/sub", "*", "**", "w", "a", "*/x.md", "!f", "!w/a", "**.md", "l*",
    "x.md", "d/*", "deep/**", "/f", "h1", "p", "b/deep",
)  # fmt: skip
TARS = ("tree.tar", "target.tar", "*.tar")
PLACES = (
    "/", ".", "/dir", "/dir/", "/new", "/new/", "/new/deep/", "/new/deep/n", "/ldir", "/ldir/", "/lfile", "/labs/",
    "/lout/", "/setgid/", "/own/", "n", "./n/", "../n", "/dir/.", "/ldir/n", "/ldir/new/", "/labs/f", "/dir/d/",
    "/n/.", "/own/new/n", "/labs", "/ldang/", "/lnew", "/lnew/", "/dir/../n",
)  # fmt: skip
ODD_PLACES = (
    "/file", "/file/", "/dir/f", "/dir/lf", "/dir/d", "/dir/g", "/dir/x", "/dir/x/", "/dir/h1", "/dir/sub",
    "/dir/sub/", "/lfile/", "/lfar", "/ldang", "/lloop", "/lloop/", "/own/hard", "/other/f", "/dev", "/dir/p",
    "/lfile/n", "/ldang/n", "/dir/x/n", "/dir/e/k",
)  # fmt: skip


IGNORED = (
    "l*", "!l*", "d", "!d/f", "!d/sub", "**/f", "!**/f", "w/a", "!w/a/x.md", "ld", "d/*", "!d/s*", "h1", "hd",
    "*.md", "**.md", "lf", "!w", "d/sub/**", "*/x.md", "[c-e]*", "!d", "f", "!f", "w/b/deep", "dev/b", "!dev",
    "capd",
)  # fmt: skip


def dockerfiles(number: int, seed: int) -> Iterator[tuple[str, str]]:
    """Give Dockerfiles that copy from the tree, wherever it is, each with a ``.dockerignore``, mostly an empty one."""
    chance = random.Random(seed)
    for _ in range(number):
        lines = ["FROM scratch AS stage", "ADD tree.tar /", "FROM base AS child", f"FROM {_start(chance)}"]
        if not lines[-1].endswith("target") and chance.random() < 0.7:
            lines.append("ADD target.tar /")
        if chance.random() < 0.15:
            lines.append("WORKDIR " + chance.choice(["/dir", "/ldir", "/labs/w", "/w", "/setgid/w"]))
        tars = "base" not in lines[3]  # the same once more, which BuildKit leaves out of the layer
        lines += [_instruction(chance, tars=tars) for _ in range(chance.choice([1, 1, 2]))]
        ignored = [chance.choice(IGNORED) for _ in range(chance.choice([1, 2, 3]))] if chance.random() < 0.3 else []
        yield "\n".join(lines) + "\n", "\n".join(ignored)


def _start(chance: random.Random) -> str:
    return chance.choice(["scratch", "target", "target", "base"])


def _instruction(chance: random.Random, *, tars: bool) -> str:
    flags = []
    add = chance.random() < 0.25
    parents = not add and chance.random() < 0.2
    far = not add and chance.random() < 0.5
    if far:
        flags.append("--from=" + chance.choice(["stage", "base", "child"]))
    if chance.random() < 0.2:
        flags.append("--chown=" + chance.choice(["1:2", "7", ":9"]))
    if chance.random() < 0.2:
        flags.append("--chmod=" + chance.choice(["755", "600", "4711", "u=rwX,go=rX", "1777", "g+s"]))
    if chance.random() < 0.12:
        flags.append("--link")
    if parents:
        flags.append("--parents")
    if chance.random() < 0.25:
        flags += [f"--exclude={chance.choice(EXCLUDES)}" for _ in range(chance.choice([1, 1, 2]))]
    sources = [
        _source(chance, tars=add and tars, parents=parents, far=far) for _ in range(chance.choice([1, 1, 1, 2, 3]))
    ]
    return " ".join(
        ["ADD" if add else "COPY", *flags, *sources, chance.choice(chance.choice([PLACES, PLACES, ODD_PLACES]))]
    )


def _source(chance: random.Random, *, tars: bool, parents: bool, far: bool) -> str:
    pools: list[tuple[str, ...] | list[str]] = [NAMES, NAMES, WILDCARDS, WILDCARDS, ODD]
    pools = [PARENTS, PARENTS, NAMES] if parents else pools
    pools += [TARS, TARS] if tars else []
    # From the context BuildKit does not find names with such characters: it takes names for patterns of the other kind.
    return chance.choice([name for name in chance.choice(pools) if far or not name.startswith("odd/")])
