"""How long the documentation takes to build, from nothing and again."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from benchmarks.turns import timed

ROOT = Path(__file__).parent.parent


def measure() -> None:
    """Print seconds for a fresh build and for one in which nothing changed."""
    print("documentation, sphinx-build of html, once each")
    if not (ROOT / "conf.py").exists():
        print("  there is no conf.py")
        return
    with tempfile.TemporaryDirectory() as directory:
        words = ["-q", "-b", "html", "-d", f"{directory}/tree", "-c", ".", "docs", f"{directory}/html"]
        for name in ("from nothing", "again, nothing changed"):
            print(f"  {name:24}{timed([sys.executable, '-m', 'sphinx', *words], cwd=ROOT):6.1f} s")
