"""Figures of serving are medians over rounds; open loops pool the latencies of all rounds."""

from benchmarks.serving.figures import figures

KIND = "366x500"


def closed(requests_per_s: float) -> dict:
    return {"requests_per_s": requests_per_s, "p50_ms": 10.0, "p99_ms": 20.0, "failed": 1}


def one_round(*, headswap: float, ceiling: float, latencies_ms: list[float], ray: dict) -> dict:
    loads = {"headswap": {"closed": {"8": closed(headswap)},
                          "open": {"50%": {"latencies_ms": latencies_ms, "failed": 0}}}}  # fmt: skip
    if "fault" not in ray:
        loads["ray"] = {"closed": {"8": closed(5.0)}, "open": {}}
    return {
        "servers": {"headswap": {"start_s": headswap / 10, "resident_mb": 100.0}, "ray": ray},
        "kinds": {KIND: {"in_process": {"photos_per_s": ceiling}, "open_rates_per_s": {"50%": 25.0},
                         "servers": loads}},
    }  # fmt: skip


RUNS = {"start_s": 9.0, "resident_mb": 1.0}
ROUNDS = [
    one_round(headswap=40, ceiling=50, latencies_ms=[1.0, 2.0], ray=RUNS),
    one_round(headswap=44, ceiling=54, latencies_ms=[3.0, 100.0], ray={"fault": "it ended"}),
    one_round(headswap=60, ceiling=52, latencies_ms=[4.0], ray=RUNS),
]


def test_medians_over_rounds():
    entry = figures(ROUNDS, KIND)
    assert (entry["rounds"], entry["in_process"]) == (3, {"photos_per_s": 52})
    headswap = entry["servers"]["headswap"]
    assert headswap["start_s"] == 4.4
    assert headswap["connections"]["8"] == {
        "requests_per_s": 44, "spread": [40, 60], "p50_ms": 10, "p99_ms": 20, "failed": 3,
    }  # fmt: skip
    assert headswap["open"]["50%"] == {
        "requests": 5, "p50_ms": 3, "p99_ms": 100, "p999_ms": 100, "failed": 0,
    }  # fmt: skip


def test_a_round_from_which_a_candidate_was_excluded_does_not_count_for_it():
    assert figures(ROUNDS, KIND)["servers"]["ray"]["connections"]["8"]["failed"] == 2


def test_a_candidate_that_was_excluded_from_the_last_round_has_the_reason_alone():
    assert figures(ROUNDS[:2], KIND)["servers"]["ray"] == {"fault": "it ended"}
