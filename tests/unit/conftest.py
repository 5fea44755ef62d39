"""Server settings in a temporary folder, archives, key files and a response of the handler."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import handlers
from serving.settings import ServerSettings, load_settings

Settings = Callable[..., ServerSettings]


@pytest.fixture
def settings_of(tmp_path: Path) -> Settings:
    """Return a function that makes settings from the lines of a config.properties."""

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
    """Return the handler's response for one photo."""
    return {
        "model": {"name": "clothing", "version": "1.0"},
        "predictions": [{"label": "hat", "index": 1, "probability": 0.9}],
    }


def write_key_file(path: Path, *, inference: str, expires: str) -> None:
    """Write a key file as TorchServe does."""
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


@pytest.fixture
def archive_maker(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that makes small archives: headswap's handler, no weights, one probe, and `files` by name."""

    def make(
        name: str = "tiny-1.0.mar",
        *,
        files: dict[str, bytes] | None = None,
        model: dict[str, str] | None = None,
    ) -> Path:
        folder = Path(handlers.__file__).parent
        described = {"modelName": "tiny", "modelVersion": "1.0", "handler": "entry.py"}
        card = {"name": "tiny", "version": "1.0", "class_names": ["cat", "dog"]}
        probes = {"tolerance": 0.02, "probes": [{"file": "0.jpg", "probabilities": [0.4, 0.6]}]}
        content = {
            "MAR-INF/MANIFEST.json": json.dumps({"model": described | (model or {})}).encode(),
            "model_card.json": json.dumps(card).encode(),
            "probes/probes.json": json.dumps(probes).encode(),
            "probes/0.jpg": b"a photo",
            "entry.py": (folder / "entry.py").read_bytes(),
            **{f"handlers/{file.name}": file.read_bytes() for file in folder.glob("*.py")},
        }
        path = tmp_path / name
        with zipfile.ZipFile(path, "w") as packed:
            for member, data in (content | (files or {})).items():
                packed.writestr(member, data)
        return path

    return make
