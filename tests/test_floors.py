"""Imports point down, and heavy or dangerous libraries have one door.

The two tables are what docs/architecture.md shows; change them together with the code.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

FLOORS = {
    "__main__": 14,
    "cli": 13,
    "api": 12,
    "notebooks": 12,
    "sphinx_ext": 12,
    "pipeline": 11,
    "explain": 11,
    "verbs": 11,
    "plan": 10,
    "saved": 10,
    "moving": 10,
    "connection": 9,
    "publication": 9,
    "results": 9,
    "cards": 8,
    "display": 8,
    "receipt": 8,
    "session": 8,
    "locations": 8,
    "contexts": 8,
    "engines": 7,
    "artifactory": 7,
    "registry": 6,
    "settings": 6,
    "images": 5,
    "places": 5,
    "http": 5,
    "state": 5,
    "meter": 4,
    "limits": 4,
    "errors": 3,
    "locks": 4,
    "text": 2,
    "mounts": 2,
    "secrets": 1,
    "controls": 0,
    "forms": 0,
    "strict_json": 0,
    "events": 3,
}

# The sandbox stands beside the house: it never imports the client side, and only these start it.
BESIDE = {
    "sandbox": {
        "may import": {"errors", "secrets", "text", "events", "images", "locks", "mounts"},
        "started by": {"cli", "notebooks"},
    }
}

DOORS = {
    "subprocess": {"places.here"},
    "urllib3": {"http"},
    "docker": {"engines.daemon"},
    "ruamel": {"settings.sources"},
    "aiohttp": {"sandbox"},
    "sqlite3": {"sandbox", "registry.memory"},
    "lightkube": {"places"},
    "sphinx": {"sphinx_ext"},
    "docutils": {"sphinx_ext"},
    "papermill": {"notebooks"},
    "nbformat": {"notebooks"},
    "rich": {"display", "cli"},
}

# Who may read the process's environment; everything below takes it as an argument.
ENVIRONMENT = {"cli", "session"}

ROOT = Path(__file__).parent.parent / "buildpush"
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(ROOT.rglob("*.py"))
    if path.parent != ROOT or path.name != "__init__.py"
}


def imports_of(path: Path) -> set[str]:
    """Return every module that the file imports, nested imports included, type-checking blocks left out."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    hidden = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for statement in node.body
        for inner in ast.walk(statement)
    }
    found: set[str] = set()
    for node in ast.walk(tree):
        if id(node) in hidden:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            found |= {f"{base}.{alias.name}" for alias in node.names} if base == "buildpush" else {base}
    return found


def room(module: str) -> str:
    return module.split(".", maxsplit=1)[0]


def inside(module: str, doors: set[str]) -> bool:
    return any(module == door or module.startswith(f"{door}.") for door in doors)


@pytest.mark.parametrize("module", sorted(MODULES))
def test_every_import_of_our_own_points_down(module):
    for target in imports_of(MODULES[module]):
        if target == "buildpush" or not target.startswith("buildpush."):
            continue
        below = room(target.removeprefix("buildpush."))
        if below in {room(module), "__version__"}:
            continue
        assert may_import(room(module), below), f"{module} must not import {target}"


def may_import(room_above: str, room_below: str) -> bool:
    if room_above in BESIDE:
        return room_below in BESIDE[room_above]["may import"]
    if room_below in BESIDE:
        return room_above in BESIDE[room_below]["started by"]
    return FLOORS[room_below] < FLOORS[room_above]


@pytest.mark.parametrize("module", sorted(MODULES))
def test_every_heavy_or_dangerous_library_enters_through_its_door(module):
    for target in imports_of(MODULES[module]):
        doors = DOORS.get(target.partition(".")[0])
        assert doors is None or inside(module, doors), f"{target} enters through {doors}, not {module}"


@pytest.mark.parametrize("module", sorted(set(MODULES) - ENVIRONMENT))
def test_the_environment_is_an_argument_below_the_command_line(module):
    text = MODULES[module].read_text(encoding="utf-8")
    used = {ast.unparse(node) for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Attribute)}
    assert not used & {"os.environ", "os.getenv"}, f"{module} reads the environment"


def test_every_room_has_a_floor_and_every_floor_a_room():
    assert {room(module) for module in MODULES} == FLOORS.keys() | BESIDE.keys()


def test_a_planted_upward_import_is_seen(tmp_path):
    planted = tmp_path / "http.py"
    planted.write_text("def f():\n    from buildpush import registry\n", encoding="utf-8")
    assert imports_of(planted) == {"buildpush.registry"}
    assert not may_import("http", "registry")


def test_the_architecture_page_has_a_line_for_every_room():
    page = (ROOT.parent / "docs" / "architecture.md").read_text(encoding="utf-8")
    listed = page.partition("## Rooms")[2].partition("## Floors")[0]
    rooms = {room(module) for module in MODULES} - {"__main__"}
    names = {f"{name}/" if (ROOT / name).is_dir() else f"{name}.py" for name in rooms}
    assert names == {word for word in listed.split() if word.endswith((".py", "/"))} - {"buildpush/"}
