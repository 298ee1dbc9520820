"""Imports point down, and heavy or dangerous libraries have one door.

The two tables are what docs/architecture.md shows; change them together with the code, and the page's own table too.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import chain
from pathlib import Path

import pytest

# From the lowest floor up; rooms on one floor do not import each other.
FLOORS = [
    ["foundation"],
    ["advice", "completion", "display", "http", "places"],
    ["cluster", "expressions", "images"],
    ["credentials", "dockerfile"],
    ["artifactory", "registry"],
    ["provenance", "transfer"],
    ["engines"],
    ["settings"],
    ["pipeline"],
    ["api", "reference"],
    ["aio", "cli", "sphinx_ext"],
    ["__main__"],
]

# Who only pushes or records needs no more than the floors up to transfer: as these load, they load none of these
# libraries; a function that reads a YAML file may ask for one.
CORE = {"up to": "transfer", "loads none of": ["pydantic", "click", "ruamel", "rich", "aiohttp", "sphinx"]}

# Two rooms stand beside the house: they do without most of it, and only these start them.
BESIDE = {
    "sandbox": {"may import": {"foundation", "images"}, "started by": {"cli", "notebooks"}},
    "notebooks": {"may import": {"foundation", "display", "credentials", "sandbox"}, "started by": {"cli"}},
}

DOORS = {
    "subprocess": {"places.here"},
    "urllib3": {"http"},
    "docker": {"transfer.daemon"},
    "ruamel": {"foundation.documents"},
    "aiohttp": {"sandbox"},
    "sqlite3": {"sandbox.store", "registry.memory"},
    "sphinx": {"reference.sphinx", "reference.rendering", "reference.domain"},
    "docutils": {"reference.sphinx", "reference.rendering", "reference.blocks"},
    "papermill": {"notebooks"},
    "nbformat": {"notebooks"},
    "rich": {"display.terminal"},
    "websockets": {"cluster.streams"},
    "cryptography": {"provenance.keys", "sandbox.certificates", "sandbox.evidence"},
}

# Who may read the process's environment; everything below takes it as an argument.
ENVIRONMENT = {"cli", "cli.messages", "notebooks.practice", "pipeline.context"}

ROOT = Path(__file__).parent.parent / "buildpush"
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(ROOT.rglob("*.py"))
    if path.parent != ROOT or path.name != "__init__.py"
}


@cache
def imports_of(path: Path, *, nested: bool = True) -> frozenset[str]:
    """Return every module, or name of a module, that the file imports; type-checking blocks are left out.

    Without *nested*, those that are imported as the file itself is.
    """
    found: set[str] = set()
    for node in statements(ast.parse(path.read_text(encoding="utf-8")).body, nested=nested):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(found)


def statements(body: Iterable[ast.AST], *, nested: bool) -> Iterator[ast.AST]:
    for node in body:
        yield node
        is_hidden = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        if not is_hidden and (nested or not isinstance(node, ast.FunctionDef)):
            yield from statements(ast.iter_child_nodes(node), nested=nested)


def room(module: str) -> str:
    return module.split(".", maxsplit=1)[0]


def known(target: str) -> str:
    """Return the module of ours that *target*, a module or a name in one, belongs to; empty for none."""
    name = target.removeprefix("buildpush.") if target.startswith("buildpush.") else ""
    while name and name not in MODULES:
        name = name.rpartition(".")[0]
    return name


def inside(module: str, doors: set[str]) -> bool:
    return any(module == door or module.startswith(f"{door}.") for door in doors)


@pytest.mark.parametrize("module", sorted(MODULES))
def test_every_import_of_our_own_points_down(module):
    for target in filter(None, map(known, imports_of(MODULES[module]))):
        assert room(target) == room(module) or may_import(room(module), room(target)), (
            f"{module} must not import {target}"
        )


def floor(name: str) -> int:
    return next(number for number, rooms in enumerate(FLOORS) if name in rooms)


def may_import(room_above: str, room_below: str) -> bool:
    if room_above in BESIDE:
        return room_below in BESIDE[room_above]["may import"]
    if room_below in BESIDE:
        return room_above in BESIDE[room_below]["started by"]
    return floor(room_below) < floor(room_above)


def test_no_module_of_a_room_is_imported_by_one_that_it_imports():
    left = {
        name: {target for target in map(known, imports_of(path)) if room(target) == room(name)} - {name}
        for name, path in MODULES.items()
    }
    while free := {name for name, needs in left.items() if not needs & left.keys()}:
        left = {name: needs for name, needs in left.items() if name not in free}
    assert left == {}


def types_of(path: Path) -> Iterator[str]:
    """Yield the names of the classes in a file, and those of types that are assigned."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    yield from (node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef))
    assigned = [node for node in tree.body if isinstance(node, ast.Assign | ast.AnnAssign)]
    names = {ast.unparse(node.target if isinstance(node, ast.AnnAssign) else node.targets[0]) for node in assigned}
    yield from (name for name in names if name[0].isupper() and not name.isupper())


