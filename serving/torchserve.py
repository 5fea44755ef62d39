"""Where the installed TorchServe lies. Found, not imported: `import ts` leaves a file open."""

import importlib.util
from pathlib import Path

from serving.errors import ServerError


def find_site_packages() -> Path:
    """Return the folder that holds the package `ts`, TorchServe's `model_server_home`.

    Raises:
        ServerError: TorchServe is not installed.
    """
    spec = importlib.util.find_spec("ts")
    if spec is None or spec.origin is None:
        raise ServerError("TorchServe is not installed in this Python. Run make install.")
    return Path(spec.origin).parents[1]


def torchserve_jar() -> Path:
    """Return TorchServe's server, as the wheel ships it."""
    return find_site_packages() / "ts" / "frontend" / "model-server.jar"
