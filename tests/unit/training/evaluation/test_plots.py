"""A plot of very many classes stays small."""

import base64

from training.evaluation.plots import draw_confusion


def test_a_confusion_matrix_of_a_thousand_classes_is_a_small_file() -> None:
    count = 1000
    matrix = [[int(row == column) for column in range(count)] for row in range(count)]
    url = draw_confusion([f"class {number}" for number in range(count)], matrix)
    assert len(base64.b64decode(url.partition(",")[2])) < 500_000