def test_each_class_and_each_type_has_a_name_of_its_own():
    names = Counter(chain.from_iterable(map(types_of, ROOT.rglob("*.py"))))
    assert [name for name, count in names.items() if count > 1] == []


def test_no_module_is_longer_than_can_be_read():
    written = set(ROOT.rglob("*.py")) - {ROOT / "settings" / "step_keywords.py"}  # which nobody writes by hand
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in written}
    assert [path for path, length in lengths.items() if length > (150 if path.name == "__init__.py" else 500)] == []


def test_the_root_has_few_modules():
    assert len(list(ROOT.glob("*.py"))) <= 5


CORE_MODULES = sorted(
    name for name in MODULES if room(name) not in BESIDE and floor(room(name)) <= floor(CORE["up to"])
)


@pytest.mark.parametrize("module", CORE_MODULES)
def test_the_core_loads_no_library_that_only_settings_or_people_need(module):
    loaded = {target.partition(".")[0] for target in imports_of(MODULES[module], nested=False)}
    assert not loaded & set(CORE["loads none of"])


@pytest.mark.parametrize("module", sorted(MODULES))
def test_every_heavy_or_dangerous_library_enters_through_its_door(module):
    for target in imports_of(MODULES[module]):
        doors = DOORS.get(target.partition(".")[0])
        assert doors is None or inside(module, doors), f"{target} enters through {doors}, not {module}"


@pytest.mark.parametrize(
    ("library", "door"), [(library, door) for library, doors in DOORS.items() for door in sorted(doors)]
)
def test_every_door_leads_to_its_library(library, door):
    imported = chain.from_iterable(imports_of(path) for name, path in MODULES.items() if inside(name, {door}))
    assert library in {target.partition(".")[0] for target in imported}


@pytest.mark.parametrize("module", sorted(set(MODULES) - {"foundation.records"}))
def test_dataclasses_are_made_without_compiling_their_methods(module):
    assert "dataclasses.dataclass" not in imports_of(MODULES[module]), "take it from buildpush.foundation.records"


def compiled_as_loaded(path: Path) -> list[int]:
    """Return the lines that compile a pattern as the file itself is loaded."""
    found = statements(ast.parse(path.read_text(encoding="utf-8")).body, nested=False)
    return [node.lineno for node in found if isinstance(node, ast.Call) and ast.unparse(node.func) == "re.compile"]


@pytest.mark.parametrize("module", [name for name in sorted(MODULES) if room(name) not in BESIDE])
def test_patterns_are_compiled_when_they_are_used(module):
    assert not compiled_as_loaded(MODULES[module]), "take regex from buildpush.foundation.regex"


@pytest.mark.parametrize("module", sorted(set(MODULES) - ENVIRONMENT))
def test_the_environment_is_an_argument_below_the_command_line(module):
    text = MODULES[module].read_text(encoding="utf-8")
    used = {ast.unparse(node) for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Attribute)}
    assert not used & {"os.environ", "os.getenv"}, f"{module} reads the environment"


def test_every_room_has_a_floor_and_every_floor_a_room():
    assert {room(module) for module in MODULES} == {*chain(*FLOORS), *BESIDE}


def test_a_planted_upward_import_is_seen(tmp_path):
    planted = tmp_path / "http.py"
    planted.write_text("def f():\n    from buildpush.registry import push\n", encoding="utf-8")
    assert imports_of(planted) == {"buildpush.registry.push"}
    assert imports_of(planted, nested=False) == set()
    assert not may_import("http", "registry")


PAGE = (ROOT.parent / "docs" / "architecture.md").read_text(encoding="utf-8")


def test_the_architecture_page_has_a_line_for_every_room():
    listed = PAGE.partition("## Rooms")[2].partition("## Floors")[0]
    rooms = {room(module) for module in MODULES} - {"__main__"}
    names = {f"{name}/" if (ROOT / name).is_dir() else f"{name}.py" for name in rooms}
    assert names == {word for word in listed.split() if word.endswith((".py", "/"))} - {"buildpush/"}


def test_every_path_on_the_architecture_page_exists():
    paths = re.findall(r"`(\w[\w/]*(?:/|\.py))`", PAGE)
    assert [path for path in paths if not ((ROOT / path).exists() or (ROOT.parent / path).exists())] == []


ONE_MORE = [
    line.strip("| ").split(" | ")
    for line in PAGE.partition("## Where one more goes")[2].partition("\n## ")[0].splitlines()
    if line.startswith("| ") and not line.startswith("| one more")
]


@pytest.mark.parametrize(("what", "module", "row"), ONE_MORE, ids=[what for what, _, _ in ONE_MORE])
def test_where_one_more_goes_are_names_of_its_modules(what, module, row):
    words = re.findall(r"`([^`]+)`", module + row)
    paths = [ROOT / word for word in words if "/" in word and (ROOT / word).exists()]
    files = [file for path in paths for file in ([path] if path.is_file() else path.glob("*.py"))]
    assert files, what
    text = "\n".join(file.read_text(encoding="utf-8") for file in files)
    names = [word for word in words if re.fullmatch(r"\w+", word)]
    assert [name for name in names if not re.search(rf"\b{name}\b", text)] == []
