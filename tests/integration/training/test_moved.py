"""Photos that moved after a run: evaluated, exported, resumed and compared where they are now."""

import shutil
import zipfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import pytest

from headswap.cli import main
from training.compare.comparison import evaluated_run
from training.config import TrainConfig
from training.errors import ConfigError, InterruptedRunError
from training.evaluation.evaluation import evaluate
from training.fit.trainer import train
from training.run import Run


@pytest.fixture
def config(small_config: Callable[..., TrainConfig], tmp_path: Path) -> TrainConfig:
    """Return a config for a copy of the photos, which a test may move."""
    original = small_config(epochs=1)
    shutil.copytree(original.data, tmp_path / "photos")
    return replace(original, data=tmp_path / "photos")


def move(config: TrainConfig) -> Path:
    return config.data.rename(config.data.with_name("moved"))


def test_a_run_is_evaluated_and_exported_after_its_photos_moved(
    config: TrainConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_folder = train(config)
    before = evaluate(run_folder)
    moved = move(config)
    export = [
        "export", str(run_folder), "--name", "small", "--model-store", str(tmp_path), "--cpu-engine", "onnx"
    ]  # fmt: skip
    assert main([*export, "--version", "1.0"]) == 1
    assert "give --data FOLDER" in " ".join(capsys.readouterr().err.split())
    assert main([*export, "--version", "1.0", "--data", str(moved)]) == 0
    with zipfile.ZipFile(tmp_path / "small-1.0.mar") as packed:
        assert any(name.startswith("probes/") for name in packed.namelist())
    assert main(["evaluate", str(run_folder)]) == 0
    after = Run(folder=run_folder).evaluation()
    assert (after["n"], after["accuracy"], after["left_out"]) == (before.n, before.accuracy, 0)
    assert all(Path(photo["path"]).is_relative_to(moved) for photo in after["photos"])


def test_the_command_says_what_it_left_out(
    config: TrainConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    run_folder = train(config)
    for number in range(2):
        (config.data / "train/dark" / f"{number}.png").rename(
            config.data / "test/dark" / f"trained{number}.png"
        )
    assert main(["evaluate", str(run_folder)]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "n = 9 test photos" in printed
    assert "left out 2 of 11 test photos: the run was trained on or selected by them" in printed
    assert "2 more test photos were left out" in " ".join(
        Run(folder=run_folder).report_path.read_text().split()
    )


def test_the_temperature_is_that_of_the_last_evaluation_where_val_is_gone(
    config: TrainConfig, tmp_path: Path
) -> None:
    run_folder = train(config)
    other = shutil.copytree(config.data / "test", tmp_path / "other")
    before = evaluate(run_folder)
    move(config)
    after = evaluate(run_folder, data=other)
    assert (after.n, after.temperature) == (9, before.temperature)
    assert after.val["accuracy"] == before.val["accuracy"]


def test_a_resumed_run_remembers_where_its_photos_are(
    config: TrainConfig,
    interrupted_at: Callable[..., AbstractContextManager[None]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(config.data.parent)
    # The head's epoch has 3 steps.
    with interrupted_at(4), pytest.raises(InterruptedRunError):
        train(replace(config, data=Path("photos")))
    run = Run(folder=config.out)
    assert run.config().data == config.data
    moved = move(config)
    train(replace(config, data=Path("moved"), resume=True))
    assert run.config() == replace(config, data=moved)
    monkeypatch.chdir("/")
    assert evaluate(run.folder).n == 9


def test_a_comparison_keeps_runs_whose_photos_moved(config: TrainConfig) -> None:
    result = evaluated_run(config)
    moved = replace(config, data=move(config))
    assert evaluated_run(moved) == result
    assert Run(folder=config.out).config() == moved
    (moved.data / "train/dark/0.png").unlink()
    shutil.copytree(moved.data, config.data)
    with pytest.raises(ConfigError, match="on other photos than those in"):
        evaluated_run(config)
