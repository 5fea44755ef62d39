"""What each version answered: its classes and its confidence, as a whole and over the last 30 minutes."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from page.history import Answers, Key, Sample

CLASSES_SHOWN = 12
LINES = 4
"""Classes with a line of their own over time; the others share one."""
WINDOW_S = 60.0
"""A point over time is of the photos of the minute before it: those of 5 seconds would be too few for a share."""


def describe_versions(samples: Sequence[Sample]) -> list[dict[str, Any]]:
    """Return each version that has answered photos: its classes, the most frequent first, its mean confidence, and both
    over time, at the times of all samples but the first; None where it answered no photo in the minute before.
    """
    if not samples:
        return []
    versions = [
        (key, answers) for key, answers in sorted(samples[-1].answers.items()) if answers.labels
    ]
    return [
        _describe(key, answers, samples, _frequent(key[0], samples)) for key, answers in versions
    ]


def _describe(
    key: Key, answers: Answers, samples: Sequence[Sample], names: Sequence[str]
) -> dict[str, Any]:
    windows = _windows(key, samples)
    total = answers.labels.total()
    return {
        "model": key[0],
        "version": key[1],
        "photos": total,
        "confidence": answers.confidence,
        "classes": [
            {"label": label, "share": count / total}
            for label, count in answers.labels.most_common(CLASSES_SHOWN)
        ],
        "confidence_over_time": [window.confidence for window in windows],
        "classes_over_time": [
            {"label": label, "shares": [_share(window, (label,)) for window in windows]}
            for label in names
        ],
        "others_over_time": [_others(window, names) for window in windows],
    }


def _frequent(model: str, samples: Sequence[Sample]) -> list[str]:
    """Return the classes that a model's versions answered most: the same for all, so that they can be compared."""
    total: Counter[str] = Counter()
    for (name, _), answers in samples[-1].answers.items():
        if name == model:
            total.update(answers.labels)
    return [label for label, _ in total.most_common(LINES)]


def _windows(key: Key, samples: Sequence[Sample]) -> list[Answers]:
    """Return what a version answered in the minute before each sample but the first."""
    windows, first = [], 0
    for index, sample in enumerate(samples[1:], 1):
        while first < index - 1 and sample.time - samples[first].time > WINDOW_S:
            first += 1
        before = samples[first].answers.get(key, Answers())
        windows.append(sample.answers.get(key, Answers()).since(before))
    return windows


def _share(window: Answers, labels: Sequence[str]) -> float | None:
    total = window.labels.total()
    return sum(window.labels[label] for label in labels) / total if total else None


def _others(window: Answers, names: Sequence[str]) -> float | None:
    named = _share(window, names)
    return None if named is None else max(0.0, 1.0 - named)
