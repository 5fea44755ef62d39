"""Warnings about memory: the number of workers in them is the largest that fits."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.server.memory import (
    LoadedWorkers,
    find_shortage,
    process_bytes,
    warn_before_start,
)

GB = 1_000_000_000
WORKER = 400_000_000


def test_workers_that_do_not_fit_are_reported_with_the_number_that_fits() -> None:
    loaded = [LoadedWorkers(count=64, worker_bytes=WORKER)]
    warning = find_shortage(loaded, server_bytes=GB // 2, usable_bytes=8 * GB)
    # (8 - 0.5) / 0.4 = 18.75
    assert warning == (
        "memory: 64 workers of 0.40 GB and 0.50 GB for the server are 26.10 GB, but it may use 8.00 GB; 18 per version "
        "fit: set default_workers_per_model=18 in the configuration, or raise the limit."
    )


def test_workers_that_a_promotion_adds_are_counted_too() -> None:
    loaded = [LoadedWorkers(count=4, worker_bytes=WORKER)]
    assert find_shortage(loaded, server_bytes=GB // 2, usable_bytes=3_700_000_000) is None
    # 8 workers and the server need exactly 3.7 GB; (3.6 - 0.5) / 0.8 = 3.9
    warning = find_shortage(loaded, server_bytes=GB // 2, usable_bytes=3_600_000_000)
    assert "a promotion loads another 4 workers of 0.40 GB" in warning
    assert "makes 3.70 GB" in warning
    assert "default_workers_per_model=3 " in warning


def test_where_nothing_fits_no_number_is_given() -> None:
    loaded = [LoadedWorkers(count=1, worker_bytes=2 * GB)]
    warning = find_shortage(loaded, server_bytes=GB, usable_bytes=2 * GB)
    assert "not even one per version fits, so raise the limit." in warning
    assert find_shortage([], server_bytes=GB, usable_bytes=GB) is None


def test_far_too_many_workers_are_reported_before_they_start() -> None:
    assert warn_before_start(4, usable_bytes=8 * GB) is None
    warning = warn_before_start(64, usable_bytes=8 * GB)
    assert (
        "64 workers take 20.48 GB or more, but this server may use 8.00 GB; 25 at most fit"
        in warning
    )
    assert warn_before_start(25, usable_bytes=8 * GB) is None


@given(
    st.lists(st.tuples(st.integers(1, 100), st.integers(1, 4 * GB)), min_size=1, max_size=3),
    st.integers(0, GB),
    st.integers(0, 64 * GB),
)
def test_the_number_in_a_warning_fits_and_one_more_does_not(versions, server, usable) -> None:
    loaded = [LoadedWorkers(count=count, worker_bytes=size) for count, size in versions]
    warning = find_shortage(loaded, server_bytes=server, usable_bytes=usable)
    needed = sum(count * size for count, size in versions) + server
    if warning is None:
        assert needed <= usable
    elif needed > usable and "default_workers_per_model=" in warning:
        fitting = int(warning.split("default_workers_per_model=")[1].split()[0])
        per_worker = sum(size for _, size in versions)
        assert fitting * per_worker + server <= usable < (fitting + 1) * per_worker + server


def test_a_process_has_memory_until_it_is_gone() -> None:
    assert process_bytes(os.getpid()) > 10_000_000
    assert process_bytes(2**22 + 1) == 0


@pytest.mark.parametrize("usable", [0, -1])
def test_no_memory_at_all_is_no_reason_to_fail(usable: int) -> None:
    loaded = [LoadedWorkers(count=1, worker_bytes=WORKER)]
    assert find_shortage(loaded, server_bytes=0, usable_bytes=usable)
    assert warn_before_start(1, usable_bytes=usable)
