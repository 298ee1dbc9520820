"""Where the tutorials are, and their names."""

from __future__ import annotations

from pathlib import Path

from buildpush.foundation.errors import SettingsError
from buildpush.foundation.spelling import did_you_mean


def tutorials_directory() -> Path:
    """Return the directory that holds ``notebooks`` and ``examples``: the wheel's own, or that of the clone."""
    package = Path(__file__).parent.parent
    inside = package / "tutorials"
    return inside if inside.is_dir() else package.parent


def connectors_file() -> Path:
    """Return the connectors file of the examples, for a sandbox on its usual port; relative where that is shorter."""
    path = tutorials_directory() / "examples" / "connectors.yml"
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def names() -> tuple[str, ...]:
    """Return the names of the tutorials, in the order in which to read them."""
    return tuple(path.stem for path in sorted((tutorials_directory() / "notebooks").glob("*.ipynb")))


def find(name_or_path: str | Path) -> Path:
    """Return the notebook with that path, name, name without its number, or unique beginning of a name.

    Raises:
        SettingsError: there is none.
    """
    path = Path(name_or_path)
    if path.suffix == ".ipynb" and path.is_file():
        return path
    word = path.stem if path.suffix == ".ipynb" else str(name_or_path)
    exact = [name for name in names() if word in {name, name.partition("-")[2]}]
    beginning = [name for name in names() if word and name.startswith(word)]
    if len(matches := exact or beginning) == 1:
        return tutorials_directory() / "notebooks" / f"{matches[0]}.ipynb"
    message = f"there is no notebook {str(name_or_path)!r}"
    hint = did_you_mean(word, names(), most=1) or f"the tutorials are {', '.join(names())}"
    raise SettingsError(message, hint=hint)
