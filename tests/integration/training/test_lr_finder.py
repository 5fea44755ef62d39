"""headswap lr-find: the rate rises, the loss turns, a plot and a number come out, and no run."""

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
from training.fit.lr_finder import find_learning_rate, suggest, write_rate_range

Config = Callable[..., TrainConfig]


@pytest.mark.parametrize("freeze", ["gradual", "body"])
def test_a_rate_is_found(
    freeze: str, small_config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lr_finder, "STEP_COUNT", 12)
    config = small_config(freeze=freeze)
    said: list[str] = []
    found = find_learning_rate(config, read_data(config), say=said.append)
    assert said == [
        f"{0 if freeze == 'body' else 1} epochs of the head, then 12 steps from 1e-06 upwards"
    ]
    assert len(found.rates) == len(found.losses) <= 12
    assert found.rates[0] == pytest.approx(lr_finder.LOWEST_RATE)
    factors = [later / rate for rate, later in itertools.pairwise(found.rates)]
    assert factors == [pytest.approx(1e6 ** (1 / 11))] * len(factors)
    assert all(math.isfinite(loss) for loss in found.losses)
    assert found.suggestion == suggest(found.rates, found.losses)

    plot = write_rate_range(found, config.out)
    assert ElementTree.parse(plot).getroot().tag.endswith("svg")
    told = json.loads((config.out / "learning-rate.json").read_text())
    assert told == {
        "suggestion": found.suggestion, "rates": found.rates, "losses": found.losses,
    }  # fmt: skip
    # A run may be trained beside them.
    assert {path.name for path in config.out.iterdir()} == {
        "learning-rate.json",
        "learning-rate.svg",
    }


def test_the_same_flags_find_the_same_rate(
    small_config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lr_finder, "STEP_COUNT", 5)
    config = small_config(weights="none", mix="both", augment="trivial")
    photos = read_data(config)
    one, other = (find_learning_rate(config, photos, say=lambda _: None) for _ in range(2))
    assert one == other


def test_without_epochs_of_the_whole_network_there_is_nothing_to_find(small_config: Config) -> None:
    config = small_config(epochs=0)
    with pytest.raises(ConfigError, match="--epochs is 0"):
        find_learning_rate(config, read_data(config), say=lambda _: None)


def test_weights_that_are_no_numbers_are_said_so(small_config: Config, tmp_path: Path) -> None:
    broken = {name: value * math.nan for name, value in load_file(small_config().weights).items()}
    save_file(broken, tmp_path / "broken.safetensors")
    config = small_config(weights=str(tmp_path / "broken.safetensors"), head_epochs=0)
    with pytest.raises(DivergedError, match="no number .*broken.safetensors"):
        find_learning_rate(config, read_data(config), say=lambda _: None)


def test_the_suggestion_is_a_tenth_of_the_rate_of_the_lowest_loss() -> None:
    rates = [10 ** (step / 10 - 6) for step in range(61)]
    losses = [1 + (math.log10(rate) + 1.5) ** 2 for rate in rates]
    assert suggest(rates, losses) == pytest.approx(0.003)
