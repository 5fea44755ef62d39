"""The README's figures are those of the committed results."""

from benchmarks import results
from benchmarks.tables import NAMES, ROOT, SERVING, quoted, render


def test_the_readme_quotes_the_results() -> None:
    assert quoted((ROOT / "README.md").read_text()) == render(results.read())


def test_every_contender_has_a_name_and_a_figure() -> None:
    told = [found for key, found in results.read().items() if key.startswith(SERVING)]
    assert told
    for found in told:
        assert set(found["servers"]) <= set(NAMES)
        for one in found["servers"].values():
            loads = one.get("connections", {}).values()
            assert one.get("fault") or all(told["requests_per_s"] > 0 for told in loads)


def test_a_failure_is_told() -> None:
    load = {
        "requests_per_s": 50.0,
        "spread": [49.0, 51.0],
        "p50_ms": 1.0,
        "p99_ms": 2.0,
        "failed": 3,
    }
    server = {"start_s": 1.0, "resident_mb": 10.0, "connections": {"8": load}}
    found = {
        "date": "2026-01-01", "machine": {"processor": "cpu", "cores": 2}, "rounds": 1, "seconds": 5.0,
        "in_process": {"photos_per_s": 100.0, "one_photo_ms": 10.0},
        "servers": {"ray": server, "bentoml": {"fault": "it ended"}},
    }  # fmt: skip
    told = render({"serving resnet18 366x500": found})
    assert "failed requests: ray 3" in told
    assert "| 50 % |" in told
    assert "Did not answer: BentoML" in told
