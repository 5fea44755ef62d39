"""A candidate that answers a share of the requests, compared with the live version on the rest: a canary.

The same correlation id gets the same version throughout. Of the candidate's requests some go to the live version too,
for the comparison alone: its answers are not sent to the client.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cluster.live_state import Agreement
from serving.archive.reader import Archive
from serving.errors import InputError, PromotionError
from serving.rollout.bake import MAX_FAULT_SHARE, MIN_FAULTS, watch
from serving.rollout.live_record import Entry
from serving.rollout.metrics_page import Counts
from serving.rollout.session import Report

if TYPE_CHECKING:
    from cluster.rollout.session import ClusterSession

# Rejected requests are mostly the clients' own and meet both versions; below this many their shares are chance.
MIN_REJECTED = 10
# A percentile that leaves out the slowest two calls, so that none of them decides alone: the p90 of 20, p99 from 200.
MIN_CALLS = 20
SLOWEST_LEFT_OUT = 2
P99_RATIO_MAX = 2.0
# Where versions take 5 and 11 ms, no client minds the difference.
P99_DIFFERENCE_MIN_MS = 20.0
MIN_COMPARED = 10
# How many standard deviations fewer photos agree than at the least agreement allowed: chance in 1 of 700 looks.
STANDARD_DEVIATIONS = 3.0


@dataclass(frozen=True, kw_only=True)
class TrialOptions:
    percent: float
    """Of the requests that name no version, above 0 and up to 100."""
    seconds: float
    max_p99_ms: float | None = None
    """None: twice the live version's."""
    min_agreement: float = 0.8
    """Of the top classes, 0..1. Two versions that are right about 90 % of the photos agree on 80 % or more."""

    def __post_init__(self) -> None:
        if not 0 < self.percent <= 100:
            raise InputError(f"--percent must be above 0 and at most 100, not {self.percent:g}.")
        if not self.seconds > 0:
            raise InputError("--percent needs the seconds of the trial; give --bake SECONDS.")
        if not 0 <= self.min_agreement <= 1:
            raise InputError(f"--min-agreement must be between 0 and 1, not {self.min_agreement}.")


def try_out(
    session: "ClusterSession",
    archive: Archive,
    live: Entry,
    options: TrialOptions,
    *,
    report: Report,
) -> None:
    """Return once the loaded candidate has answered its share of the requests for `options.seconds` without a fault.

    Whatever happens, it has no share any longer afterwards.

    Raises:
        PromotionError: it had a fault; says what. RequestError: the cluster does not answer.
    """
    model, version = archive.name, archive.version
    live_key, key = (model, live.version), (model, version)

    def read() -> tuple[Counts, Agreement]:
        """Return what was counted of the live version, and compared with it, until now."""
        counts, agreement, _ = session.live.totals()
        return counts.get(live_key, Counts()), agreement.get(key, Agreement())

    counts_before, agreement_before = read()

    def find_fault(counts: Counts) -> str | None:
        live_counts, agreement = read()
        return compare(
            counts,
            live_counts.since(counts_before),
            agreement.since(agreement_before),
            options,
            live=live.version,
        )

    report(f"{version} answers {options.percent:g} % of the requests for {options.seconds:g} s")
    try:
        session.management.share(model, version, options.percent)
        result = watch(session, archive, seconds=options.seconds, find_fault=find_fault)
    finally:
        session.management.share(model, version, 0)
    agreement = read()[1].since(agreement_before)
    if result.fault is not None:
        raise PromotionError(
            f"{model} {version} was refused after {result.seconds:.0f} s with {options.percent:g} % of the requests, "
            f"{live.version} answers all of them again: {result.fault}"
        )
    report(
        f"{result.requests} requests, {agreement.agreed} of {agreement.compared} photos as {live.version} has them"
    )


def compare(
    candidate: Counts,
    live_counts: Counts,
    agreement: Agreement,
    options: TrialOptions,
    *,
    live: str,
) -> str | None:
    """Say what is wrong with the candidate beside the live version; None: nothing, or it is too early to say."""
    return (
        _more_errors(candidate, live_counts, live=live)
        or _slower(candidate, live_counts, options, live=live)
        or _disagrees(agreement, options, live=live)
    )


def _more_errors(candidate: Counts, live_counts: Counts, *, live: str) -> str | None:
    requests = max(candidate.requests, 1)
    live_requests = max(live_counts.requests, 1)
    is_faulty = candidate.faults >= MIN_FAULTS and (
        candidate.faults / requests > MAX_FAULT_SHARE + live_counts.faults / live_requests
    )
    if is_faulty:
        return (
            f"{candidate.faults} of its {candidate.requests} requests failed, of {live}'s {live_counts.faults} of "
            f"{live_counts.requests}."
        )
    # Those that found no place in a queue say nothing about the version.
    rejected, live_rejected = (
        sum(each.errors.values()) - each.errors.get("overloaded", 0)
        for each in (candidate, live_counts)
    )
    if rejected >= MIN_REJECTED and (
        rejected / requests > MAX_FAULT_SHARE + 2 * live_rejected / live_requests
    ):
        return (
            f"it rejected {rejected} of {candidate.requests} requests, {live} {live_rejected} of "
            f"{live_counts.requests}."
        )
    return None


def _slower(
    candidate: Counts, live_counts: Counts, options: TrialOptions, *, live: str
) -> str | None:
    calls, live_calls = (each.buckets.get(float("inf"), 0.0) for each in (candidate, live_counts))
    if calls < MIN_CALLS:
        return None
    share = min(0.99, 1 - SLOWEST_LEFT_OUT / calls)
    p99_ms, live_p99_ms = (each.percentile_ms(share) or 0.0 for each in (candidate, live_counts))
    if options.max_p99_ms is not None:
        if p99_ms <= options.max_p99_ms:
            return None
        return f"its p{share * 100:.0f} is {p99_ms:.0f} ms, more than {options.max_p99_ms:g} ms."
    limit_ms = max(P99_RATIO_MAX * live_p99_ms, live_p99_ms + P99_DIFFERENCE_MIN_MS)
    if live_calls < MIN_CALLS or p99_ms <= limit_ms:
        return None
    return f"its p{share * 100:.0f} is {p99_ms:.0f} ms, {live}'s {live_p99_ms:.0f} ms."


def _disagrees(agreement: Agreement, options: TrialOptions, *, live: str) -> str | None:
    compared, least = agreement.compared, options.min_agreement
    if compared < MIN_COMPARED:
        return None
    deviation = math.sqrt(compared * least * (1 - least))
    if agreement.agreed >= compared * least - STANDARD_DEVIATIONS * deviation:
        return None
    return (
        f"it says the same as {live} of {agreement.agreed} of {compared} photos, less than the {least:.0%} of "
        "--min-agreement."
    )
