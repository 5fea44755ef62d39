"""Photos so small and few that a whole run takes a second or two, and a way to interrupt it."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torchvision import models

from training.config import TrainConfig

COUNTS = {"train": {"dark": 6, "light": 10, "red": 4}, "val": {"dark": 3, "light": 3, "red": 3}}
COLOURS = {"dark": (60, 60, 60), "light": (190, 190, 190), "red": (190, 60, 60)}


@pytest.fixture(scope="session")
def small_photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of noisy photos, 40 px wide, of three colours; PNG, so that no decoder matters."""
    folder = tmp_path_factory.mktemp("photos")
    generator = np.random.default_rng(0)
    for split, counts in {**COUNTS, "test": COUNTS["val"]}.items():
        for name, count in counts.items():
            (folder / split / name).mkdir(parents=True)
            for number in range(count):
                noise = generator.integers(-60, 60, (36, 40, 3))
                picture = np.clip(np.array(COLOURS[name]) + noise, 0, 255).astype(np.uint8)
                Image.fromarray(picture).save(folder / split / name / f"{number}.png")
    return folder


@pytest.fixture(scope="session")
def small_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file of initial weights: of a network that is saved quickly and has dropout."""
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    torch.manual_seed(0)
    save_file(models.mobilenet_v3_small(weights=None).state_dict(), path)
    return path


@pytest.fixture
def small_config(
    small_photos: Path, small_weights: Path, tmp_path: Path
) -> Callable[..., TrainConfig]:
    """Return a maker of configs for these photos: a new run folder, settings changed by name."""

    def make(out: str = "run", **changes: object) -> TrainConfig:
        config = TrainConfig(
            data=small_photos, out=tmp_path / out, architecture="mobilenet_v3_small",
            weights=str(small_weights), image_size_px=32, epochs=2, head_epochs=1, batch_size=8,
            # More of a run's state than frozen statistics.
            batchnorm_stats="train",
            # The processor decides what "auto" is; float32 gives the same numbers on all of them.
            precision="float32",
        )  # fmt: skip
        return replace(config, **changes)

    return make


@pytest.fixture
def interrupted_at(
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., AbstractContextManager[None]]:
    """Return a context that raises KeyboardInterrupt instead of taking the optimizer step of this number, from 1."""

    @contextmanager
    def interrupted(
        number: int, optimizer: type[torch.optim.Optimizer] = torch.optim.AdamW
    ) -> Iterator[None]:
        original, numbers = optimizer.step, itertools.count(1)

        def step(*details: Any) -> Any:
            if next(numbers) == number:
                raise KeyboardInterrupt
            return original(*details)

        with monkeypatch.context() as patch:
            patch.setattr(optimizer, "step", step)
            yield
        assert next(numbers) == number + 1, "another step was the last one"

    return interrupted
