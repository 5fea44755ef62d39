"""What report.html says about photos that are uncertain or of none of the classes."""

import re
from typing import Any

import pytest

from reports.page import render
from training.evaluation.report import TEMPLATE

EVALUATION = {
    "split": "test", "n": 120, "accuracy": 0.9, "interval": (0.8, 0.95), "top_k": 3, "top_k_accuracy": 1.0,
    "macro_f1": 0.9, "calibration_error_before": 0.1, "calibration_error": 0.05, "temperature": 1.2, "classes": [],
}  # fmt: skip
UNKNOWN = {
    "accepted_share": {"expected": 0.951, "deviation": 0.024, "n": 80},
    "evaluated_accepted_share": 0.925,
}
LEFT_OUT = {
    "left_out_classes": 5,
    "left_out_auroc": 0.783,
    "left_out_auroc_deviation": 0.065,
    "left_out_auroc_of_max_probability": 0.721,
}
NEGATIVES = {"n": 7, "unknown_share": 0.9, "auroc": 0.993, "auroc_of_max_probability": 0.873}
ABSTENTION = {
    "target_accuracy": 0.99, "min_probability": 0.9693, "val_n": 80, "answered_share": 0.72, "answered": 86,
    "correct": 85,
}  # fmt: skip


def section(**fields: Any) -> str:
    """Return the section's text on one line."""
    data = {"class_names": [], "counts": {}, "bad_files": [], "leaks": [], "near_leaks": []}
    page = render(
        TEMPLATE, run="run", evaluation=EVALUATION | fields, data=data, config={}, environment={}, curves="",
        confusion="", reliability="", risk_coverage="data:curve", confused_pairs=[], mistakes=[],
    )  # fmt: skip
    html = page.partition("<h2>Uncertain and unknown photos</h2>")[2].partition("<h2>")[0]
    assert "data:curve" in html
    return " ".join(re.sub(r"<[^>]*>", " ", html).split())


@pytest.mark.parametrize("fields", [{}, {"unknown": {}, "abstention": None}])
def test_an_evaluation_without_a_score_says_so(fields: dict[str, Any]) -> None:
    assert section(**fields).startswith("There is no unknown score")


def test_the_shares_and_the_threshold_are_named() -> None:
    text = section(unknown=UNKNOWN, abstention=ABSTENTION)
    assert "min_probability of 0.9693" in text
    assert "86 of 120 photos are answered, 85 of them correctly" in text
    assert "92.5 % of these photos" in text
    assert "95.1 ± 2.4 % were expected from 80 val photos" in text
    assert "AUROC" not in text


def test_auroc_stands_next_to_that_of_the_highest_probability() -> None:
    text = section(unknown=UNKNOWN | LEFT_OUT | {"negatives": NEGATIVES})
    assert "each of 5 classes left out 0.783 ± 0.065 0.721" in text
    assert "7 photos of other things 0.993 0.873" in text
