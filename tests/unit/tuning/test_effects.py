"""Main effects are the factors that throughputs were made of, in an order that rounding errors cannot change."""

import itertools
import math

import pytest

from tests.unit.tuning.helpers import START
from tuning.effects import Model, fit


def test_effects_are_the_factors_the_throughputs_were_made_of():
    workers, engines = {1: 1.0, 2: 1.9, 3: 1.7}, {"onnx": 1.0, "eager": 0.5}
    measured = [
        (
            START.changed({"workers": count, "engine": engine}),
            20 * workers[count] * engines[engine],
        )
        for count, engine in itertools.product(workers, engines)
    ]
    effects = fit(measured).effects()
    assert [effect.name for effect in effects] == ["engine", "workers"]
    assert effects[0].factors == pytest.approx({"eager": 1.0, "onnx": 2.0})
    assert effects[1].factors == pytest.approx(workers)
    assert effects[1].range == pytest.approx(0.9)


def test_an_effect_is_separated_where_settings_changed_one_at_a_time():
    slower, slowest = START.changed({"workers": 1}), START.changed({"engine": "eager"})
    model = fit([(START, 40.0), (slower, 20.0), (slowest, 10.0)])
    unseen = START.changed({"workers": 1, "engine": "eager"})
    assert model.knows(unseen)
    assert model.predict(unseen) == pytest.approx(5.0)
    assert not model.knows(START.changed({"workers": 9}))


@pytest.mark.parametrize("rounding_error", [-1e-12, 0.0, 1e-12])
def test_equal_effects_keep_the_order_of_the_fields(rounding_error):
    model = Model(
        columns=(("workers", 1), ("workers", 2), ("engine", "eager"), ("engine", "onnx")),
        coefficients=(0.0, 0.0, math.log(2), 0.0, math.log(2) + rounding_error),
    )
    assert [effect.name for effect in model.effects()] == ["workers", "engine"]
