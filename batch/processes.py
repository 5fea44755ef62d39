"""A worker process seen from its parent: started, asked, and replaced when a photo has ended it."""

import os
import subprocess
import sys
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from batch import worker
from batch.errors import WorkerError
from batch.worker import Load, Photo, Reply
from serving.errors import InternalServerError

# From Python's start to replayed probes. All processes start at once, and on a machine that computed something else on
# every core, one took more than the 120 s of TorchServe's startupTimeout in our archives.
LOAD_TIMEOUT_S = 300.0
# TorchServe's responseTimeout in our archives: no photo takes nearly as long.
PHOTO_TIMEOUT_S = 120.0

Outcome = Reply | InternalServerError


class WorkerProcess:
    """One process. `classify` is called by one thread at a time."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._start()

    def wait_loaded(self) -> None:
        """Return once the archive is loaded and its probes are right. Raises WorkerError."""
        try:
            failure = self._receive(LOAD_TIMEOUT_S)
        except TimeoutError:
            self._end()
            raise WorkerError(
                f"a worker process has not loaded the archive within {LOAD_TIMEOUT_S:g} s; fewer --workers load faster."
            ) from None
        except (EOFError, OSError):
            code = self._end()
            raise WorkerError(
                f"a worker process ended with exit code {code} while it loaded the archive; a code below 0 is the "
                "signal that killed it, -9 often for want of memory: fewer --workers need less."
            ) from None
        if failure is not None:
            self._end()
            raise WorkerError(failure[0], exit_code=failure[1])

    def classify(self, photos: list[Photo]) -> list[Outcome]:
        """Return what became of each photo, in their order.

        A photo that ends the process, or takes too long, gets an InternalServerError; the others are classified
        again without it. Raises WorkerError if the process cannot be started again.
        """
        try:
            return self._ask(photos)
        except (EOFError, OSError):
            self.restart()
        if len(photos) > 1:
            return [outcome for photo in photos for outcome in self.classify([photo])]
        message = "the process that classified this photo ended or did not answer; the others were not affected."
        return [InternalServerError(message, status=500, code="internal")]

    def restart(self) -> None:
        """Replace the process by a new one. Raises WorkerError."""
        self._end()
        self._start()
        self.wait_loaded()

    def close(self) -> None:
        """End the process."""
        self._end()

    def _ask(self, photos: list[Photo]) -> list[Outcome]:
        self._connection.send(photos)
        replies: list[Outcome] = self._receive(PHOTO_TIMEOUT_S * len(photos))
        return replies

    def _receive(self, timeout_s: float) -> Any:
        """Return the worker's message. Raises EOFError or OSError when it has ended, else TimeoutError."""
        if not self._connection.poll(timeout_s):
            raise TimeoutError
        return self._connection.recv()

    def _start(self) -> None:
        self._connection, theirs = Pipe()
        try:
            self._process = _start_process(theirs)
        finally:
            theirs.close()
        try:
            self._connection.send(self._load)
        except OSError:
            # It has ended already: `wait_loaded` says so.
            return

    def _end(self) -> int:
        """Return the exit code."""
        self._connection.close()
        try:
            # It ends when it sees the connection closed, which it does between two lists of photos.
            return self._process.wait(0.5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()


def _start_process(connection: Connection) -> subprocess.Popen[bytes]:
    # -P: no module in the current folder, or beside worker.py, takes the place of one that is installed.
    return subprocess.Popen(
        [sys.executable, "-P", str(Path(worker.__file__)), str(connection.fileno())],
        pass_fds=[connection.fileno()],
        stdin=subprocess.DEVNULL,
        # The parent's carries the answers.
        stdout=subprocess.DEVNULL,
        # As many processes as cores: threads of their own would only wait for each other.
        env={"OMP_NUM_THREADS": "1", **os.environ},
    )
