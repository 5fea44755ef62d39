"""What is compared, that finished runs are kept, and what the table says."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import readme, training_tables
from handlers.errors import ArchitectureError
from training.compare import comparison
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
from training.errors import ConfigError, TrainingError
from training.run import Run, write_json


def test_a_frozen_body_that_has_learned_nothing_is_left_out() -> None:
    names = [
        one.name for one in list_candidates(["resnet18"], ["embedded", "none"], ["none", "body"])
    ]
    assert names == ["resnet18-embedded-full", "resnet18-embedded-head", "resnet18-none-full"]


def test_a_weights_file_can_stand_in_a_run_s_name() -> None:
    one = Candidate(architecture="resnet18", weights="../my files/a.pt", freeze="none")
    assert "/" not in one.name


def test_all_contenders_have_as_many_epochs() -> None:
    shared = TrainConfig(data=Path("photos"), head_epochs=3, epochs=8)
    spent = {}
    for one in list_candidates(["resnet18"], ["embedded", "none"], ["none", "body"]):
        config = config_of(one, shared, seed=1)
        assert config.total_epochs == 11
        spent[one.name] = config.head_epochs
    assert spent == {
        "resnet18-embedded-full": 3, "resnet18-embedded-head": 11, "resnet18-none-full": 0,
    }  # fmt: skip


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Runs that take no time; the third of them is interrupted once."""
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

    monkeypatch.setattr(comparison, "_run", fake_run)
    speed = ServingSpeed(photos_per_s=50.0, archive_bytes=45_000_000)
    monkeypatch.setattr(comparison, "measure_serving_speed", lambda _: speed)
    return started


def test_a_second_start_goes_on(tmp_path: Path, ran: list[str]) -> None:
    candidates = list_candidates(["resnet18"], ["none", "embedded"], ["none"])
    shared = TrainConfig(data=Path("photos"), out=tmp_path, image_size_px=32)
    with pytest.raises(KeyboardInterrupt):
        compare(candidates, shared, seed_count=2, say=lambda _: None)
    done = compare(candidates, shared, seed_count=2, say=lambda _: None)
    assert len(ran) == 5
    assert ran[2] == ran[3]
    assert [row.weights for row in done.rows] == ["embedded", "none"]
    with pytest.raises(ConfigError, match="other flags"):
        compare(
            candidates,
            TrainConfig(data=Path("photos"), out=tmp_path, epochs=3),
            seed_count=2,
            say=lambda _: None,
        )


@pytest.mark.parametrize(
    ("models", "weights", "complaint"),
    [
        (["resnet18", "resnet19"], ["none"], "resnet19"),
        (["resnet18", "alexnet"], ["none"], "alexnet cannot take photos of 32 px"),
        (["resnet18"], ["none", "mine.pt"], "mine.pt"),
        (["resnet18", "mobilenet_v3_small"], ["embedded"], "no embedded weights for 'mobilenet"),
    ],
)
def test_what_cannot_be_compared_is_said_before_the_first_run(
    tmp_path: Path, ran: list[str], models: list[str], weights: list[str], complaint: str
) -> None:
    shared = TrainConfig(data=Path("photos"), out=tmp_path, image_size_px=32)
    candidates = list_candidates(models, weights, ["none"])
    with pytest.raises((TrainingError, ArchitectureError), match=complaint):
        compare(candidates, shared, seed_count=1, say=lambda _: None)
    assert ran == []


def test_nothing_to_compare_is_refused(tmp_path: Path) -> None:
    shared = TrainConfig(data=Path("photos"), out=tmp_path)
    with pytest.raises(ConfigError, match="left out"):
        compare(
            list_candidates(["resnet18"], ["none"], ["body"]),
            shared, seed_count=1, say=lambda _: None,
        )  # fmt: skip


def test_the_table_and_the_drawing_tell_of_every_row() -> None:
    rows = [
        Row(architecture="re$net$", weights="none", freeze="none", head_epochs=3,
            epochs=6, accuracies=[0.5, 0.6], test_n=10, parameters=11_200_000, training_s=61.2,
            photos_per_s=48.4, archive_bytes=90_000_000),
    ]  # fmt: skip
    shared = TrainConfig(data=Path("photos")).to_dict()
    one = Comparison(rows=rows, config=shared, train_n=300)
    table = markdown_table(read_comparison(one.to_dict()))
    assert (
        "| re$net$ | scratch | everything | 3 + 6 | **55.0 ± 7.1 %** | 61 s | 11.2 M | 48 photos/s | 90 MB |"
        in table
    )
    assert "2 seeds" in table
    figure = draw(one)
    figure.canvas.draw()
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == [
        "re$net$, scratch, everything"
    ]


@pytest.mark.parametrize("name", training_tables.TABLES)
def test_the_readme_s_tables_are_those_of_the_files(name: str) -> None:
    assert readme.quoted(name) == training_tables.TABLES[name]()


def test_what_the_readme_says_of_the_tables_is_so() -> None:
    full, head = rows_of("all")
    assert (full.freeze, head.freeze) == ("none", "body")
    assert full.epochs + full.head_epochs == head.head_epochs
    assert round(100 * (full.mean - head.mean)) == 18
    few = {(row.architecture, row.weights, row.freeze): row.mean for row in rows_of("few")}
    for architecture in ("resnet18", "efficientnet_b0"):
        pretrained = few[architecture, "embedded", "none"]
        assert 0.015 < pretrained - few[architecture, "embedded", "body"] < 0.03
        assert pretrained - few[architecture, "none", "none"] > 0.35


def rows_of(photos: str) -> list[Row]:
    path = next(path for path in training_tables.RESULTS if photos in path.name)
    return read_comparison(json.loads(path.read_text())).rows
