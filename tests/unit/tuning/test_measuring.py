"""Which loads a trial consists of, against a server of a few lines that answers after a known time."""

import pytest

from serving.errors import InputError, ServerError
from serving.loadtest.http_target import HttpTarget
from tests.unit.serving.loadtest.helpers import ANSWER_S, PHOTOS, serving
from tuning.measuring import LARGEST_PHOTO_COUNT, Measurer, classifiable, pick_photos
from tuning.serving_config import ServingConfig

CONFIG = ServingConfig(workers=2, threads=1, batch_size=4, max_delay_ms=1)


class FakeTrialServer:
    """A trial server that serves every configuration alike, or fails to load any with `error`."""

    def __init__(self, target: HttpTarget, error: Exception | None = None) -> None:
        self.loaded: list[ServingConfig] = []
        self._target, self._error = target, error

    def load(self, config: ServingConfig) -> None:
        self.loaded.append(config)
        if self._error is not None:
            raise self._error

    def target(self) -> HttpTarget:
        return self._target

    def memory_mb(self) -> float:
        return 500.0


def measurer_of(server: FakeTrialServer, **options) -> Measurer:
    return Measurer(
        server=server, photos=PHOTOS, connections=(1, 2, 4), level_s=0.1, is_warm=True, **options
    )


def test_only_photos_that_are_classified_are_used_and_one_is_needed():
    with serving(status=lambda body: 400 if body == PHOTOS[0] else 200) as target:
        assert classifiable(FakeTrialServer(target), PHOTOS) == [PHOTOS[1]]
        with pytest.raises(InputError, match=r"none of the 1 photos was classified \(HTTP 400\)"):
            classifiable(FakeTrialServer(target), PHOTOS[:1])


def test_of_many_photos_some_are_picked_evenly():
    picked = pick_photos(range(1000))
    assert len(picked) == LARGEST_PHOTO_COUNT
    assert picked[-1] > 980
    assert pick_photos([1, 2]) == [1, 2]


def test_without_a_bound_a_quick_trial_is_one_level_and_a_thorough_one_all():
    with serving() as target:
        measurer = measurer_of(FakeTrialServer(target))
        assert [level.connections for level in measurer.quick(CONFIG).levels] == [4]
        assert [level.connections for level in measurer.thorough(CONFIG).levels] == [1, 2, 4]


def test_with_a_bound_a_quick_trial_ends_where_it_is_exceeded():
    with serving(workers=1) as target:
        late = measurer_of(FakeTrialServer(target), max_p99_ms=30.0).quick(CONFIG)
        # Two connections to one worker wait 40 ms; one alone is tried then.
        assert [level.connections for level in late.levels] == [1, 2]
        fast = measurer_of(FakeTrialServer(target), max_p99_ms=5000.0).quick(CONFIG)
        assert [level.connections for level in fast.levels] == [2, 4]


def test_a_configuration_that_fails_to_load_or_needs_too_much_memory_is_a_trial_with_an_error():
    with serving() as target:
        server = FakeTrialServer(target, error=ServerError("it does not start"))
        assert measurer_of(server).quick(CONFIG).error == "it does not start"
        server = FakeTrialServer(target)
        large = measurer_of(server, worker_mb=1e9).quick(CONFIG)
        assert "MB more than is free" in str(large.error)
        assert server.loaded == []


def test_open_levels_are_shares_of_the_rate():
    with serving() as target:
        levels = measurer_of(FakeTrialServer(target)).open(CONFIG, (0.5, 0.8), 100.0)
    assert [(level.load, level.requests_per_s) for level in levels] == [(0.5, 50), (0.8, 80)]
    assert all(level.p99_ms >= level.p50_ms >= 1e3 * ANSWER_S * 0.95 for level in levels)
