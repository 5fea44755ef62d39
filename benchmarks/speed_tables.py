"""Puts the table of benchmarks/training.json and features.json between README.md's two marks; a test holds them equal.

python -m benchmarks.speed_tables
"""

import json
from typing import Any

from benchmarks import features, readme, training
from training.fit.batches import FEATURE_VIEWS

ARCHITECTURE = "resnet18 "
NAMES = {
    "headswap": "**headswap**",
    "torchvision": "torchvision's recipe",
    "timm": "timm",
}


def render() -> str:
    """Return the table and the sentence as Markdown."""
    told = json.loads(training.RESULTS.read_text())
    keys = sorted((key for key in told if key.startswith(ARCHITECTURE)), reverse=True)
    ordered = {key: told[key] for key in keys}
    return f"{_table(ordered)}\n{_say(json.loads(features.RESULTS.read_text()))}\n"


def _table(told: dict[str, Any]) -> str:
    columns = [
        (found["photos_per_s"], epoch)
        for found in told.values()
        for epoch in ("first_epoch", "later_epochs")
    ]
    heads = [
        f"{key.removeprefix(ARCHITECTURE)}, {epoch}"
        for key in told
        for epoch in ("first epoch", "later ones")
    ]
    lines = [f"| ResNet-18, photos/s | {' | '.join(heads)} |", f"|---|{'---:|' * len(heads)}"]
    for name, shown in NAMES.items():
        cells = [_cell(speeds, name, epoch) for speeds, epoch in columns]
        lines.append(f"| {shown} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", _where(told), ""])


def _cell(speeds: dict[str, dict[str, float]], name: str, epoch: str) -> str:
    speed = f"{speeds[name][epoch]:.1f}"
    if name == "headswap":
        return speed
    return f"{speed} (headswap: {speeds['headswap'][epoch] / speeds[name][epoch]:.2f} times)"


def _where(told: dict[str, Any]) -> str:
    found = next(iter(told.values()))
    rounds = ", ".join(
        f"{len(one['rounds'])} of {key.removeprefix(ARCHITECTURE)}" for key, one in told.items()
    )
    return (
        f"{found['machine']['processor']}, {found['machine']['cores']} cores, {found['date']}; 224 px, 32 photos a "
        "step, float32, decoding included. Medians of rounds, each with every contender started anew: "
        f"{rounds}."
    )


def _say(found: dict[str, Any]) -> str:
    accuracy, epoch = found["accuracy"], found["times_as_fast_an_epoch"]
    return (
        f"`--freeze body`: after the first, an epoch is {epoch:.0f} times as fast as passing the photos again, "
        f"and sees {FEATURE_VIEWS} views of each photo instead of one "
        f"({found['architecture']}, {found['image_size_px']} px, {found['train_n']} photos). After as many views, test "
        f"accuracy is {accuracy['cached']:.3f} and {accuracy['passing']:.3f} (means of "
        f"{len(found['runs']['cached'])} seeds, n = {found['test_n']})."
    )


if __name__ == "__main__":
    readme.put("training", render())
