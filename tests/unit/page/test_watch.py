"""Watch: 30 minutes of looks at the metrics page, what each version answered over time, and a server that is gone."""

from itertools import pairwise
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from page import history
from page.class_shares import WINDOW_S, describe_versions
from page.context import PageContext
from page.history import INTERVAL_S, KEPT_S, Answers, History, Sample
from page.watch import _point
from serving.errors import UnreachableError
from serving.rollout import metrics_page
from serving.rollout.metrics_page import Counts
from tests.unit.page.helpers import PageServer

METRICS = """
# TYPE handler_predictions_total counter
handler_predictions_total{model="tiny",version="1.0",transport="http",label="dog"} 3.0
# TYPE handler_confidence histogram
handler_confidence_sum{model="tiny",version="1.0",transport="http"} 1.5
handler_confidence_count{model="tiny",version="1.0",transport="http"} 3.0
"""
DOWN = UnreachableError("http://127.0.0.1:8082/metrics does not answer.")
FIRST, SECOND = ("tiny", "1.0"), ("tiny", "2.0")


def sample(time: float, **answers: dict[str, int]) -> Sample:
    """Return a look at what the versions v1 and v2 have answered since they were loaded, all with confidence 0.5."""
    keys = {"v1": FIRST, "v2": SECOND}
    return Sample(
        time=time, counts={}, queued=0, ready_workers=1, workers=1,
        answers={
            keys[name]: Answers(
                labels=history.Counter(labels), confidence_sum=0.5 * sum(labels.values()),
                confidence_count=sum(labels.values()),
            )
            for name, labels in answers.items()
        },
    )  # fmt: skip


def test_the_metrics_page_is_parsed_once_a_look(
    context: PageContext, server: PageServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed: list[str] = []
    parse = text_string_to_metric_families

    def counted(text: str) -> Any:
        parsed.append(text)
        return parse(text)

    monkeypatch.setattr(metrics_page, "text_string_to_metric_families", counted)
    server.metrics[:] = [METRICS]
    context.history.look(context.session)
    assert parsed == [METRICS]
    looked = context.history.samples[-1]
    assert looked.answers[FIRST].labels == {"dog": 3}
    assert looked.counts[FIRST].images == 3


def test_thirty_minutes_are_kept(context: PageContext, server: PageServer) -> None:
    now = [0.0]
    kept = History(clock=lambda: now[0])
    for number in range(int(KEPT_S / INTERVAL_S) + 50):
        now[0] = number * INTERVAL_S
        kept.look(context.session)
    times = [look.time for look in kept.samples]
    assert times[-1] - times[0] == KEPT_S
    assert {after - before for before, after in pairwise(times)} == {INTERVAL_S}


def test_what_a_version_answers_is_followed_over_the_promotion() -> None:
    samples = [
        sample(0, v1={"dog": 100}),
        sample(5, v1={"dog": 104}),
        sample(10, v1={"dog": 104, "cat": 4}),
        sample(15, v1={"dog": 104, "cat": 4}, v2={"cat": 2}),
    ]
    first, second = describe_versions(samples)
    assert (first["version"], first["photos"], first["confidence"]) == ("1.0", 108, 0.5)
    shares = {line["label"]: line["shares"] for line in first["classes_over_time"]}
    assert shares == {"dog": [1.0, 0.5, 0.5], "cat": [0.0, 0.5, 0.5]}
    assert first["confidence_over_time"] == [0.5, 0.5, 0.5]
    assert second["confidence_over_time"] == [None, None, 0.5]
    assert [line["label"] for line in second["classes_over_time"]] == list(shares)
    assert second["others_over_time"] == [None, None, 0.0]


def test_a_point_is_of_the_minute_before_it() -> None:
    samples = [sample(5.0 * n, v1={"dog": n} if n < 50 else {"dog": 50, "cat": n - 49}) for n in range(80)]  # fmt: skip
    (version,) = describe_versions(samples)
    shares = {line["label"]: line["shares"] for line in version["classes_over_time"]}
    change = 49
    assert shares["cat"][change - 1] == 0.0
    assert 0.0 < shares["cat"][change] < 0.2
    assert shares["cat"][change + int(WINDOW_S / 5)] == 1.0


def test_a_version_that_was_loaded_anew_began_at_nothing() -> None:
    samples = [sample(0, v1={"dog": 100}), sample(5, v1={"cat": 2})]
    (version,) = describe_versions(samples)
    assert {line["label"]: line["shares"] for line in version["classes_over_time"]} == {"cat": [1.0]}  # fmt: skip


def test_no_rate_is_claimed_for_a_time_without_looks() -> None:
    def look(time: float, images: int) -> Sample:
        counts = {FIRST: Counts(images=images, buckets={0.1: images, float("inf"): images})}
        return Sample(time=time, counts=counts, answers={}, queued=0, ready_workers=1, workers=1)

    assert _point(look(0, 0), look(5, 10))["requests_per_s"] == 2.0
    away = _point(look(5, 10), look(605, 3000))
    assert (away["requests_per_s"], away["p50_ms"], away["workers"]) == (None, None, 1)
    assert _point(look(10, 3), look(10, 3))["requests_per_s"] is None


def test_a_server_that_is_gone_is_said_until_it_is_back(
    manager: TestClient, context: PageContext, server: PageServer
) -> None:
    server.faults["metrics"] = DOWN
    context.history.look(context.session)
    watched = manager.get("/api/watch").json()
    assert watched["problem"] == f"The metrics address is off: {DOWN}"
    del server.faults["metrics"]
    context.history.look(context.session)
    assert manager.get("/api/watch").json()["problem"] == ""


def test_the_looks_go_on_after_an_answer_that_nobody_foresaw(
    context: PageContext, server: PageServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter([KeyError("workers"), None])
    looks: list[str] = []

    def look(session: object) -> None:
        error = next(answers)
        looks.append(type(error).__name__)
        if error is not None:
            raise error
        context.history.stop()

    monkeypatch.setattr(history, "INTERVAL_S", 0.01)
    monkeypatch.setattr(context.history, "look", look)
    context.history._run(context.session)
    assert looks == ["KeyError", "NoneType"]
