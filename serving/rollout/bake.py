"""Watching a version that has just gone live, while going back is still easy."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from serving.archive.reader import Archive
from serving.errors import NotReadyError, PromotionError, RequestError
from serving.rollout.metrics_page import Counts
from serving.rollout.readiness import check_probes, check_workers
from serving.rollout.rollback import rollback
from serving.rollout.session import Report, RolloutSession

POLL_S = 1.0
MAX_FAULT_SHARE = 0.01
# One odd request is not a reason to roll back; three faults of the server are.
MIN_FAULTS = 3
# A percentile of fewer calls says little.
MIN_CALLS = 50


@dataclass(frozen=True, kw_only=True)
class BakeResult:
    fault: str | None
    """Why the version must be rolled back; None if nothing is wrong with it."""
    requests: int
    seconds: float


def bake(
    session: RolloutSession,
    archive: Archive,
    *,
    seconds: float,
    max_p99_ms: float | None,
    report: Report,
) -> None:
    """Return once the live version has served for `seconds` without a fault; roll back at the first one.

    The store is not locked meanwhile, so that others can roll back by hand.

    Raises:
        PromotionError: it had a fault; says what it was and which version serves now.
    """
    name, version = archive.name, archive.version
    report(f"watching {name} {version} for {seconds:g} s")
    result = watch(
        session,
        archive,
        seconds=seconds,
        find_fault=lambda counts: _fault_in_counts(counts, max_p99_ms),
    )
    if result.fault is None:
        report(f"{result.requests} requests in {result.seconds:.0f} s, and no fault")
        return
    deployment = session.store.read_record()[name]
    if deployment.live.version != version:
        raise PromotionError(
            f"{name} {version} had a fault ({result.fault}); {deployment.live.version} was put live meanwhile and "
            "serves."
        )
    if deployment.previous is None:
        raise PromotionError(
            f"{name} {version} has a fault and stays live, for no version was live before it: {result.fault}"
        )
    why = f"{version} failed its bake: {result.fault}"
    restored = rollback(session, name, report=report, why=why)
    raise PromotionError(
        f"{name} {version} failed after {result.seconds:.0f} s; {restored.live} serves again: {result.fault}"
    )


def watch(
    session: RolloutSession,
    archive: Archive,
    *,
    seconds: float,
    find_fault: Callable[[Counts], str | None],
) -> BakeResult:
    """Return what was seen, at the first fault or after `seconds` without one.

    A fault is what `find_fault` says of the version's counts since the beginning, a lost worker, or a wrong or missing
    answer to a probe.
    """
    began = time.monotonic()
    key = (archive.name, archive.version)
    before = session.read_counts().get(key, Counts())
    while True:
        counts = session.read_counts().get(key, Counts()).since(before)
        fault = find_fault(counts) or _fault_in_answers(session, archive)
        seconds_spent = time.monotonic() - began
        if fault or seconds_spent >= seconds:
            return BakeResult(fault=fault, requests=counts.requests, seconds=seconds_spent)
        time.sleep(min(POLL_S, seconds - seconds_spent))


def _fault_in_counts(counts: Counts, max_p99_ms: float | None) -> str | None:
    """Say what is wrong: server errors in more than 1 % of the requests (at least 3), or a p99 above a given limit."""
    if counts.faults >= MIN_FAULTS and counts.faults > MAX_FAULT_SHARE * counts.requests:
        return f"{counts.faults} of {counts.requests} requests failed."
    p99_ms = counts.percentile_ms(0.99) if counts.requests >= MIN_CALLS else None
    if max_p99_ms is not None and p99_ms is not None and p99_ms > max_p99_ms:
        return f"its p99 is {p99_ms:.0f} ms, more than {max_p99_ms:g} ms."
    return None


def _fault_in_answers(session: RolloutSession, archive: Archive) -> str | None:
    try:
        check_workers(session, archive)
        check_probes(session.http, archive, version=archive.version)
    except (NotReadyError, RequestError) as error:
        return str(error)
    return None
