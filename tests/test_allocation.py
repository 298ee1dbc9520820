"""Where threads take memory from, as glibc tells by itself in another process, and when garbage is collected."""

from __future__ import annotations

import gc
import os
import platform
import subprocess
import sys

import pytest

from buildpush.__main__ import SELDOM
from buildpush.foundation.allocation import collect_garbage_often

on_glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="this C library is not glibc")

SHOW = """
import ctypes, os, threading
from buildpush.foundation.allocation import share_memory_among_threads
share_memory_among_threads(os.environ)
here = threading.Barrier(9)
def act():
    kept = [bytes(100_000) for _ in range(9)]
    here.wait()
threads = [threading.Thread(target=act) for _ in range(8)]
for thread in threads:
    thread.start()
here.wait()
for thread in threads:
    thread.join()
libc = ctypes.CDLL(None)
libc.malloc_info(0, ctypes.c_void_p.in_dll(libc, "stdout"))
libc.fflush(None)
"""


def places(**more) -> int:
    env = {name: value for name, value in os.environ.items() if name not in {"MALLOC_ARENA_MAX", "GLIBC_TUNABLES"}}
    ran = subprocess.run([sys.executable, "-c", SHOW], env=env | more, capture_output=True, text=True, check=True)
    return ran.stdout.count("<heap ")


@pytest.mark.programs
@on_glibc
def test_threads_take_memory_from_one_place():
    assert places() == 1


@pytest.mark.programs
@on_glibc
def test_what_the_user_has_set_stays():
    assert places(MALLOC_ARENA_MAX="4") > 1


@pytest.fixture
def thresholds():
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)


@pytest.mark.usefixtures("thresholds")
def test_garbage_that_is_looked_for_seldom_is_looked_for_more_often():
    gc.set_threshold(*SELDOM)
    collect_garbage_often()
    assert gc.get_threshold() < SELDOM


@pytest.mark.usefixtures("thresholds")
def test_garbage_that_is_looked_for_often_is_looked_for_as_before():
    gc.set_threshold(700, 10, 10)
    collect_garbage_often()
    assert gc.get_threshold() == (700, 10, 10)
