"""Flags that say which server and which model store a verb means."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Where:
    """The defaults fit a checkout of the project; a container sets the paths once, in its entry point."""

    config: Path = Path("config.properties")
    """TorchServe's settings: addresses, limits, tokens."""
    model_store: Path = Path("model_store")
    """Folder of the archives and of live.json, the record of what is live."""
    state: Path = Path(".headswap")
    """Folder of the running server: tokens, logs, temporary files."""
