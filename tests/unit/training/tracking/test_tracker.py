"""What each target needs, and the points of a line of metrics.jsonl."""

import importlib.util
from importlib.machinery import ModuleSpec

import pytest

from training.config import TrainConfig
from training.errors import ConfigError
from training.tracking import tracker
from training.tracking.tracker import check_installed, points_of

LINE = {
    "epoch": 1, "frozen": True, "train_loss": 1.0, "val_loss": 0.5, "val_accuracy": 0.75, "learning_rate": 1e-3,
    "seconds": 2.0,
}  # fmt: skip


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Return a set of packages that are missing from then on."""
    missing: set[str] = set()

    def find_spec(name: str) -> ModuleSpec | None:
        return None if name in missing else importlib.util.find_spec(name)

    monkeypatch.setattr(tracker, "find_spec", find_spec)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return missing


def test_what_is_installed_passes(without: set[str]) -> None:
    check_installed(("tensorboard", "mlflow"))


@pytest.mark.parametrize(
    ("package", "target"),
    [("tensorboard", "tensorboard"), ("mlflow", "mlflow"), ("sqlalchemy", "mlflow")],
)
def test_a_missing_package_is_named_with_the_way_to_get_it(
    package: str, target: str, without: set[str]
) -> None:
    without.add(package)
    with pytest.raises(
        ConfigError,
        match=rf"--log {target} needs the package '{package}'.*headswap\[host,tracking\]",
    ):
        check_installed(("tensorboard", "mlflow"))
    check_installed(tuple({"tensorboard", "mlflow"} - {target}))
    check_installed(())


def test_a_server_needs_no_database_here(
    without: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    without.update({"sqlalchemy", "alembic"})
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    check_installed(("mlflow",))


def test_points_have_the_learning_rate_of_each_part() -> None:
    line = LINE | {"learning_rates": {"head": 1e-3, "backbone": 0.0}}
    assert points_of(line) == {
        "loss/train": 1.0,
        "loss/val": 0.5,
        "accuracy/val": 0.75,
        "learning_rate/head": 1e-3,
        "learning_rate/backbone": 0.0,
        "seconds": 2.0,
    }
    # Of epochs before the run was followed, only that of the head is known.
    assert {name for name in points_of(LINE) if "rate" in name} == {"learning_rate/head"}


def test_another_target_is_refused_in_a_config() -> None:
    with pytest.raises(ConfigError, match="tensorboard or mlflow, not wandb"):
        TrainConfig.from_dict({"data": "photos", "out": "run", "log": ["wandb"]})
    config = TrainConfig.from_dict({"data": "photos", "out": "run", "log": ["mlflow"]})
    assert config.log == ("mlflow",)
    assert TrainConfig.from_dict(config.to_dict()) == config
