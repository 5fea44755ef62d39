"""The serving tables of docs/benchmarks.md are those of the committed results, and say who is ahead of headswap."""

from benchmarks import document
from benchmarks.measurements import read
from benchmarks.serving.tables import NAMES, RESULTS, SERVING, render


def test_the_page_quotes_the_results() -> None:
    assert document.quoted("benchmarks") == render(read(RESULTS))


def test_every_candidate_has_a_name_and_a_figure() -> None:
    entries = [entry for key, entry in read(RESULTS).items() if key.startswith(SERVING)]
    assert entries
    for entry in entries:
        assert set(entry["servers"]) <= set(NAMES)
        for server in entry["servers"].values():
            loads = server.get("connections", {}).values()
            assert server.get("fault") or all(load["requests_per_s"] > 0 for load in loads)


def rendered(servers: dict, open_rates_per_s: dict[str, float]) -> str:
    entry = {
        "date": "2026-01-01", "machine": {"processor": "cpu", "cores": 2}, "rounds": 2, "seconds": 5.0,
        "in_process": {"photos_per_s": 100.0, "one_photo_ms": 10.0}, "open_rates_per_s": open_rates_per_s,
        "servers": servers,
    }  # fmt: skip
    return render({"serving resnet18 366x500": entry})


def test_failures_are_reported() -> None:
    load = {
        "requests_per_s": 50.0,
        "spread": [49.0, 51.0],
        "p50_ms": 1.0,
        "p99_ms": 2.0,
        "failed": 3,
    }
    server = {"start_s": 1.0, "resident_mb": 10.0, "connections": {"8": load}, "open": {}}
    text = rendered({"ray": server, "bentoml": {"fault": "it ended"}}, {})
    assert "failed requests: ray 3" in text
    assert "| 50 % |" in text
    assert "Did not answer: BentoML" in text


def server(*, per_s: float, p99_ms: float) -> dict:
    closed = {"requests_per_s": per_s, "p50_ms": 1.0, "p99_ms": p99_ms, "failed": 0}
    open_ = {"requests": 9, "p50_ms": 1.0, "p99_ms": p99_ms, "p999_ms": 99.0, "failed": 0}
    loops = {"connections": {"1": closed, "8": closed}, "open": {"50%": open_}}
    return {"start_s": 1.0, "resident_mb": 10.0, **loops}


def test_who_is_ahead_of_headswap_is_said_in_plain_words() -> None:
    servers = {"headswap": server(per_s=50, p99_ms=20), "ray": server(per_s=40, p99_ms=30)}
    text = rendered(servers, {"50%": 50.0})
    assert "headswap is first under every load." in text
    assert "50 requests/s (50 % of the ceiling)" in text
    text = rendered(servers | {"litserve": server(per_s=55, p99_ms=10)}, {"50%": 50.0})
    assert "with 1 connection LitServe + ONNX Runtime, one worker per core is 10 % faster" in text
    assert "at 50 % of the ceiling LitServe" in text
    text = rendered(servers | {"ray": server(per_s=50.1, p99_ms=30)}, {"50%": 50.0})
    assert "with 8 connections Ray Serve + ONNX Runtime, one replica per core is as fast." in text
    text = rendered(servers | {"ray": server(per_s=49, p99_ms=10)}, {"50%": 50.0})
    assert "has the lower p99, 10 ms to 20" in text


def test_a_server_is_compared_only_under_the_loads_it_was_measured_with() -> None:
    slow = server(per_s=5, p99_ms=900)
    slow |= {"connections": {"8": slow["connections"]["8"]}, "open": {}}
    text = rendered({"headswap": server(per_s=50, p99_ms=20), "stock": slow}, {"50%": 50.0})
    assert "| TorchServe `image_classifier`, as shipped |  | 5.0 (1 / 900) |" in text
    assert "headswap is first under every load." in text


def test_capture_says_what_it_costs() -> None:
    entry = {
        "architecture": "small", "kept_share": 0.1016, "rounds": 40, "photos": 64,
        "photos_per_s_ratio": {"median": 0.9871, "low": 0.95, "high": 1.02},
        "cpu_ratio": {"median": 1.0042, "low": 0.99, "high": 1.01},
    }  # fmt: skip
    text = render({"capture": entry})
    assert "of 10 % of the photos, small, one worker, 40 interleaved rounds of 64 photos" in text
    assert "0.987 times the photos/s (quartiles 0.950 to 1.020), 1.004 times the CPU time" in text
