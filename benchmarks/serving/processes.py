"""Servers run as process groups of their own, so that stopping one stops its workers too."""

import contextlib
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

from benchmarks.errors import BenchmarkError

POLL_S = 0.2


def start(
    command: Sequence[str], *, folder: Path, log: Path, environment: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    """Start the command and return its process; its output goes to `log`."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as sink:
        return subprocess.Popen(
            list(command),
            cwd=folder,
            env=dict(environment),
            stdout=sink,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def suspend(process: subprocess.Popen[bytes]) -> None:
    """Suspend the process and its descendants: even idle, some take a few percent of a core."""
    for member in _family(process):
        with contextlib.suppress(psutil.Error):
            member.suspend()


def resume(process: subprocess.Popen[bytes]) -> None:
    """Resume the process and its descendants."""
    for member in _family(process):
        with contextlib.suppress(psutil.Error):
            member.resume()


def stop(process: subprocess.Popen[bytes], *, grace_s: float = 20) -> None:
    """Stop the process and its descendants."""
    resume(process)
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(grace_s)
            break
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def wait_for_answer(
    request: urllib.request.Request, process: subprocess.Popen[bytes], *, deadline_s: float = 180
) -> float:
    """Return the seconds until the request was first answered with 200.

    Raises BenchmarkError when the process ends or the deadline passes first.
    """
    began = time.monotonic()
    while time.monotonic() - began < deadline_s:
        if process.poll() is not None:
            raise BenchmarkError(
                f"the server ended with exit code {process.returncode} before it answered"
            )
        with (
            contextlib.suppress(urllib.error.URLError, OSError),
            urllib.request.urlopen(request, timeout=30),
        ):
            return time.monotonic() - began
        time.sleep(POLL_S)
    raise BenchmarkError(f"no answer within {deadline_s:.0f} s")


def resident_bytes(process: subprocess.Popen[bytes]) -> int:
    """Return the resident memory of the process and all its descendants, shared pages counted in each."""
    total = 0
    for member in _family(process):
        with contextlib.suppress(psutil.Error):
            total += member.memory_info().rss
    return total


def _family(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    try:
        root = psutil.Process(process.pid)
        return [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []
