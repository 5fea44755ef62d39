"""headswap lr-find: the learning rate rises until the loss does, and a plot and a suggestion are written."""

import itertools
import json
import math
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest
from safetensors.torch import load_file, save_file

from training.config import TrainConfig
from training.data.source import read_data
from training.errors import ConfigError, DivergedError
from training.fit import lr_finder
from training.fit.lr_finder import find_learning_rate, suggest, write_learning_rate_curve

Config = Callable[..., TrainConfig]


@pytest.mark.parametrize("freeze", ["gradual", "backbone"])
def test_a_learning_rate_is_suggested(
    freeze: str, small_config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lr_finder, "STEP_COUNT", 12)
    config = small_config(freeze=freeze)
    messages: list[str] = []
    curve = find_learning_rate(config, read_data(config), log=messages.append)
    assert messages == [
        f"{0 if freeze == 'backbone' else 1} epochs of the head, then 12 steps from 1e-06 upwards"
    ]
    assert len(curve.learning_rates) == len(curve.losses) <= 12
    assert curve.learning_rates[0] == pytest.approx(lr_finder.LEARNING_RATE_MIN)
    factors = [after / before for before, after in itertools.pairwise(curve.learning_rates)]
    assert factors == [pytest.approx(1e6 ** (1 / 11))] * len(factors)
    assert all(math.isfinite(loss) for loss in curve.losses)
    assert curve.suggestion == suggest(curve.learning_rates, curve.losses)

    plot = write_learning_rate_curve(curve, config.out)
    assert ElementTree.parse(plot).getroot().tag.endswith("svg")
    written = json.loads((config.out / "learning-rate.json").read_text())
    assert written == {
        "suggestion": curve.suggestion, "learning_rates": curve.learning_rates, "losses": curve.losses,
    }  # fmt: skip
    # The folder may still become a run folder.
    assert {path.name for path in config.out.iterdir()} == {
        "learning-rate.json",
        "learning-rate.svg",
    }


def test_the_same_flags_suggest_the_same_learning_rate(
    small_config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lr_finder, "STEP_COUNT", 5)
    config = small_config(weights="none", mix="both", augment="trivial")
    photos = read_data(config)
    one, other = (find_learning_rate(config, photos, log=lambda _: None) for _ in range(2))
    assert one == other


def test_without_epochs_of_the_whole_network_it_has_no_learning_rate(small_config: Config) -> None:
    config = small_config(epochs=0)
    with pytest.raises(ConfigError, match="--epochs is 0"):
        find_learning_rate(config, read_data(config), log=lambda _: None)


def test_weights_that_are_not_finite_are_reported(small_config: Config, tmp_path: Path) -> None:
    broken = {name: value * math.nan for name, value in load_file(small_config().weights).items()}
    save_file(broken, tmp_path / "broken.safetensors")
    config = small_config(weights=str(tmp_path / "broken.safetensors"), head_epochs=0)
    with pytest.raises(DivergedError, match="not finite .*broken.safetensors"):
        find_learning_rate(config, read_data(config), log=lambda _: None)


def test_the_suggestion_is_a_tenth_of_the_learning_rate_of_the_lowest_loss() -> None:
    rates = [10 ** (step / 10 - 6) for step in range(61)]
    losses = [1 + (math.log10(rate) + 1.5) ** 2 for rate in rates]
    assert suggest(rates, losses) == pytest.approx(0.003)
