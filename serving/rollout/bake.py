"""Watching a version that has just gone live, while there still is an easy way back."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

from serving.archive.reader import Archive
from serving.client import HttpClient
from serving.errors import NotReadyError, RequestError
from serving.rollout.metrics_page import Counts, read_counts
from serving.rollout.readiness import check_probes, check_workers
from serving.settings import ServerSettings

POLL_S = 1.0
MAX_FAULT_SHARE = 0.01
# One odd request is no reason to go back; three faults of the server are.
MIN_FAULTS = 3
# A percentile of fewer calls says little.
MIN_CALLS = 50


@dataclass(frozen=True, kw_only=True)
class Verdict:
    fault: str | None
    """Why the version must go back; None when it is sound."""
    requests: int
    seconds: float


def watch(
    settings: ServerSettings, archive: Archive, *, seconds: float, max_p99_ms: float | None
) -> Verdict:
    """Return at the first fault, or after `seconds` without one.

    A fault: it loses a worker, answers a probe wrongly or not at all, fails 1 % of the requests (at least 3), or, where
    a limit is given, its handler's p99 passes it.
    """
    began = time.monotonic()
    key = (archive.name, archive.version)
    before = _counts(settings).get(key, Counts())
    with HttpClient(settings) as client:
        while True:
            now = _counts(settings).get(key, Counts()).since(before)
            fault = _fault_in(now, max_p99_ms) or _fault_seen(settings, client, archive)
            seconds_spent = time.monotonic() - began
            if fault or seconds_spent >= seconds:
                return Verdict(fault=fault, requests=now.requests, seconds=seconds_spent)
            time.sleep(min(POLL_S, seconds - seconds_spent))


def _fault_in(counts: Counts, max_p99_ms: float | None) -> str | None:
    if counts.faults >= MIN_FAULTS and counts.faults > MAX_FAULT_SHARE * counts.requests:
        return f"{counts.faults} of {counts.requests} requests failed."
    p99_ms = counts.percentile_ms(0.99) if counts.requests >= MIN_CALLS else None
    if max_p99_ms is not None and p99_ms is not None and p99_ms > max_p99_ms:
        return f"its p99 is {p99_ms:.0f} ms, more than {max_p99_ms:g} ms."
    return None


def _fault_seen(settings: ServerSettings, client: HttpClient, archive: Archive) -> str | None:
    try:
        check_workers(settings, archive)
        check_probes(client, archive, version=archive.version)
    except (NotReadyError, RequestError) as error:
        return str(error)
    return None


def _counts(settings: ServerSettings) -> Mapping[tuple[str, str], Counts]:
    try:
        return read_counts(settings)
    except RequestError:
        # The metrics address may be off; the probes are watched all the same.
        return {}
