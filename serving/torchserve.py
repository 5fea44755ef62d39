"""Where TorchServe is installed. It is located, not imported: `import ts` leaves a file open."""

import importlib.util
from pathlib import Path

from serving.errors import ServerError


def find_site_packages() -> Path:
    """Return the folder of the package `ts`, which TorchServe calls `model_server_home`.

    Raises:
        ServerError: TorchServe is not installed.
    """
    spec = importlib.util.find_spec("ts")
    if spec is None or spec.origin is None:
        raise ServerError("TorchServe is not installed in this Python. Run make install.")
    return Path(spec.origin).parents[1]


def torchserve_jar() -> Path:
    """Return the path of the server's jar in TorchServe's wheel. Raises ServerError as `find_site_packages` does."""
    return find_site_packages() / "ts" / "frontend" / "model-server.jar"
