"""The folder of a running server: used by one server at a time, and never without its key file while that serves."""

import os
import threading
from pathlib import Path
from typing import IO

from serving.client.tokens import is_complete
from serving.errors import BusyError, SettingsError
from storage.atomic import atomic_path
from storage.lock import try_lock

LOCK_NAME = "server.lock"
POLL_S = 1.0


def lock(state: Path) -> IO[str]:
    """Lock the state folder, which is made if need be; the lock goes when the file is closed, or its process ends.

    Raises:
        BusyError: another server uses the folder. SettingsError: it cannot be written to.
    """
    try:
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = (state / LOCK_NAME).open("a+")
    except OSError as error:
        raise SettingsError(
            f"the state folder {str(state)!r} cannot be used ({error.strerror}); give --state a folder that this user "
            "may write to."
        ) from None
    if not try_lock(file):
        file.seek(0)
        pid = file.read(20).strip()
        file.close()
        raise BusyError(
            f"the state folder {str(state)!r} is in use by another server{f' (process {pid})' if pid else ''}; stop "
            "that one, or give each server a --state and ports of its own."
        )
    file.truncate(0)
    file.write(f"{os.getpid()}\n")
    file.flush()
    return file


class KeyFileKeeper:
    """Remembers TorchServe's key file and writes it again when somebody has deleted or emptied it.

    TorchServe itself writes it only at its start and when a token is renewed, which takes the API key in that file:
    without it no client on this machine, readiness and promotion included, could send a request any more.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._content: bytes | None = None
        self._was_damaged = False

    def run(self, stopping: threading.Event) -> None:
        """Check every second until `stopping` is set."""
        while not stopping.wait(POLL_S):
            self.check()

    def check(self) -> None:
        """Remember the file as it is; write the remembered one if it is gone, or was damaged at two checks."""
        try:
            content = self._path.read_bytes()
        except FileNotFoundError:
            self._restore()
            return
        except OSError:
            return
        if is_complete(content):
            self._content, self._was_damaged = content, False
        elif self._was_damaged:
            self._restore()
        else:
            # Java rewrites it in place: for a moment it is incomplete.
            self._was_damaged = True

    def _restore(self) -> None:
        if self._content is None:
            return
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with atomic_path(self._path) as temporary:
                # Nobody else may read the tokens, not even for a moment.
                descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
                with os.fdopen(descriptor, "wb") as file:
                    file.write(self._content)
        except OSError:
            # A full disk, for instance: tried again at the next check.
            return
        self._was_damaged = False
