"""Watch: how the server has been doing for the last 30 minutes, and whether a promotion changed it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from page.class_shares import describe_versions
from page.context import context_of
from page.history import INTERVAL_S, Key, Sample
from page.rendering import render
from serving.errors import InputError
from serving.rollout.live_record import Deployment, read_record
from serving.rollout.metrics_page import Counts

# Looks further apart than this have a time between them in which nobody knows when the requests came.
GAP_S = 3 * INTERVAL_S


async def show(request: Request) -> Response:
    return render(request, "watch.html.j2")


async def read(request: Request) -> Response:
    """Return the points of every chart, the promotions among them, and what each version answered."""
    context = context_of(request)
    samples = context.history.samples
    try:
        record = read_record(context.settings.model_store)
    except InputError:
        record = {}
    return JSONResponse(
        {
            "problem": context.history.problem,
            "points": [_point(*pair) for pair in zip(samples, samples[1:], strict=False)],
            "promotions": _promotions(record),
            "versions": describe_versions(samples),
        }
    )


def _point(before: Sample, after: Sample) -> dict[str, Any]:
    """Return what happened between two looks; None for what cannot be known."""
    seconds = after.time - before.time
    is_gap = not 0 < seconds <= GAP_S
    delta = Counts() if is_gap else _delta(before.counts, after.counts)
    return {
        "time": after.time,
        "requests_per_s": None if is_gap else delta.requests / seconds,
        "p50_ms": delta.percentile_ms(0.5),
        "p99_ms": delta.percentile_ms(0.99),
        "errors": {code: count for code, count in delta.errors.items() if count},
        "queued": after.queued,
        "ready_workers": after.ready_workers,
        "workers": after.workers,
    }


def _delta(before: Mapping[Key, Counts], after: Mapping[Key, Counts]) -> Counts:
    """Return the counts of all versions together between two looks; a version that was loaded anew starts at 0."""
    total = Counts()
    for key, counts in after.items():
        earlier = before.get(key, Counts())
        total = total.plus(
            counts.since(earlier if earlier.requests <= counts.requests else Counts())
        )
    return total


def _promotions(record: Mapping[str, Deployment]) -> list[dict[str, Any]]:
    return [
        {"model": model, "version": entry.version, "why": entry.why, "time": seconds}
        for model, deployment in record.items()
        for entry in deployment.entries
        if (seconds := _unix_time(entry.since)) is not None
    ]


def _unix_time(since: str) -> float | None:
    try:
        return datetime.fromisoformat(since).timestamp()
    except ValueError:
        return None
