"""The handler's counters, as the metrics address shows them."""

import pytest

from serving.errors import UnreachableError
from serving.rollout.metrics_page import Counts, parse_counts
from tests.unit.serving.rollout.helpers import FakeSession, FakeTorchServe

PAGE = """# HELP handler_predictions_total x
# TYPE handler_predictions_total counter
handler_predictions_total{model="m",version="1.0",transport="http",label="hat",hostname="h",} 7.0
handler_predictions_total{model="m",version="1.0",transport="grpc",label="shoe",hostname="h",} 3.0
# HELP handler_errors_total x
# TYPE handler_errors_total counter
handler_errors_total{model="m",version="1.0",transport="http",code="internal",hostname="h",} 2.0
handler_errors_total{model="m",version="1.0",transport="http",code="empty_body",hostname="h",} 4.0
# HELP handler_total_seconds x
# TYPE handler_total_seconds histogram
handler_total_seconds_bucket{model="m",version="1.0",transport="http",hostname="h",le="0.01",} 50.0
handler_total_seconds_bucket{model="m",version="1.0",transport="http",hostname="h",le="0.1",} 99.0
handler_total_seconds_bucket{model="m",version="1.0",transport="http",hostname="h",le="+Inf",} 100.0
handler_total_seconds_count{model="m",version="1.0",transport="http",hostname="h",} 100.0
handler_total_seconds_sum{model="m",version="1.0",transport="http",hostname="h",} 3.0
# HELP ts_inference_requests_total x
# TYPE ts_inference_requests_total counter
ts_inference_requests_total{model_name="m",model_version="default",hostname="h",} 9.0
"""


def test_counts_are_read_by_version_over_both_transports() -> None:
    counts = parse_counts(PAGE)
    assert set(counts) == {("m", "1.0")}
    version = counts["m", "1.0"]
    assert (version.images, version.errors, version.faults) == (
        10,
        {"internal": 2, "empty_body": 4},
        2,
    )
    assert version.requests == 16
    assert version.percentile_ms(0.5) == pytest.approx(10.0)
    # Within a bucket linear; what is beyond the last bound counts as that bound.
    assert version.percentile_ms(0.745) == pytest.approx(55.0)
    assert version.percentile_ms(0.999) == pytest.approx(100.0)
    assert version.since(version).requests == 0
    assert version.since(version).percentile_ms(0.5) is None
    assert Counts().percentile_ms(0.5) is None


def test_there_are_no_counts_where_the_metrics_address_is_off(
    server: FakeTorchServe, session: FakeSession
) -> None:
    server.metrics = [PAGE]
    assert session.read_counts()["m", "1.0"].images == 10
    server.faults["metrics"] = UnreachableError("off")
    assert session.read_counts() == {}
