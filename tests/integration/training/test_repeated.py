"""The same seed gives the same weights, whatever is drawn at random and wherever a run was interrupted."""

import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from training.config import TrainConfig
from training.errors import InterruptedRunError
from training.fit.checkpoint import Score
from training.fit.trainer import Trainer, train
from training.run import Run, write_json

Config = Callable[..., TrainConfig]

# Together, all settings that draw random numbers or depend on the epoch; the network has dropout.
EVERYTHING: dict[str, dict[str, object]] = {
    "from scratch": {
        "weights": "none", "augment": "trivial", "mix": "both", "balance": "sampling",
        "optimizer": "sgd", "schedule": "cosine", "warmup_epochs": 0.5, "learning_rate": 0.02,
        "accumulate_steps": 2, "ema_decay": 0.5,
    },
    "gradually": {
        "freeze": "gradual", "augment": "rand", "mix": "cutmix", "balance": "loss",
        "patience_epochs": 9, "finetuned_share": 0.5,
    },
    "head alone": {"freeze": "backbone", "balance": "sampling", "head_epochs": 2},
}  # fmt: skip

KILLED = """
import json, os, signal, sys
from pathlib import Path
import torch
from training.fit.checkpoint import Score
from training.config import TrainConfig
from training.fit.trainer import Trainer, train

original, steps = torch.optim.AdamW.step, 0

def step(self, *details, **options):
    global steps
    steps += 1
    if steps == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
    return original(self, *details, **options)

torch.optim.AdamW.step = step
torch.set_num_threads(int(sys.argv[3]))
train(TrainConfig.from_dict(json.loads(Path(sys.argv[1]).read_text())))
"""


def result_of(run_folder: Path) -> tuple[dict[str, torch.Tensor], bytes, list[dict[str, object]]]:
    run = Run(folder=run_folder)
    history = [{k: v for k, v in line.items() if k != "seconds"} for line in run.history()]
    weights = torch.load(run.last_path, weights_only=True)["network"]
    return weights, run.best_path.read_bytes(), history


def assert_same(one: Path, other: Path) -> None:
    (weights, best, history), (weights_too, best_too, history_too) = (
        result_of(one),
        result_of(other),
    )
    assert history == history_too
    for name, tensor in weights.items():
        assert torch.equal(tensor, weights_too[name]), name
    assert best == best_too


@pytest.mark.parametrize("name", EVERYTHING)
def test_a_resumed_run_is_the_uninterrupted_one(
    name: str, small_config: Config, interrupted_at: Callable[..., AbstractContextManager[None]]
) -> None:
    whole = train(small_config("whole", **EVERYTHING[name]))
    config = small_config("interrupted", **EVERYTHING[name])
    kind = torch.optim.SGD if config.optimizer == "sgd" else torch.optim.AdamW
    # In the middle of the last epoch: 3 steps over 20 photos, 10 over their features of 4 views.
    steps = {"from scratch": 5, "gradually": 15, "head alone": 16}[name]
    with interrupted_at(steps, kind), pytest.raises(InterruptedRunError, match="--resume"):
        train(config)
    assert len(Run(folder=config.out).history()) == config.total_epochs - 1
    assert_same(train(replace(config, resume=True)), whole)


def test_a_killed_run_resumes_to_the_same_weights(small_config: Config, tmp_path: Path) -> None:
    flags = {"weights": "none", "epochs": 3, "mix": "mixup", "augment": "trivial"}
    whole = train(small_config("whole", **flags))
    config = small_config("killed", **flags)
    write_json(tmp_path / "flags.json", config.to_dict())
    ended = subprocess.run(
        [sys.executable, "-c", KILLED, tmp_path / "flags.json", "8", str(torch.get_num_threads())],
        check=False, timeout=300, capture_output=True,
    )  # fmt: skip
    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()
    assert len(Run(folder=config.out).history()) == 2
    assert_same(train(replace(config, resume=True)), whole)


def test_another_seed_gives_other_weights(small_config: Config) -> None:
    flags = {"weights": "none", "epochs": 1}
    one, other = (train(small_config(str(seed), **flags, seed=seed)) for seed in (0, 1))
    assert result_of(one)[1] != result_of(other)[1]


def test_a_run_out_of_patience_stops_early_and_stays_stopped(
    small_config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    accuracies = [0.4, 0.6, 0.6, 0.5, 0.9]
    monkeypatch.setattr(Trainer, "validate", lambda _, epoch: Score(accuracies[epoch], -1.0))
    config = small_config(weights="none", epochs=5, patience_epochs=2)
    folder = train(config)
    lines = Run(folder=folder).history()
    assert [line["val_accuracy"] for line in lines] == accuracies[:4]
    train(replace(config, resume=True))
    assert Run(folder=folder).history() == lines
