"""What is taken for what: in words where there are too many classes for a matrix."""

import base64

import pytest
import torch

from headswap.commands.training.evaluate import show
from training.evaluation.confusion import most_confused
from training.evaluation.evaluation import Evaluation, summarise
from training.evaluation.plots import draw_confusion


def test_the_most_confused_come_first() -> None:
    found = most_confused(["a", "b", "c"], [[3, 1, 0], [4, 2, 2], [0, 0, 0]])
    assert [(one.true, one.answered, one.count, one.n) for one in found] == [
        ("b", "a", 4, 8), ("b", "c", 2, 8), ("a", "b", 1, 4),
    ]  # fmt: skip
    assert most_confused(["a", "b"], [[1, 2], [3, 4]], limit=1)[0].count == 3


def evaluation_of(class_count: int) -> Evaluation:
    labels = torch.arange(class_count)
    # Every photo but those of the last class is answered with the next class.
    logits = torch.nn.functional.one_hot((labels + 1).clamp(max=class_count - 1)).float()
    return summarise(
        logits, labels, split="test", temperature=1.0, val={}, weights_sha256="",
        class_names=[f"class {number}" for number in range(class_count)],
        paths=["photo.jpg"] * class_count,
    )  # fmt: skip


def test_a_matrix_wider_than_a_terminal_is_told_in_words(
    capsys: pytest.CaptureFixture[str],
) -> None:
    show(evaluation_of(5))
    assert "true \\ answered" in capsys.readouterr().out
    show(evaluation_of(40))
    told = capsys.readouterr().out
    assert "true \\ answered" not in told
    assert "1 of 1 class 3 were taken for class 4" in told
    assert max(map(len, told.splitlines())) < 300


def test_a_drawing_of_a_thousand_classes_is_small() -> None:
    count = 1000
    matrix = [[int(row == column) for column in range(count)] for row in range(count)]
    url = draw_confusion([f"class {number}" for number in range(count)], matrix)
    assert len(base64.b64decode(url.partition(",")[2])) < 500_000
