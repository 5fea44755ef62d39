"""Which classes are taken for which: what can be read where the confusion matrix is too large to be."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Confused:
    true: str
    answered: str
    count: int
    """Photos of the true class that got this answer."""
    n: int
    """Photos of the true class."""


def most_confused(
    class_names: Sequence[str], matrix: Sequence[Sequence[int]], *, limit: int = 10
) -> list[Confused]:
    """Return the pairs of classes with most wrong answers, at most so many; rows are the true classes."""
    found = [
        Confused(true=true, answered=answered, count=count, n=sum(row))
        for true, row in zip(class_names, matrix, strict=True)
        for answered, count in zip(class_names, row, strict=True)
        if count and answered != true
    ]
    return sorted(found, key=lambda one: -one.count)[:limit]
