"""The simulated queue, compared with exact results of queueing theory."""

import math
import statistics
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from benchmarks.errors import BenchmarkError
from benchmarks.scale.queueing import (
    Service,
    allen_cunneen_wait_ms,
    erlang_c,
    fit_service,
    simulate,
)
from serving.loadtest.result import percentile

# By its quantiles, so that it is the distribution itself and not a sample of it.
EXPONENTIAL = tuple(-10 * math.log(1 - (rank + 0.5) / 5000) for rank in range(5000))
CONSTANT = (10.0,)


def service(photo_ms, *, workers=1, batch_size=1, further_share=1.0, slowdown=1.0):
    slowdowns = tuple(1 + (slowdown - 1) * k / max(1, workers - 1) for k in range(workers))
    return Service(
        photo_ms=photo_ms, further_share=further_share, slowdowns=slowdowns, batch_size=batch_size
    )


def test_one_exponential_server_is_the_queue_m_m_1():
    # Sojourn times of M/M/1 are exponential with mean s / (1 - rho).
    latencies = simulate(service(EXPONENTIAL), rate_per_s=50, requests=40_000)
    mean_ms = statistics.fmean(EXPONENTIAL) / (1 - 0.05 * statistics.fmean(EXPONENTIAL))
    assert statistics.fmean(latencies) == pytest.approx(mean_ms, rel=0.08)
    assert percentile(latencies, 0.99) == pytest.approx(-math.log(0.01) * mean_ms, rel=0.15)


def test_constant_service_waits_half_as_long():
    # Pollaczek and Khinchine: W = rho s / (2 (1 - rho)) for M/D/1.
    latencies = simulate(service(CONSTANT), rate_per_s=70, requests=40_000)
    assert statistics.fmean(latencies) - 10 == pytest.approx(0.7 * 10 / (2 * 0.3), rel=0.08)


def test_several_servers_wait_as_erlang_says():
    latencies = simulate(service(EXPONENTIAL, workers=3), rate_per_s=210, requests=40_000)
    mean_ms = statistics.fmean(EXPONENTIAL)
    waited_ms = statistics.fmean(latencies) - mean_ms
    expected = allen_cunneen_wait_ms(servers=3, service_ms=mean_ms, rate_per_s=210, variation=1)
    assert waited_ms == pytest.approx(expected, rel=0.12)


def test_erlangs_formula_for_one_server_and_for_a_table_value():
    assert erlang_c(1, 0.6) == pytest.approx(0.6)
    # Two servers, one erlang: 1/3.
    assert erlang_c(2, 1.0) == pytest.approx(1 / 3)
    assert allen_cunneen_wait_ms(servers=2, service_ms=10, rate_per_s=300, variation=1) == math.inf


def test_an_idle_server_answers_in_the_service_time():
    assert percentile(simulate(service(CONSTANT), rate_per_s=0.1, requests=500), 0.9) == 10


def test_batches_serve_a_load_that_single_photos_could_not():
    # 150 photos a second of 10 ms each: too many for one worker, unless a further one costs a fifth.
    batched = service(CONSTANT, batch_size=8, further_share=0.2)
    assert batched.capacity_per_s == pytest.approx(8e3 / (10 * 2.4))
    assert percentile(simulate(batched, rate_per_s=150, requests=5000), 0.99) < 60
    assert percentile(simulate(service(CONSTANT), rate_per_s=150, requests=5000), 0.99) > 1000


def test_busy_workers_slow_each_other_down():
    fast = simulate(service(CONSTANT, workers=2), rate_per_s=120, requests=8000)
    slow = simulate(service(CONSTANT, workers=2, slowdown=1.4), rate_per_s=120, requests=8000)
    assert statistics.fmean(slow) > 1.2 * statistics.fmean(fast)
    assert service(CONSTANT, workers=2, slowdown=2.0).capacity_per_s == pytest.approx(100)


