"""Pools of threads that end, also where the thread that ends them is interrupted."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest

from buildpush.foundation.meter import Meter
from buildpush.foundation.workers import Workers
from buildpush.registry.layer_source import Options
from buildpush.registry.layers import Layers


def interrupted(*_words, **_more):
    raise KeyboardInterrupt


def test_a_pool_whose_end_is_interrupted_has_told_its_threads_to_end(monkeypatch):
    pool = Workers(1, "to-be-ended")
    pool.submit(int).result()
    (thread,) = pool._threads
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "join", interrupted)
        with pytest.raises(KeyboardInterrupt):
            pool.shutdown(cancel_futures=True)
    thread.join(10)
    assert not thread.is_alive()


def test_an_interrupt_while_senders_end_ends_what_compresses_as_well(monkeypatch):
    registry = SimpleNamespace(memory=None, workers=1)
    layers = Layers(registry, Options("gzip", 1, "oci", checksums=False), lambda _event: None, Meter())
    threads = layers._sources._pool._threads
    monkeypatch.setattr(layers._senders, "shutdown", interrupted)
    with pytest.raises(KeyboardInterrupt), layers:
        threads.submit(int).result()
    assert threads._shutdown
