"""The figures of a soak follow from its samples, and it is sound only when every request was answered rightly."""

from pathlib import Path

import pytest

from serving.archive.reader import Archive
from serving.client import ClassScore, Prediction
from serving.errors import InputError
from serving.loadtest.result import LoadResult, RequestSample
from serving.loadtest.soak import Plan, PromotionTime, SoakResult, _count_wrong


def prediction(version: str, probability: float = 0.9) -> Prediction:
    scores = (ClassScore(label="hat", index=0, probability=probability),)
    return Prediction(model="m", version=version, scores=scores)


def sample(
    at_s: float,
    latency_ms: float,
    answer: Prediction | None = None,
    *,
    failure: str | None = None,
) -> RequestSample:
    if failure is None and answer is None:
        answer = prediction("1")
    return RequestSample(
        due_s=at_s,
        ended_s=at_s + latency_ms / 1e3,
        photo=0,
        prediction=answer,
        failure=failure,
    )


def archive(name: str, version: str) -> Archive:
    return Archive(
        path=Path("x.mar"), name=name, version=version, class_names=("hat",), probe_sets=(), sha256="",
    )  # fmt: skip


def plan(first: Archive, second: Archive, *, seconds: float = 1, connections: int = 1) -> Plan:
    return Plan(
        archives=(first, second), seconds=seconds, connections=connections, transport="http"
    )


def test_latencies_are_split_by_the_promotions() -> None:
    samples = [sample(100 + i / 10, 10.0) for i in range(20)]
    second = prediction("2")
    # Sent before the promotion, answered within it.
    samples += [sample(101.95, 100.0), sample(102.5, 50.0, second), sample(104.5, 20.0, second)]
    result = SoakResult(
        load=LoadResult(samples=samples, seconds=5, retries=3),
        promotions=[PromotionTime(version="2", began_s=102.0, ended_s=103.0)],
        wrong=0,
        began_s=100.0,
        killed_s=None,
    )
    figures = result.to_dict()
    assert result.is_sound
    assert (figures["swaps"], figures["requests"], figures["retries"]) == (1, 23, 3)
    assert figures["p99_ms"] == {"during": 100.0, "outside": 20.0}
    assert figures["p99_ratio"] == 5.0
    assert figures["answered_by"] == {"1": 21, "2": 2}
    assert figures["each_swap"][0]["before"]["requests"] == 21
    assert figures["each_swap"][0]["during"]["requests"] == 1
    assert figures["answers_per_second"][2] == {"1": 1, "2": 1}


def test_a_failure_or_a_wrong_answer_is_not_sound() -> None:
    def result(load: LoadResult, wrong: int) -> SoakResult:
        return SoakResult(load=load, promotions=[], wrong=wrong, began_s=0.0, killed_s=None)

    assert result(LoadResult(), 0).is_sound
    assert not result(LoadResult(), 1).is_sound
    failed = result(LoadResult(samples=[sample(0, 1, failure="OverloadedError")]), 0)
    assert not failed.is_sound
    assert failed.to_dict()["failures"] == {"OverloadedError": 1}
    assert failed.to_dict()["p99_ratio"] is None


def test_an_answer_is_compared_with_the_version_it_names() -> None:
    expected = {"1": [prediction("1", 0.9)], "2": [prediction("2", 0.4)]}
    right, swapped = sample(0, 1), sample(0, 1, prediction("2", 0.9))
    assert _count_wrong(LoadResult(samples=[right]), expected) == 0
    assert _count_wrong(LoadResult(samples=[right, swapped]), expected) == 1


@pytest.mark.parametrize(
    ("first", "second"),
    [(archive("m", "1"), archive("m", "1")), (archive("m", "1"), archive("n", "2"))],
)
def test_only_two_versions_of_one_model_can_be_soaked(first: Archive, second: Archive) -> None:
    with pytest.raises(InputError, match="must be two versions of one model"):
        plan(first, second)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [({"seconds": 0}, "--seconds must be above 0"), ({"connections": 0}, "--connections must be")],
)
def test_a_soak_needs_time_and_connections(wrong: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        plan(archive("m", "1"), archive("m", "2"), **wrong)
