"""Candidates, finished runs that are kept, the table and the plot."""

from pathlib import Path
from typing import Any

import pytest

from handlers.errors import ArchitectureError
from headswap.commands.training import compare as compare_command
from training.compare import comparison as comparison_module
from training.compare.comparison import (
    Candidate,
    Comparison,
    Row,
    compare,
    config_of,
    list_candidates,
)
from training.compare.speeds import ServingSpeed
from training.compare.table import draw, markdown_table, read_comparison
from training.config import TrainConfig
from training.errors import ConfigError, DataError, TrainingError
from training.run import Run, write_json


def test_a_frozen_backbone_without_pretrained_weights_is_left_out() -> None:
    names = [
        candidate.name
        for candidate in list_candidates(["resnet18"], ["embedded", "none"], ["none", "backbone"])
    ]
    assert names == ["resnet18-embedded-full", "resnet18-embedded-head", "resnet18-none-full"]


def test_the_name_of_a_candidate_with_a_weights_file_is_valid_in_a_path() -> None:
    candidate = Candidate(architecture="resnet18", weights="../my files/a.pt", freeze="none")
    assert "/" not in candidate.name


def test_all_candidates_have_the_same_number_of_epochs() -> None:
    shared = TrainConfig(data=Path("photos"), head_epochs=3, epochs=8)
    head_epochs = {}
    for candidate in list_candidates(["resnet18"], ["embedded", "none"], ["none", "backbone"]):
        config = config_of(candidate, shared, seed=1)
        assert config.total_epochs == 11
        head_epochs[candidate.name] = config.head_epochs
    assert head_epochs == {
        "resnet18-embedded-full": 3, "resnet18-embedded-head": 11, "resnet18-none-full": 0,
    }  # fmt: skip


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the names of the runs started; they take no time, and the third is interrupted."""
    started: list[str] = []

    def fake_run(config: TrainConfig) -> dict[str, Any]:
        started.append(config.out.name)
        if len(started) == 3:
            raise KeyboardInterrupt
        config.out.mkdir(parents=True)
        write_json(Run(folder=config.out).config_path, config.to_dict())
        result = {
            "run": str(config.out), "accuracy": 0.8 if config.weights == "embedded" else 0.5,
            "test_n": 10, "train_n": 20, "parameters": 11_000_000, "training_s": 12.0,
        }  # fmt: skip
        write_json(config.out / "result.json", result)
        return result

    monkeypatch.setattr(comparison_module, "_run", fake_run)
    monkeypatch.setattr(comparison_module, "read_data", lambda _: None)
    speed = ServingSpeed(photos_per_s=50.0, archive_bytes=45_000_000)
    monkeypatch.setattr(comparison_module, "measure_serving_speed", lambda _: speed)
    return started


def test_an_interrupted_comparison_resumes(tmp_path: Path, ran: list[str]) -> None:
    candidates = list_candidates(["resnet18"], ["none", "embedded"], ["none"])
    shared = TrainConfig(data=Path("photos"), out=tmp_path, image_size_px=32)
    with pytest.raises(KeyboardInterrupt):
        compare(candidates, shared, seed_count=2, report=lambda _: None)
    comparison = compare(candidates, shared, seed_count=2, report=lambda _: None)
    assert len(ran) == 5
    assert ran[2] == ran[3]
    assert [row.weights for row in comparison.rows] == ["embedded", "none"]
    with pytest.raises(ConfigError, match="other flags"):
        compare(
            candidates,
            TrainConfig(data=Path("photos"), out=tmp_path, epochs=3),
            seed_count=2,
            report=lambda _: None,
        )


@pytest.mark.parametrize(
    ("models", "weights", "message"),
    [
        (["resnet18", "resnet19"], ["none"], "resnet19"),
        (["resnet18", "alexnet"], ["none"], "alexnet does not support photos of 32 px"),
        (["resnet18"], ["none", "mine.pt"], "mine.pt"),
        (["resnet18", "mobilenet_v3_small"], ["embedded"], "no embedded weights for 'mobilenet"),
    ],
)
def test_an_impossible_candidate_is_rejected_before_the_first_run(
    tmp_path: Path, ran: list[str], models: list[str], weights: list[str], message: str
) -> None:
    shared = TrainConfig(data=Path("photos"), out=tmp_path, image_size_px=32)
    candidates = list_candidates(models, weights, ["none"])
    with pytest.raises((TrainingError, ArchitectureError), match=message):
        compare(candidates, shared, seed_count=1, report=lambda _: None)
    assert ran == []


def test_the_photos_are_read_before_weights_are_downloaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[object] = []
    monkeypatch.setattr(comparison_module, "load_pretrained", lambda *_, **__: loaded.append(1))
    shared = TrainConfig(data=tmp_path / "nowhere", out=tmp_path / "out")
    with pytest.raises(DataError, match="nowhere' does not exist"):
        compare(
            list_candidates(["resnet18"], ["imagenet"], ["none"]),
            shared, seed_count=1, report=lambda _: None,
        )  # fmt: skip
    assert loaded == []


def test_nothing_to_compare_is_rejected(tmp_path: Path) -> None:
    shared = TrainConfig(data=Path("photos"), out=tmp_path)
    with pytest.raises(ConfigError, match="left out"):
        compare(
            list_candidates(["resnet18"], ["none"], ["backbone"]),
            shared, seed_count=1, report=lambda _: None,
        )  # fmt: skip


def test_the_command_passes_on_how_photos_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared: list[TrainConfig] = []

    def stop(candidates: object, config: TrainConfig, **_: object) -> None:
        shared.append(config)
        raise KeyboardInterrupt

    monkeypatch.setattr(comparison_module, "compare", stop)
    command = compare_command.Command(
        data=tmp_path, labels=tmp_path / "labels.csv", fit="stretch", group_by="folder"
    )
    with pytest.raises(KeyboardInterrupt):
        compare_command.run(command)
    (config,) = shared
    assert (config.labels, config.fit, config.group_by) == (command.labels, "stretch", "folder")


def test_the_table_and_the_plot_show_every_row() -> None:
    rows = [
        Row(architecture="re$net$", weights="none", freeze="none", head_epochs=3,
            epochs=6, accuracies=[0.5, 0.6], test_n=10, parameters=11_200_000, training_s=61.2,
            photos_per_s=48.4, archive_bytes=90_000_000),
    ]  # fmt: skip
    shared = TrainConfig(data=Path("photos"), fit="pad").to_dict()
    comparison = Comparison(rows=rows, config=shared, train_n=300)
    table = markdown_table(read_comparison(comparison.to_dict()))
    assert (
        "| re$net$ | none | whole network | 3 + 6 | **55.0 ± 7.1 %** | 61 s | 11.2 M | 48 photos/s | 90 MB |"
        in table
    )
    assert "2 seeds" in table
    assert "224 px, --fit pad. Epochs" in table
    figure = draw(comparison)
    figure.canvas.draw()
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == [
        "re$net$, none, whole network"
    ]
