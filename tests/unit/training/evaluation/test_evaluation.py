"""The summary of a split: counted by hand, small for many classes, and printed without too wide a matrix."""

import json
from pathlib import Path

import pytest
import torch

from headswap.commands.training.evaluate import show
from training.data.photos import Photo
from training.evaluation.evaluation import Evaluation, summarise


def evaluation_of(
    logits: torch.Tensor, labels: torch.Tensor, *, temperature: float = 1.0
) -> Evaluation:
    """Return the summary of logits `(N, K)`; the classes are named by number."""
    return summarise(
        logits,
        labels,
        split="test",
        temperature=temperature,
        class_names=[f"class {index}" for index in range(logits.shape[1])],
        val={"accuracy": 1.0, "n": 1, "interval": (0.0, 1.0)},
        photos=[
            Photo(path=Path(f"/photos/{index}.jpg"), label=label, split="test", sha256=str(index))
            for index, label in enumerate(labels.tolist())
        ],
        weights_sha256="",
    )


def test_the_summary_is_the_one_counted_by_hand() -> None:
    # True classes 0 0 0 1 1 2; predictions 0 0 1 1 2 2; the third photo's second class is the true one.
    logits = torch.tensor(
        [[3, 0, 0], [3, 1, 0], [2, 3, 0], [0, 3, 1], [1, 0, 3], [0, 1, 3]], dtype=torch.float32
    )
    result = evaluation_of(logits, torch.tensor([0, 0, 0, 1, 1, 2]), temperature=2.0)
    assert result.confusion == [[2, 1, 0], [0, 1, 1], [0, 0, 1]]
    assert result.accuracy == pytest.approx(4 / 6)
    assert [row.n for row in result.classes] == [3, 2, 1]
    assert [row.precision for row in result.classes] == pytest.approx([1, 1 / 2, 1 / 2])
    assert [row.recall for row in result.classes] == pytest.approx([2 / 3, 1 / 2, 1])
    assert [row.f1 for row in result.classes] == pytest.approx([4 / 5, 1 / 2, 2 / 3])
    assert result.macro_f1 == pytest.approx((4 / 5 + 1 / 2 + 2 / 3) / 3)
    third = result.photos[2]
    assert (third.path, third.sha256) == ("/photos/2.jpg", "2")
    assert [top.index for top in third.top_classes] == [1, 0, 2]
    expected = torch.softmax(logits[2] / 2, 0)[[1, 0, 2]].tolist()
    assert [top.probability for top in third.top_classes] == pytest.approx(expected)
    assert third.confidence_before == pytest.approx(float(torch.softmax(logits[2], 0).max()))


def test_calibration_error_is_that_of_certain_predictions_half_of_them_correct() -> None:
    result = evaluation_of(torch.tensor([[100.0, 0.0]] * 10), torch.tensor([0, 1] * 5))
    assert result.calibration_error == pytest.approx(0.5)


def test_a_thousand_classes_do_not_make_the_file_large() -> None:
    logits = torch.randn(20, 1000, generator=torch.Generator().manual_seed(0))
    result = evaluation_of(logits, torch.zeros(20, dtype=torch.int64), temperature=1.5)
    top_indices = [photo.top_classes[0].index for photo in result.photos]
    assert top_indices == logits.argmax(1).tolist()
    assert len(json.dumps(result.to_dict()["photos"], indent=2)) < 20 * 1000


def shifted(class_count: int) -> Evaluation:
    """Return an evaluation of one photo per class, each but the last predicted as the next class."""
    labels = torch.arange(class_count)
    logits = torch.nn.functional.one_hot((labels + 1).clamp(max=class_count - 1)).float()
    return evaluation_of(logits, labels)


def test_a_matrix_wider_than_a_terminal_is_printed_as_a_list(
    capsys: pytest.CaptureFixture[str],
) -> None:
    show(shifted(5))
    assert "true \\ predicted" in capsys.readouterr().out
    show(shifted(40))
    printed = capsys.readouterr().out
    assert "true \\ predicted" not in printed
    assert "1 of 1 class 3 were predicted as class 4" in printed
    assert max(map(len, printed.splitlines())) < 300
