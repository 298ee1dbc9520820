"""``python -m benchmarks.partner``: a sandbox in a process of its own, until its standard input ends.

The first line that it prints says, as JSON, where it is and how to get in.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def running_sandbox() -> Iterator[dict[str, Any]]:
    """Give host, username, password and process of a sandbox that ends with the ``with``."""
    root = Path(__file__).parent.parent
    argv = [sys.executable, "-m", "benchmarks.partner"]
    with subprocess.Popen(argv, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            line = process.stdout.readline()
            if not line:
                message = "the sandbox did not start"
                raise SystemExit(message)
            yield json.loads(line)
        finally:
            process.stdin.close()
            process.wait()


def main() -> None:
    from buildpush.sandbox import Sandbox

    with Sandbox() as box:
        facts = {"host": box.host, "username": box.username, "password": box.password.reveal(), "process": os.getpid()}
        print(json.dumps(facts), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