@given(
    rate=st.floats(1, 150),
    workers=st.integers(1, 3),
    batch_size=st.integers(1, 5),
    share=st.floats(0.0, 1.5),
)
@hypothesis_settings(max_examples=30)
def test_every_request_is_answered_and_none_before_its_service(rate, workers, batch_size, share):
    modelled = service((5.0, 9.0), workers=workers, batch_size=batch_size, further_share=share)
    latencies = simulate(modelled, rate_per_s=rate, requests=200)
    assert len(latencies) == 190
    assert min(latencies) >= 5.0 - 1e-6


def test_fitting_to_the_measurements_of_a_service_gives_that_service():
    # 10 ms of work alone and 13 of two at once, 2 more on the way.
    truth = replace(
        service((10.0, 14.0), workers=2, batch_size=4, further_share=0.7, slowdown=1.3),
        overhead_ms=2.0,
    )
    single = replace(truth, batch_size=1)
    # Work of 8 and 12 ms, 1.3 times as long with two at once.
    alone_ms, together_ms = [10.0, 14.0], [2 + 1.3 * 8, 2 + 1.3 * 12]
    fitted = fit_service(
        [alone_ms, together_ms], rested_ms=[14.0, 15.0],
        single_capacity_per_s=single.capacity_per_s, capacity_per_s=truth.capacity_per_s, batch_size=4,
    )  # fmt: skip
    assert fitted.rest_slowdown == pytest.approx(1.25)
    assert fitted.overhead_ms == pytest.approx(2)
    assert fitted.photo_ms == pytest.approx(truth.photo_ms)
    assert fitted.further_share == pytest.approx(0.7)
    assert fitted.slowdowns == pytest.approx((1.0, 1.3))
    assert fitted.capacity_per_s == pytest.approx(truth.capacity_per_s)


def test_a_photo_s_time_varies_as_it_does_while_all_workers_are_busy():
    fitted = fit_service(
        [[10.0, 10.0, 10.0], [8.0, 10.0, 18.0]], rested_ms=[10.0],
        single_capacity_per_s=2e3 / 12, capacity_per_s=2e3 / 12, batch_size=1,
    )  # fmt: skip
    assert fitted.slowdowns == pytest.approx((1.0, 1.2))
    assert fitted.photo_ms == pytest.approx((8 / 1.2, 10 / 1.2, 15))


def test_only_a_worker_that_was_idle_is_slower():
    cold = replace(service(CONSTANT), rest_slowdown=1.5)
    assert percentile(simulate(cold, rate_per_s=0.1, requests=500), 0.9) == 15
    assert cold.capacity_per_s == service(CONSTANT).capacity_per_s
    busy_ms = statistics.fmean(simulate(service(CONSTANT), rate_per_s=95, requests=20_000))
    cold_ms = statistics.fmean(simulate(cold, rate_per_s=95, requests=20_000))
    # Every twentieth finds the worker idle.
    assert 1 < cold_ms / busy_ms < 1.1


def test_a_batch_waits_only_while_it_is_not_full():
    waiting = replace(service(CONSTANT, batch_size=4, further_share=0.5), delay_ms=3.0)
    assert simulate(waiting, rate_per_s=0.1, requests=100)[50] == 13
    assert waiting.capacity_per_s == pytest.approx(4e3 / 25)


def test_overhead_adds_latency_but_keeps_no_worker_busy():
    plain, far = service(CONSTANT), replace(service((14.0,)), overhead_ms=4.0)
    assert far.capacity_per_s == pytest.approx(plain.capacity_per_s)
    near_ms, far_ms = (
        simulate(modelled, rate_per_s=80, requests=2000) for modelled in (plain, far)
    )
    assert far_ms == pytest.approx([latency_ms + 4 for latency_ms in near_ms])


@pytest.mark.parametrize(
    ("alone", "capacity"), [([], 5), ([[]], 5), ([[1.0], []], 5), ([[1.0]], 0), ([[-1.0]], 5)]
)
def test_missing_or_impossible_measurements_are_rejected(alone, capacity):
    with pytest.raises(BenchmarkError):
        fit_service(
            alone, rested_ms=[1.0], single_capacity_per_s=5, capacity_per_s=capacity, batch_size=1
        )


def test_a_rate_must_be_above_0():
    with pytest.raises(BenchmarkError, match="the rate must be above 0, not 0"):
        simulate(service(CONSTANT), rate_per_s=0)
