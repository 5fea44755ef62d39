"""Unloading a version loses nothing: what it was asked is answered, and what comes now is told so, before it goes.

TorchServe kills the workers of a version it unloads; what they were computing and what is queued there is never
answered. It tells how many requests are queued, not whether a batch runs. So a note is left in the version's folder
(handlers/draining.py): a worker that finds it refuses the batch in a millisecond and signs the note. Each worker
takes one batch at a time, so a signature proves that everything before it is answered.
"""

import contextlib
import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import psutil

from serving.client import HttpClient
from serving.client.management import LoadedVersion, ManagementApi
from serving.errors import PromotionError
from serving.rollout.readiness import Report
from serving.settings import ServerSettings

NOTE = "retiring"
RETIRED = "version_retired"
STOPPING = "server_stopping"
QUEUE_TIMEOUT_S = 30.0
# The longest batch that is waited for; TorchServe itself gives up on one after default_response_timeout, 120 s.
BATCH_TIMEOUT_S = 120.0
# A worker that does not sign, as another's handler would not, counts as idle once it has not computed for so long.
STILL_S = 2.0
# Once all have signed, only refusals are under way. A request that is queued in the millisecond of the unload would
# get no answer, so nobody may have asked for so long (each refusal signs again) ...
QUIET_S = 0.5
# ... and a client that never stops asking is not waited for any longer.
LAST_WORDS_S = 10.0
# Which worker takes a knock is chance; one that never got any of so many is watched instead.
KNOCK_ROUNDS = 20
POLL_S = 0.05


def unload(
    settings: ServerSettings,
    management: ManagementApi,
    model: str,
    version: str,
    *,
    report: Report,
) -> None:
    """Drain the version and unload it; nothing is done where it is not loaded.

    Raises:
        PromotionError: it is computing for too long, or clients keep asking for it by number; it serves on.
        RequestError: the server does not answer.
    """
    with drain(settings, management, model, version) as is_loaded:
        if is_loaded:
            management.unregister(model, version)
            report(f"{model} {version} is unloaded")


@contextmanager
def drain(
    settings: ServerSettings,
    management: ManagementApi,
    model: str,
    version: str,
    *,
    reason: str = RETIRED,
    knocks: bool = True,
    until_quiet: bool = True,
    queue_timeout_s: float = QUEUE_TIMEOUT_S,
    batch_timeout_s: float = BATCH_TIMEOUT_S,
) -> Iterator[bool]:
    """Enter when everything the version was asked is answered; inside it turns requests away.

    Yields whether the version is loaded at all. Without `knocks`, for a server whose door is closed, workers that get
    no request are watched instead of asked. If it still is on leaving by an exception, it serves again.

    Raises:
        PromotionError: a batch runs for longer than `batch_timeout_s`; the version serves on.
    """
    loaded = management.versions(model).get(version)
    if loaded is None:
        yield False
        return
    _wait_for_empty_queue(management, model, version, queue_timeout_s)
    folder = _folder_of(loaded.ready_pids)
    try:
        if folder is not None:
            (folder / NOTE).write_text(reason)
        with HttpClient(settings) as client:
            _wait_for_workers(
                client if knocks else None, management, loaded, folder,
                model=model, until_quiet=until_quiet, timeout_s=batch_timeout_s,
            )  # fmt: skip
        yield True
    except BaseException:
        if folder is not None:
            _withdraw(folder)
        raise


def _withdraw(folder: Path) -> None:
    for path in folder.glob(f"{NOTE}*"):
        path.unlink(missing_ok=True)


def _wait_for_empty_queue(
    management: ManagementApi, model: str, version: str, timeout_s: float
) -> None:
    # A client that never stops asking for this very version may keep it filled; it is told when the note is up.
    deadline = time.monotonic() + timeout_s
    while _pending(management, model, version) and time.monotonic() < deadline:
        time.sleep(POLL_S)


def _wait_for_workers(
    client: HttpClient | None,
    management: ManagementApi,
    loaded: LoadedVersion,
    folder: Path | None,
    *,
    model: str,
    until_quiet: bool,
    timeout_s: float,
) -> None:
    version, pids = loaded.version, loaded.ready_pids
    deadline = time.monotonic() + timeout_s
    rounds = iter(range(KNOCK_ROUNDS))
    still = _Unchanged()
    signed = _Unchanged()
    with ThreadPoolExecutor(max(len(pids), 1)) as pool:
        while (left_s := deadline - time.monotonic()) > 0:
            unsigned = _unsigned(folder, pids)
            if client is not None and next(rounds, None) is not None:
                # A worker that computes answers its knock when it is done: waiting for it is the point.
                knock = partial(client.ready, model, version=version, timeout_s=left_s)
                wait([pool.submit(knock) for _ in unsigned])
            is_empty = not _pending(management, model, version)
            signed_s = signed.seconds(not unsigned)
            if not unsigned and is_empty and not (until_quiet and _is_asked(folder)):
                return
            if not unsigned and signed_s >= LAST_WORDS_S:
                if not until_quiet:
                    return
                raise PromotionError(
                    f"clients keep asking for {model} {version} by its number; it was left loaded and serves them. "
                    "Point them to the live version, then retire it."
                )
            still_s = still.seconds((is_empty, [_cpu_s(pid) for pid in unsigned]))
            if is_empty and still_s >= STILL_S:
                return
            time.sleep(POLL_S)
    raise PromotionError(
        f"{model} {version} has been computing for {timeout_s:.0f} s; it was left loaded. Try again later."
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


def _folder_of(pids: Sequence[int]) -> Path | None:
    """Return the folder the version was unpacked to, which its workers run in; None when it cannot be seen."""
    for pid in pids:
        with contextlib.suppress(OSError, psutil.Error):
            folder = Path(psutil.Process(pid).cwd())
            if (folder / "MAR-INF").is_dir() and os.access(folder, os.W_OK):
                return folder
    return None


def _is_asked(folder: Path | None) -> bool:
    """Return whether a worker has refused a request within the last QUIET_S."""
    if folder is None:
        return False
    # A worker that died since has taken its signature's age with it, and no more.
    refusals = [path.stat().st_mtime for path in folder.glob(f"{NOTE}.*")]
    return time.time() - max(refusals, default=0.0) < QUIET_S


def _unsigned(folder: Path | None, pids: Sequence[int]) -> list[int]:
    if folder is None:
        return list(pids)
    return [
        pid for pid in pids if psutil.pid_exists(pid) and not (folder / f"{NOTE}.{pid}").exists()
    ]
