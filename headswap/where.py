"""Flags that say which server and which model store a verb means."""

import os
from dataclasses import dataclass, field
from pathlib import Path

from serving.settings import ServerSettings, load_settings


def path_from(variable: str, otherwise: str) -> Path:
    """Return a dataclass field: the environment variable where it is set, else `otherwise`."""
    found: Path = field(default_factory=lambda: Path(os.environ.get(variable, otherwise)))
    return found


@dataclass(frozen=True, kw_only=True)
class ServerOptions:
    """The defaults fit a checkout of the project; a container sets the variables instead."""

    config: Path = path_from("HEADSWAP_CONFIG", "config.properties")
    """TorchServe's settings: addresses, limits, tokens (or HEADSWAP_CONFIG)."""
    model_store: Path = path_from("HEADSWAP_MODEL_STORE", "model_store")
    """Folder of the archives and of live.json, the record of what is live (or HEADSWAP_MODEL_STORE)."""
    state: Path = path_from("HEADSWAP_STATE", ".headswap")
    """Folder of the running server: tokens, logs, temporary files (or HEADSWAP_STATE)."""

    def settings(self, *, listen: str | None = None) -> ServerSettings:
        """Return the server's settings. Raises SettingsError where the configuration cannot be read."""
        return load_settings(
            config=self.config, model_store=self.model_store, state=self.state, listen=listen
        )
