"""A version that is about to be unloaded answers what it has begun, and turns new requests away.

TorchServe kills the workers of a version it unloads, and nobody is told what they were at. So the one who unloads it
first leaves a note in the version's folder; a worker that finds it before a batch refuses that batch, and signs
the note: whatever it did before is answered by then.
"""

from pathlib import Path

from handlers.errors import RequestRejectedError, ServerStoppingError, VersionRetiredError

NOTE = "retiring"
REASONS: dict[str, type[RequestRejectedError]] = {
    VersionRetiredError.code: VersionRetiredError,
    ServerStoppingError.code: ServerStoppingError,
}


class Retirement:
    """Looks for the note that serving/rollout/drain.py writes. One look costs 2 microseconds."""

    def __init__(self, folder: Path, *, worker_id: int) -> None:
        self._note = folder / NOTE
        self._signature = folder / f"{NOTE}.{worker_id}"

    def refusal(self) -> RequestRejectedError | None:
        """Return what to answer to every request from now on, or None while the version serves."""
        if not self._note.exists():
            return None
        try:
            reason = self._note.read_text()
            self._signature.touch()
        except OSError:
            # Withdrawn between the two looks.
            return None
        return REASONS.get(reason, VersionRetiredError)()
