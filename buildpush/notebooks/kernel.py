"""One execution: papermill with a kernel of the running Python, reported live, and searched for secrets at the end."""

# Flags of other programs in this module's texts: --log-level

from __future__ import annotations

import ast
import json
import os
import re
import signal
import sys
import tempfile
import threading
import time
from asyncio import AbstractEventLoop
from collections.abc import Iterator
from contextlib import contextmanager
from html import unescape
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from jupyter_core.utils import ensure_event_loop
from nbclient.exceptions import DeadKernelError
from nbformat import from_dict
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NBClientEngine, papermill_engines
from papermill.exceptions import PapermillExecutionError
from papermill.execute import execute_notebook

from buildpush.foundation.errors import BuildPushError
from buildpush.foundation.events import Finished, Log, Sink, Started
from buildpush.foundation.locks import temporary
from buildpush.foundation.text import Lines, lines_of
from buildpush.notebooks import leaks, mistakes, record

if TYPE_CHECKING:
    from nbformat import NotebookNode

# Interrupted kernels have this long to clean up; together with the rest it stays below five seconds.
SECONDS_TO_TIDY = 4.0
_ENGINE = "buildpush"
_ENDING = (signal.SIGINT, signal.SIGTERM)
# Maximum bytes of a directory's name, so that the names of the sockets in it are not too long.
_LONGEST = 60
_PARAMETERS = {"parameters", "injected-parameters"}
_PLACE = re.compile(r"/[^\s\"'<>|\\]*/buildpush-\d+-practice-\w+")
_HEADING = re.compile(r"^#+\s+(.*)$", re.MULTILINE)


def _kernel_in(directory: str) -> type[AsyncKernelManager]:
    """Return the manager of a kernel of this very Python, whatever kernels named python3 the user has.

    Its sockets are in *directory*, which is private: others on this machine cannot listen, as they could to TCP.
    """

    class Kernel(AsyncKernelManager):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.connection_file = str(Path(directory) / "kernel.json")
            self.shutdown_wait_time = SECONDS_TO_TIDY
            if os.name == "posix":
                self.transport = "ipc"

        async def _async_launch_kernel(self, kernel_cmd: list[str], **kw: Any) -> None:
            with _delayed_signals():
                await super()._async_launch_kernel(kernel_cmd, **kw)

        @property
        def kernel_spec(self) -> KernelSpec:
            # Without frozen modules the kernel's debugger does not warn; log level 50 keeps the kernel silent.
            program = [sys.executable, "-Xfrozen_modules=off", "-m", "ipykernel_launcher"]
            argv = [*program, "-f", "{connection_file}", "--log-level=50"]
            return KernelSpec(argv=argv, display_name="Python 3", language="python")

    return Kernel


@contextmanager
def _delayed_signals() -> Iterator[None]:
    """Delay signals: one between a kernel's start and the record of its process would leave it running for ever."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    seen: list[int] = []
    before = {one: signal.signal(one, lambda number, _: seen.append(number)) for one in _ENDING}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
        for number in seen[:1]:
            signal.raise_signal(number)


def _without_places(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """Return *outputs* with ``practice`` for the private directory of a place, whose name is of no use to others."""
    return [from_dict(one) for one in json.loads(_PLACE.sub("practice", json.dumps(outputs)))]  # type: ignore[no-untyped-call]


def _directory_for_sockets() -> str | None:
    """Return the directory to make directories for sockets in; ``None`` for the usual one, unless its name is too long.

    Source: unix(7), the path of a socket has at most 108 bytes, on some systems 104.
    """
    return None if len(os.fsencode(tempfile.gettempdir())) <= _LONGEST or not Path("/tmp").is_dir() else "/tmp"  # noqa: S108


def _forget_dead_kernels(loop: AbstractEventLoop, context: dict[str, Any]) -> None:
    """Suppress the warning about the task that waited for an interrupted kernel: its result is not needed."""
    if not isinstance(context.get("exception"), DeadKernelError):
        loop.default_exception_handler(context)


class _Client(PapermillNotebookClient):  # type: ignore[misc]
    """Executes the cells, then asks the kernel which of them hold secrets, and which error ended them."""

    def papermill_execute_cells(self) -> None:
        super().papermill_execute_cells()
        # Without that module, the kernel has no secret to find.
        search = f"__import__('{leaks.__name__}', fromlist=['in_json']).in_json({json.dumps(self.nb.cells)!r})"
        mistake = f"__import__('{mistakes.__name__}', fromlist=['last_error']).last_error()"
        self.run.leaks = self._ask_kernel(
            f"{search} if 'buildpush.foundation.secrets' in __import__('sys').modules else []"
        )
        self.run.mistake = self._ask_kernel(mistake)

    def _ask_kernel(self, expression: str) -> Any:
        """Return the kernel's value of *expression*, in plain types."""
        request = self.kc.execute("", silent=True, store_history=False, user_expressions={"it": expression})
        answer = self.wait_for_reply(request)["content"]["user_expressions"]["it"]
        return ast.literal_eval(answer["data"]["text/plain"])

    def ensure_ended(self) -> None:
        """Make sure that the kernel has ended: one that is interrupted at its start would keep writing its files."""
        process = getattr(getattr(self.km, "provisioner", None), "process", None)
        if process is not None and process.poll() is None:
            process.kill()
            process.wait()


