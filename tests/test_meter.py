"""The meter of a push."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from buildpush.foundation.meter import ACTIVITIES, Meter


def test_bytes_and_seconds_of_all_threads_are_added_up():
    meter = Meter()
    with ThreadPoolExecutor(4) as pool:
        for _ in range(100):
            pool.submit(meter.count, "sent", 3)
            pool.submit(meter.spend, "compress", 0.5)

    assert meter.traffic.sent == 300
    assert meter.traffic.seconds == {work: 50.0 if work == "compress" else 0.0 for work in ACTIVITIES}


def test_a_block_is_timed_even_if_it_fails():
    meter = Meter()
    with pytest.raises(ZeroDivisionError), meter.timing("send"):
        _ = 1 / 0

    assert meter.traffic.seconds["send"] > 0
