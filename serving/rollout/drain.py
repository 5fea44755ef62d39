"""Unloading a version without losing a request: it answers what it has accepted and rejects what comes after that.

TorchServe kills the workers of a version it unloads; the batches they compute and the requests in the queue are never
answered. It tells how many requests are queued, but not whether a batch is being computed. So a drain marker is put
into the folder the version was extracted to (handlers/draining.py): a worker that finds it rejects its next batch
within a millisecond and acknowledges the marker. As a worker takes one batch at a time, its acknowledgement proves that
it has answered everything before.
"""

import contextlib
import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from handlers.contract import DRAIN_MARKER_FILE, MANIFEST_FOLDER, VERSION_RETIRED, drain_ack_file
from serving.client.management import LoadedVersion, ManagementApi
from serving.errors import PromotionError

if TYPE_CHECKING:
    from serving.rollout.session import Report, ServerSession

QUEUE_TIMEOUT_S = 30.0
# The longest batch that is waited for; TorchServe itself gives up on one after default_response_timeout, 120 s.
BATCH_TIMEOUT_S = 120.0
# A worker that acknowledges nothing, as one of a foreign handler, counts as idle after so long without computing.
IDLE_S = 2.0
# Once all workers have acknowledged, they only reject. A request that is queued in the millisecond of the unloading
# would not be answered, so none may have come for so long (each rejection renews the acknowledgement) ...
QUIET_S = 0.5
# ... and clients that never stop asking are not waited for any longer.
QUIET_TIMEOUT_S = 10.0
# Which worker a wake-up request reaches is chance; a worker that got none of so many is watched instead.
WAKE_UP_ROUNDS = 20
POLL_S = 0.05


def unload(session: "ServerSession", model: str, version: str, *, report: "Report") -> None:
    """Drain the version and unload it; do nothing if it is not loaded.

    Raises:
        PromotionError: a batch takes too long, or clients keep asking for the version by number; it serves on.
        RequestError: the server does not answer.
    """
    with drain(session, model, version) as is_loaded:
        if is_loaded:
            session.management.unregister(model, version)
            report(f"{model} {version} is unloaded")


@contextmanager
def drain(
    session: "ServerSession",
    model: str,
    version: str,
    *,
    reason: str = VERSION_RETIRED,
    wake_up: bool = True,
    until_quiet: bool = True,
    queue_timeout_s: float = QUEUE_TIMEOUT_S,
    batch_timeout_s: float = BATCH_TIMEOUT_S,
) -> Iterator[bool]:
    """Enter once the version has answered all it had accepted; from then on it rejects requests with `reason`.

    Yields whether the version is loaded at all. `wake_up` False is for a server that accepts no more connections: its
    workers are watched and not sent a request. `until_quiet` waits until no client asks any more. If the block raises,
    the version serves again.

    Raises:
        PromotionError: a batch takes longer than `batch_timeout_s`, or clients keep asking; the version serves on.
    """
    loaded = session.management.versions(model).get(version)
    if loaded is None:
        yield False
        return
    _wait_for_empty_queue(session.management, model, version, queue_timeout_s)
    folder = _extracted_folder(loaded.ready_pids)
    try:
        if folder is not None:
            (folder / DRAIN_MARKER_FILE).write_text(reason)
        _wait_for_workers(
            session, loaded, folder,
            model=model, wake_up=wake_up, until_quiet=until_quiet, timeout_s=batch_timeout_s,
        )  # fmt: skip
        yield True
    except BaseException:
        if folder is not None:
            _withdraw_marker(folder)
        raise


def _withdraw_marker(folder: Path) -> None:
    for path in folder.glob(f"{DRAIN_MARKER_FILE}*"):
        path.unlink(missing_ok=True)


def _wait_for_empty_queue(
    management: ManagementApi, model: str, version: str, timeout_s: float
) -> None:
    # A client that never stops asking for this very version may keep the queue filled; the marker ends that.
    deadline = time.monotonic() + timeout_s
    while _pending(management, model, version) and time.monotonic() < deadline:
        time.sleep(POLL_S)


def _wait_for_workers(
    session: "ServerSession",
    loaded: LoadedVersion,
    folder: Path | None,
    *,
    model: str,
    wake_up: bool,
    until_quiet: bool,
    timeout_s: float,
) -> None:
    version, pids = loaded.version, loaded.ready_pids
    deadline = time.monotonic() + timeout_s
    wake_up_rounds = iter(range(WAKE_UP_ROUNDS if wake_up else 0))
    idle, acknowledged = _Unchanged(), _Unchanged()
    with ThreadPoolExecutor(max(len(pids), 1)) as pool:
        while (left_s := deadline - time.monotonic()) > 0:
            waiting_for = _unacknowledged(folder, pids)
            if next(wake_up_rounds, None) is not None:
                # A worker that computes answers its wake-up request when it is done: waiting for that is the point.
                ask = partial(session.http.is_ready, model, version=version, timeout_s=left_s)
                wait([pool.submit(ask) for _ in waiting_for])
            is_empty = not _pending(session.management, model, version)
            acknowledged_s = acknowledged.seconds(not waiting_for)
            if not waiting_for and is_empty and not (until_quiet and _has_just_rejected(folder)):
                return
            if not waiting_for and acknowledged_s >= QUIET_TIMEOUT_S:
                if not until_quiet:
                    return
                raise PromotionError(
                    f"clients keep asking for {model} {version} by its number, so it was left loaded and serves them. "
                    "Point them to the live version, then retire it."
                )
            idle_s = idle.seconds((is_empty, [_cpu_s(pid) for pid in waiting_for]))
            if waiting_for and is_empty and idle_s >= IDLE_S:
                return
            time.sleep(POLL_S)
    raise PromotionError(
        f"{model} {version} has been computing for {timeout_s:.0f} s and was left loaded; try again later."
    )


class _Unchanged:
    """For how long a value has been the same."""

    def __init__(self) -> None:
        self._value: object = None
        self._since = time.monotonic()

    def seconds(self, value: object) -> float:
        if value != self._value:
            self._value, self._since = value, time.monotonic()
        return time.monotonic() - self._since


def _cpu_s(pid: int) -> float:
    with contextlib.suppress(psutil.Error):
        times = psutil.Process(pid).cpu_times()
        return float(times.user + times.system)
    return 0.0


def _pending(management: ManagementApi, model: str, version: str) -> int:
    loaded = management.versions(model).get(version)
    return loaded.pending_requests if loaded is not None else 0


def _extracted_folder(pids: Sequence[int]) -> Path | None:
    """Return the folder the version was extracted to, in which its workers run; None if it cannot be accessed."""
    for pid in pids:
        with contextlib.suppress(OSError, psutil.Error):
            folder = Path(psutil.Process(pid).cwd())
            if (folder / MANIFEST_FOLDER).is_dir() and os.access(folder, os.W_OK):
                return folder
    return None


def _has_just_rejected(folder: Path | None) -> bool:
    """Return whether a worker has rejected a request within the last QUIET_S."""
    if folder is None:
        return False
    rejected_at = [path.stat().st_mtime for path in folder.glob(f"{DRAIN_MARKER_FILE}.*")]
    return time.time() - max(rejected_at, default=0.0) < QUIET_S


def _unacknowledged(folder: Path | None, pids: Sequence[int]) -> list[int]:
    """Return the workers that are alive and have not acknowledged the marker; all of them if there is no marker."""
    if folder is None:
        return list(pids)
    return [
        pid
        for pid in pids
        if psutil.pid_exists(pid) and not (folder / drain_ack_file(pid)).exists()
    ]
