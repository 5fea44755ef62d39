"""Figures of serving are medians over rounds, and open loops are judged by the latencies of all rounds together."""

from benchmarks.serving_figures import figures

KIND = "366x500"


def closed(requests_per_s: float) -> dict:
    return {"requests_per_s": requests_per_s, "p50_ms": 10.0, "p99_ms": 20.0, "failed": 1}


def one_round(*, ours: float, ceiling: float, latencies_ms: list[float], ray: dict) -> dict:
    loads = {"headswap": {"closed": {"8": closed(ours)},
                          "open": {"50%": {"latencies_ms": latencies_ms, "failed": 0}}}}  # fmt: skip
    if "fault" not in ray:
        loads["ray"] = {"closed": {"8": closed(5.0)}, "open": {}}
    return {
        "servers": {"headswap": {"start_s": ours / 10, "resident_mb": 100.0}, "ray": ray},
        "kinds": {KIND: {"in_process": {"photos_per_s": ceiling}, "open_rates_per_s": {"50%": 25.0},
                         "servers": loads}},
    }  # fmt: skip


RUNS = {"start_s": 9.0, "resident_mb": 1.0}
ROUNDS = [
    one_round(ours=40, ceiling=50, latencies_ms=[1.0, 2.0], ray=RUNS),
    one_round(ours=44, ceiling=54, latencies_ms=[3.0, 100.0], ray={"fault": "it ended"}),
    one_round(ours=60, ceiling=52, latencies_ms=[4.0], ray=RUNS),
]


def test_medians_over_rounds():
    found = figures(ROUNDS, KIND)
    assert (found["rounds"], found["in_process"]) == (3, {"photos_per_s": 52})
    headswap = found["servers"]["headswap"]
    assert headswap["start_s"] == 4.4
    assert headswap["connections"]["8"] == {
        "requests_per_s": 44, "spread": [40, 60], "p50_ms": 10, "p99_ms": 20, "failed": 3,
    }  # fmt: skip
    assert headswap["open"]["50%"] == {
        "requests": 5, "p50_ms": 3, "p99_ms": 100, "p999_ms": 100, "failed": 0,
    }  # fmt: skip


def test_a_round_that_a_contender_missed_does_not_count_for_it():
    assert figures(ROUNDS, KIND)["servers"]["ray"]["connections"]["8"]["failed"] == 2


def test_a_contender_that_fell_out_last_is_told():
    assert figures(ROUNDS[:2], KIND)["servers"]["ray"] == {"fault": "it ended"}