class NotebookRun:
    """One execution of one notebook.

    Attributes:
        executed: the notebook with its outputs so far.
        leaks: positions of cells that hold a secret known to the kernel.
        mistake: the user's error that ended a cell, as the kernel reports it.
    """

    def __init__(self, notebook: Path, values: dict[str, Any], sink: Sink) -> None:
        self._notebook = notebook
        self._values = values
        self._sink = sink
        self._began = 0.0
        self.executed: NotebookNode
        self.leaks: list[int] = []
        self.mistake: dict[str, Any] | None = None

    def execute(self) -> BuildPushError | None:
        """Execute the notebook; return why a cell failed, or ``None``.

        Raises:
            BuildPushError: the kernel died, so it is not known whether the outputs are free of secrets.
        """
        papermill_engines.register(_ENGINE, self._engine())
        ensure_event_loop().set_exception_handler(_forget_dead_kernels)
        try:
            execute_notebook(str(self._notebook), None, self._values, engine_name=_ENGINE, progress_bar=False)
        except PapermillExecutionError as error:
            if self.mistake:
                return mistakes.error_from(self.mistake)
            return BuildPushError(f"In[{error.exec_count}] failed: {error.ename}: {error.evalue}")
        except DeadKernelError as error:
            message = "the kernel died; nothing was written"
            raise BuildPushError(
                message, hint="most likely, memory ran out: give the machine more, or let the notebook use less"
            ) from error
        finally:
            self._tidy()
        return None

    def text(self) -> str:
        """Return the whole notebook as JSON text."""
        return json.dumps(self.executed, ensure_ascii=False)

    def _tidy(self) -> None:
        record.collect(self.executed)
        for cell in self.executed.cells:
            if cell.cell_type == "code":
                cell.outputs = _without_places(list(_without_gaps(cell.outputs)))
        # The executed notebook names its source, but not the path on this machine.
        self.executed.metadata.papermill.update(input_path=self._notebook.name, output_path=None)

    def _engine(self) -> type:
        run = self

        class KernelEngine(NBClientEngine):  # type: ignore[misc]
            @classmethod
            def execute_managed_notebook(cls, nb_man: Any, kernel_name: str, **_: Any) -> None:
                run.executed = nb_man.nb
                with temporary(_directory_for_sockets(), tidy=False) as directory:
                    client = run.client(nb_man, kernel_name, str(directory))
                    try:
                        client.execute()
                    finally:
                        client.ensure_ended()

        return KernelEngine

    def client(self, nb_man: Any, kernel_name: str, directory: str) -> _Client:
        """Return the client that executes the cells; its ``execute`` stops the kernel, however it ends."""
        client = _Client(
            nb_man,
            kernel_name=kernel_name,
            kernel_manager_class=_kernel_in(directory),
            timeout=None,
            startup_timeout=60,
            stdout_file=Lines(self.report_line),
            stderr_file=Lines(self.report_line),
            on_cell_execute=self.begin,
            on_cell_executed=self.end,
        )
        client.run = self
        return client

    def report_line(self, line: str) -> None:
        """Report a line that a cell printed."""
        self._sink(Log(line))

    def begin(self, *, cell: NotebookNode, cell_index: int) -> None:
        """Report that a cell begins."""
        del cell
        self._began = time.monotonic()
        if title := self._title(cell_index):
            self._sink(Started(title))

    def end(self, *, cell: NotebookNode, cell_index: int, execute_reply: dict[str, Any]) -> None:
        """Report the result of a cell, and that it ended."""
        for output in cell.outputs:
            for line in lines_of(plain) if (plain := _plain(output)) else ():
                self.report_line(line)
        if execute_reply["content"]["status"] == "ok" and (title := self._title(cell_index)):
            self._sink(Finished(title, time.monotonic() - self._began))

    def _title(self, position: int) -> str:
        """Return the heading of the text just above a cell; cells of parameters have none."""
        here = self.executed.cells[position]
        above = self.executed.cells[position - 1] if position else None
        if _PARAMETERS & set(here.metadata.get("tags", [])):
            return ""
        heading = _HEADING.search(above.source) if above is not None and above.cell_type == "markdown" else None
        return heading[1].strip() if heading else ""


def _without_gaps(outputs: list[NotebookNode]) -> Iterator[NotebookNode]:
    """Yield *outputs* without the progress line, which is empty at the end; text printed around it is joined."""
    before: NotebookNode | None = None
    for output in outputs:
        if output.output_type == "display_data" and not any(map(str, output.data.values())):
            continue
        if before is not None and output.output_type == "stream" and output.name == before.get("name"):
            before.text += output.text
            continue
        before = output
        yield output


def _plain(output: NotebookNode) -> str:
    """Return a result as text; printed text was already reported, and a traceback stays in the notebook."""
    if output.output_type in {"execute_result", "display_data"}:
        # Beside HTML, the plain text is hardly more than the name of a class.
        spare = "" if "text/html" in output.data else output.data.get("text/plain", "")
        return _without_pipes(str(output.data.get("text/markdown", spare)))
    return ""


def _without_pipes(text: str) -> str:
    """Return Markdown with the rows of its tables as plain words, one column below the other."""
    lines = [part for line in text.splitlines() if line.strip("-|: ") for part in _parts(line)]
    widths = [max(map(len, cells)) for cells in zip_longest(*(line for line in lines if len(line) > 1), fillvalue="")]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=False)).rstrip()
        if len(line) > 1
        else line[0]
        for line in lines
    )


def _parts(line: str) -> Iterator[tuple[str, ...]]:
    """Yield the cells of a row of a table, once for each line that they break into; another line is one cell."""
    if not line.startswith("|"):
        yield (line,)
        return
    cells = [cell.strip().split("<br>") for cell in line.strip("| ").split(" | ")]
    for values in zip_longest(*cells, fillvalue=""):
        yield tuple(map(_unmarked, values))


def _unmarked(cell: str) -> str:
    """Return the words of a cell without what keeps Markdown from reading them as its own."""
    return unescape(re.sub(r"\\([\\|*_`~\[\]])", r"\1", re.sub(r"^<(\S+)>$", r"\1", cell)))
