"""What a soak makes of what it saw."""

from pathlib import Path

import pytest

from serving.archive.reader import Archive
from serving.client import ClassScore, Prediction
from serving.errors import InputError
from serving.loadtest.load import Sample, Tally
from serving.loadtest.soak import Plan, SoakResult, SwapTime, _count_wrong


def prediction(version: str, probability: float = 0.9) -> Prediction:
    guesses = (ClassScore(label="hat", index=0, probability=probability),)
    return Prediction(model="m", version=version, guesses=guesses)


def sample(
    at_s: float, latency_ms: float, version: str = "1", *, failure: str | None = None
) -> Sample:
    answer = None if failure else prediction(version)
    return Sample(began_s=at_s, latency_ms=latency_ms, photo=0, answer=answer, failure=failure)


def archive(name: str, version: str) -> Archive:
    return Archive(
        path=Path("x.mar"), name=name, version=version, class_names=("hat",), probe_sets=(), sha256="",
    )  # fmt: skip


def test_latencies_are_parted_by_the_swaps() -> None:
    samples = [sample(100 + i / 10, 10.0) for i in range(20)]
    # Begun before the swap, answered within it.
    samples += [sample(101.95, 100.0), sample(102.5, 50.0, "2"), sample(104.5, 20.0, "2")]
    soaked = SoakResult(
        tally=Tally(samples=samples, retries=3),
        swaps=[SwapTime(to="2", began_s=102.0, ended_s=103.0)],
        wrong=0,
        began_s=100.0,
        killed_s=None,
    )
    told = soaked.to_dict()
    assert soaked.is_sound
    assert (told["swaps"], told["requests"], told["retries"]) == (1, 23, 3)
    assert told["p99_ms"] == {"during": 100.0, "outside": 20.0}
    assert told["p99_ratio"] == 5.0
    assert told["answered_by"] == {"1": 21, "2": 2}
    assert told["each_swap"][0]["before"]["requests"] == 21
    assert told["each_swap"][0]["during"]["requests"] == 1
    assert told["answers_per_second"][2] == {"1": 1, "2": 1}


def test_a_failure_or_a_wrong_answer_is_not_sound() -> None:
    def soaked(tally: Tally, wrong: int) -> SoakResult:
        return SoakResult(tally=tally, swaps=[], wrong=wrong, began_s=0.0, killed_s=None)

    assert soaked(Tally(), 0).is_sound
    assert not soaked(Tally(), 1).is_sound
    failed = soaked(Tally(samples=[sample(0, 1, failure="OverloadedError")]), 0)
    assert not failed.is_sound
    assert failed.to_dict()["failures"] == {"OverloadedError": 1}
    assert failed.to_dict()["p99_ratio"] is None


def test_an_answer_is_held_against_the_version_it_names() -> None:
    own = {"1": [prediction("1", 0.9)], "2": [prediction("2", 0.4)]}
    right = sample(0, 1, "1")
    swapped = Sample(began_s=0, latency_ms=1, photo=0, answer=prediction("2", 0.9), failure=None)
    assert _count_wrong(Tally(samples=[right]), own) == 0
    assert _count_wrong(Tally(samples=[right, swapped]), own) == 1


@pytest.mark.parametrize(
    ("first", "second"),
    [(archive("m", "1"), archive("m", "1")), (archive("m", "1"), archive("n", "2"))],
)
def test_only_two_versions_of_one_model_can_be_soaked(first: Archive, second: Archive) -> None:
    with pytest.raises(InputError, match="two versions of one model"):
        Plan(archives=(first, second), seconds=1, connections=1, transport="http")


def test_a_soak_needs_time_and_connections() -> None:
    with pytest.raises(InputError, match="shows nothing"):
        Plan(
            archives=(archive("m", "1"), archive("m", "2")),
            seconds=0,
            connections=1,
            transport="http",
        )
