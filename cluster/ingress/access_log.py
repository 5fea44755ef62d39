"""access.log: a JSON line per request as the ingress sees it, with the keys of TorchServe's (serving/log4j2.xml)."""

import json
import logging
import time
from datetime import UTC, datetime

from cluster.replica_logs import open_log


class AccessLog:
    """Writes to access.log in the folder, or without one to Ray's own logs."""

    def __init__(self, folder: str | None) -> None:
        self._logger: logging.Logger = open_log("access", folder)

    def write(self, *, client: str, method: str, path: str, status: int, started_s: float) -> None:
        """Log one answer; `started_s` is the monotonic time at which the request arrived."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        line = {
            "time": now,
            "client": client,
            "method": method,
            "path": path,
            "status": status,
            "duration_ms": round((time.monotonic() - started_s) * 1000),
        }
        self._logger.info("%s", json.dumps(line, separators=(",", ":")))
