"""Watch: how the server has been doing for the last 30 minutes, and whether a promotion changed it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from page.context import context_of
from page.history import Answers, Sample
from page.rendering import render
from serving.errors import InputError
from serving.rollout.live_record import Deployment, read_record
from serving.rollout.metrics_page import Counts

CLASSES_SHOWN = 12


async def show(request: Request) -> Response:
    return render(request, "watch.html.j2")


async def read(request: Request) -> Response:
    """Return the points of every chart, the promotions among them, and the class shares of each version."""
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
            "shares": _shares(samples[-1].answers) if samples else [],
        }
    )


def _point(before: Sample, after: Sample) -> dict[str, Any]:
    """Return what happened between two looks."""
    seconds = max(after.time - before.time, 0.001)
    delta = _delta(before.counts, after.counts)
    confidence = _confidence(before.answers, after.answers)
    return {
        "time": after.time,
        "requests_per_s": delta.requests / seconds,
        "p50_ms": delta.percentile_ms(0.5),
        "p99_ms": delta.percentile_ms(0.99),
        "errors": {code: count for code, count in delta.errors.items() if count},
        "queued": after.queued,
        "ready_workers": after.ready_workers,
        "workers": after.workers,
        "confidence": confidence,
    }


def _delta(
    before: Mapping[tuple[str, str], Counts], after: Mapping[tuple[str, str], Counts]
) -> Counts:
    """Return the counts of all versions together between two looks; a version that was loaded anew starts at 0."""
    total = Counts()
    for key, counts in after.items():
        earlier = before.get(key, Counts())
        delta = counts.since(earlier if earlier.requests <= counts.requests else Counts())
        total.images += delta.images
        for code, count in delta.errors.items():
            total.errors[code] = total.errors.get(code, 0) + count
        for bound, value in delta.buckets.items():
            total.buckets[bound] = total.buckets.get(bound, 0.0) + value
    return total


def _confidence(
    before: Mapping[tuple[str, str], Answers], after: Mapping[tuple[str, str], Answers]
) -> float | None:
    """Return the mean confidence of the photos between two looks, 0..1; None where there were none."""
    total = count = 0.0
    for key, answers in after.items():
        earlier = before.get(key, Answers())
        if earlier.confidence_count > answers.confidence_count:
            earlier = Answers()
        total += answers.confidence_sum - earlier.confidence_sum
        count += answers.confidence_count - earlier.confidence_count
    return total / count if count > 0 else None


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


def _shares(answers: Mapping[tuple[str, str], Answers]) -> Sequence[dict[str, Any]]:
    """Return how often each version gave each class, the most frequent first, and its mean confidence."""
    rows = []
    for (model, version), entry in sorted(answers.items()):
        total = sum(entry.labels.values())
        if not total:
            continue
        rows.append(
            {
                "model": model,
                "version": version,
                "photos": total,
                "confidence": entry.confidence_sum / entry.confidence_count
                if entry.confidence_count
                else None,
                "classes": [
                    {"label": label, "share": count / total}
                    for label, count in entry.labels.most_common(CLASSES_SHOWN)
                ],
            }
        )
    return rows
