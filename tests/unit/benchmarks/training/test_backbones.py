"""The default network is the one that the measurements say it should be."""

import json
from pathlib import Path

from benchmarks.training.backbones import RESULTS, config_of, tables
from training.config import TrainConfig

RESULT = json.loads(RESULTS.read_text())
DEFAULT = TrainConfig(data=Path("photos"))


def test_the_default_is_the_most_accurate_that_is_fast_enough() -> None:
    fast_enough = {
        candidate
        for candidate, speed in RESULT["speed_ms"].items()
        if speed["photos_per_s_over_baseline"] >= 1
    }
    default = f"{DEFAULT.architecture}:{DEFAULT.image_size_px}"
    assert default in fast_enough
    assert len(fast_enough) < len(RESULT["speed_ms"])
    for of_photos in RESULT["accuracy"].values():
        for trained in {key.partition(" ")[2] for key in of_photos}:
            accuracies = {
                key.split(" ")[0]: sum(figures["accuracy"]) / len(figures["accuracy"])
                for key, figures in of_photos.items()
                if key.partition(" ")[2] == trained and key.split(" ")[0] in fast_enough
            }
            if default in accuracies:
                assert accuracies[default] == max(accuracies.values()), trained


def test_a_candidate_is_the_quick_preset_of_another_network_and_size() -> None:
    config = config_of("efficientnet_lite2:192", data=Path("photos"))
    assert (config.architecture, config.image_size_px) == ("efficientnet_lite2", 192)
    assert config.effective_weights == "embedded"
    assert config.resize_ratio == 1


def test_a_deviation_is_shown_where_there_are_several_seeds() -> None:
    speed = {"onnx": 12.34, "mnn": 20.0, "int8": 8.06, "photos_per_s_over_baseline": 1.057}
    one = {"accuracy": [0.9], "training_s": [30.0]}
    three = {"accuracy": [0.9, 0.92, 0.94], "training_s": [30.0, 30.0, 33.0]}
    text = tables(
        {
            "speed_ms": {"net:224": speed},
            "accuracy": {"photos": {"net:224 none 20 + 3": one, "net:224 backbone 20 + 0": three}},
        }
    )
    assert "| net, 224 px | 12.3 ms | 20.0 ms | 8.1 ms | 1.06 times |" in text
    assert "| net, 224 px | photos | whole network | 20 + 3 | 90.0 % | 30 s |" in text
    assert "| net, 224 px | photos | head | 20 + 0 | 92.0 ± 2.0 % | 31 s |" in text
