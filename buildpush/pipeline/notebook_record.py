"""What importers call about an executed notebook: :func:`record`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from buildpush.pipeline.arguments import copy_call, path_of, takes
from buildpush.pipeline.call_options import ReadOptions

if TYPE_CHECKING:
    from buildpush.pipeline.recorded import ComparedRecord


@takes(ReadOptions)
def record(notebook: str | Path, **options: Unpack[ReadOptions]) -> ComparedRecord:
    """Return what the executed *notebook* pushed, and what the registries have under these names now.

    A login goes to its own host only, which a connector or Docker's login names, since the notebook may name any. The
    other arguments are those of :func:`push`.

    Args:
        notebook: the file, which ends in ``.ipynb``.

    Returns:
        Its ``problems`` are the references that no longer name what was pushed, or cannot be read.

    Raises:
        SourceError: it is no notebook, or has no record that buildpush has written.
    """
    from buildpush.pipeline import images

    with copy_call(options) as (how, context):
        return images.compare_record(context.cwd / (path_of("notebook", notebook) or ""), how, context)
