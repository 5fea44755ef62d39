"""What several values come to: medians, means and spreads."""

import statistics
from collections.abc import Sequence


def standard_deviation(values: Sequence[float]) -> float:
    """Return the sample standard deviation; 0 for a single value."""
    return statistics.stdev(values) if len(values) > 1 else 0.0


def format_percent(shares: Sequence[float]) -> str:
    """Return mean ± standard deviation of shares, 0..1, as percentages."""
    return f"{100 * statistics.fmean(shares):.1f} ± {100 * standard_deviation(shares):.1f} %"


def rounded_median(values: Sequence[float]) -> float:
    """Return the median, rounded to two decimal places."""
    return round(statistics.median(values), 2)
