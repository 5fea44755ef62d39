"""The folder of `headswap demo`: its runs and a server of its own, apart from whatever the user serves."""

import json
import os
import shlex
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from headswap.errors import ArgumentError

if TYPE_CHECKING:
    from serving.settings import ServerSettings

# The first line of the configuration; only a folder that has it may be cleared.
HEADER = "# Written by headswap demo."
CONFIG, MODEL_STORE, STATE = "config.properties", "model_store", "state"
METRICS = "metrics_config"
RESULTS = ("efficientnet_lite1", "resnet18", "summary.json")


class DemoFolder:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.summary = path / "summary.json"

    def create(self, config: Path) -> "ServerSettings":
        """Clear an earlier demo's folder and return the settings of a server in it, on free ports.

        Raises:
            ArgumentError: the folder holds a server's files that no demo wrote, its demo is still running, or its
            path is too long.
            SettingsError: `config` cannot be read.
        """
        from serving.settings import load_settings

        properties = _own_properties(config)
        self._check_length()
        self._clear()
        self.path.mkdir(parents=True, exist_ok=True)
        lines = [HEADER, *(f"{key}={value}" for key, value in properties.items())]
        (self.path / CONFIG).write_text("\n".join(lines) + "\n")
        (self.path / MODEL_STORE).mkdir()
        return load_settings(
            config=self.path / CONFIG, model_store=self.path / MODEL_STORE, state=self.path / STATE
        )

    def environment(self) -> str:
        """Return the shell line after which every command means the demo's server, from any folder."""
        folders = {"CONFIG": CONFIG, "MODEL_STORE": MODEL_STORE, "STATE": STATE}
        variables = (
            f"HEADSWAP_{name}={shlex.quote(str((self.path / folder).resolve()))}"
            for name, folder in folders.items()
        )
        return f"export {' '.join(variables)}"

    def _check_length(self) -> None:
        """Raise ArgumentError now for a path that the server would refuse after minutes of training."""
        from serving.settings import SOCKET_PATH_LIMIT_BYTES, socket_path_excess_bytes

        excess = socket_path_excess_bytes(self.path / STATE)
        if excess > 0:
            raise ArgumentError(
                f"--out {str(self.path.resolve())!r} is {excess} bytes too long: the sockets of the demo's workers in "
                f"it must fit into {SOCKET_PATH_LIMIT_BYTES} bytes; give a shorter --out."
            )

    def _clear(self) -> None:
        config = self.path / CONFIG
        is_ours = config.is_file() and config.read_text().startswith(HEADER)
        others = [name for name in (CONFIG, MODEL_STORE, STATE) if (self.path / name).exists()]
        if others and not is_ours:
            raise ArgumentError(
                f"{self.path} holds {' and '.join(others)}, which headswap demo did not write; give another --out."
            )
        if _is_running(self.path / STATE):
            raise ArgumentError(
                f"a demo is still running in {self.path}; stop it with Ctrl-C, or give another --out."
            )
        # The configuration last: cut off before that, the rest is still known to be ours.
        for name in (*RESULTS, MODEL_STORE, STATE, CONFIG):
            path = self.path / name
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)


def _own_properties(config: Path) -> dict[str, str]:
    """Return the user's settings for a server in another folder, on free loopback ports and without TLS."""
    from serving.server.ports import on_free_ports
    from serving.settings import load_settings

    user = load_settings(config=config, model_store=Path(MODEL_STORE), state=Path(STATE))
    properties = on_free_ports(user.properties)
    if METRICS in properties:
        properties[METRICS] = str((user.config.parent / properties[METRICS]).resolve())
    return properties


def _is_running(state: Path) -> bool:
    """Return whether the process that a demo noted in the state folder still lives."""
    try:
        os.kill(json.loads((state / "server.json").read_text())["serve_pid"], 0)
    except (OSError, ValueError):
        return False
    return True
