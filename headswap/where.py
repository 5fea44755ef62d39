"""Flags that say which server and which model store a verb means."""

import os
from dataclasses import dataclass, field
from pathlib import Path


def _path_from(variable: str, otherwise: str) -> Path:
    """Return a dataclass field: the environment variable where it is set, else `otherwise`."""
    return field(default_factory=lambda: Path(os.environ.get(variable, otherwise)))


def model_store_default() -> Path:
    return _path_from("HEADSWAP_MODEL_STORE", "model_store")


@dataclass(frozen=True, kw_only=True)
class Where:
    """The defaults fit a checkout of the project; a container sets the variables instead."""

    config: Path = _path_from("HEADSWAP_CONFIG", "config.properties")
    """TorchServe's settings: addresses, limits, tokens (or HEADSWAP_CONFIG)."""
    model_store: Path = model_store_default()
    """Folder of the archives and of live.json, the record of what is live (or HEADSWAP_MODEL_STORE)."""
    state: Path = _path_from("HEADSWAP_STATE", ".headswap")
    """Folder of the running server: tokens, logs, temporary files (or HEADSWAP_STATE)."""
