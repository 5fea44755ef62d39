"""Settings in a folder of their own, and the answers a headswap server gives."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from serving.settings import ServerSettings, load_settings

Settings = Callable[..., ServerSettings]


@pytest.fixture
def settings_of(tmp_path: Path) -> Settings:
    """Return a maker of settings from the lines of a config.properties."""

    def make(*lines: str, listen: str | None = None, state: Path | None = None) -> ServerSettings:
        config = tmp_path / "config.properties"
        config.write_text("\n".join(lines))
        return load_settings(
            config=config,
            model_store=tmp_path / "store",
            state=state or tmp_path / "state",
            listen=listen,
        )

    return make


@pytest.fixture
def answer() -> dict[str, Any]:
    return {
        "model": {"name": "clothing", "version": "1.0"},
        "predictions": [{"label": "hat", "index": 1, "probability": 0.9}],
    }


def write_key_file(path: Path, *, inference: str, expires: str) -> None:
    """Write what TorchServe writes: Java's moments have nine digits behind the second."""
    keys = {
        "management": {"key": "manage", "expiration time": expires},
        "inference": {"key": inference, "expiration time": expires},
        "API": {"key": "api"},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(keys))


@pytest.fixture
def key_file_writer() -> Callable[..., None]:
    return write_key_file
