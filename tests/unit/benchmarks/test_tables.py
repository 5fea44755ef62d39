"""The README's figures are those of the committed results."""

from benchmarks import readme, results
from benchmarks.tables import NAMES, SERVING, render


def test_the_readme_quotes_the_results() -> None:
    assert readme.quoted("benchmarks") == render(results.read())


def test_every_contender_has_a_name_and_a_figure() -> None:
    told = [found for key, found in results.read().items() if key.startswith(SERVING)]
    assert told
    for found in told:
        assert set(found["servers"]) <= set(NAMES)
        for one in found["servers"].values():
            loads = one.get("connections", {}).values()
            assert one.get("fault") or all(told["requests_per_s"] > 0 for told in loads)


def rendered(servers: dict, open_rates_per_s: dict[str, float]) -> str:
    found = {
        "date": "2026-01-01", "machine": {"processor": "cpu", "cores": 2}, "rounds": 2, "seconds": 5.0,
        "in_process": {"photos_per_s": 100.0, "one_photo_ms": 10.0}, "open_rates_per_s": open_rates_per_s,
        "servers": servers,
    }  # fmt: skip
    return render({"serving resnet18 366x500": found})


def test_a_failure_is_told() -> None:
    load = {
        "requests_per_s": 50.0,
        "spread": [49.0, 51.0],
        "p50_ms": 1.0,
        "p99_ms": 2.0,
        "failed": 3,
    }
    server = {"start_s": 1.0, "resident_mb": 10.0, "connections": {"8": load}, "open": {}}
    told = rendered({"ray": server, "bentoml": {"fault": "it ended"}}, {})
    assert "failed requests: ray 3" in told
    assert "| 50 % |" in told
    assert "Did not answer: BentoML" in told


def server(*, per_s: float, p99_ms: float) -> dict:
    closed = {"requests_per_s": per_s, "p50_ms": 1.0, "p99_ms": p99_ms, "failed": 0}
    open_ = {"requests": 9, "p50_ms": 1.0, "p99_ms": p99_ms, "p999_ms": 99.0, "failed": 0}
    told = {"start_s": 1.0, "resident_mb": 10.0}
    return told | {"connections": {"1": closed, "8": closed}, "open": {"50%": open_}}


def test_who_is_ahead_of_headswap_is_said_in_plain_words() -> None:
    servers = {"headswap": server(per_s=50, p99_ms=20), "ray": server(per_s=40, p99_ms=30)}
    told = rendered(servers, {"50%": 50.0})
    assert "headswap is first under every load." in told
    assert "50 a second (50 % of the ceiling)" in told
    told = rendered(servers | {"litserve": server(per_s=55, p99_ms=10)}, {"50%": 50.0})
    assert "with 1 connection LitServe + ONNX Runtime, a worker a core is 10 % faster" in told
    assert "at 50 % of the ceiling LitServe" in told
    level = rendered(servers | {"ray": server(per_s=50.1, p99_ms=30)}, {"50%": 50.0})
    assert "with 8 connections Ray Serve + ONNX Runtime, a replica a core is as fast." in level
    assert "has the lower p99, 10 ms to 20" in told


def test_a_server_is_held_against_headswap_only_under_the_loads_it_took() -> None:
    slow = server(per_s=5, p99_ms=900)
    slow |= {"connections": {"8": slow["connections"]["8"]}, "open": {}}
    told = rendered({"headswap": server(per_s=50, p99_ms=20), "stock": slow}, {"50%": 50.0})
    assert "| TorchServe `image_classifier`, as shipped |  | 5.0 (1 / 900) |" in told
    assert "headswap is first under every load." in told
