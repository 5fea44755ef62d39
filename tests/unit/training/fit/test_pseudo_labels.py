"""Which labels unlabeled photos get, and their weight in the loss."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from handlers.engines.network import Network
from handlers.images.preprocessing import PreprocessingSpec
from training.distributed import SINGLE_PROCESS
from training.fit.pseudo_labels import (
    CONFIDENCE_MIN,
    UNLABELED_RATIO,
    UNLABELED_WEIGHT,
    PseudoLabels,
)

SPEC = PreprocessingSpec(image_size_px=4, resize_ratio=1.0)
EVEN = torch.tensor([4.0, 4.0])
BARELY_CONFIDENT = 148


class Brightness(nn.Module):
    """Two classes: a bright photo's second logit is high, a dark one's first, a grey one has none."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        brightness = images.mean(dim=(1, 2, 3))
        return torch.stack([-brightness, brightness], 1) * 3


@pytest.fixture
def teacher() -> Network:
    return Network(Brightness(), preprocessing=SPEC).eval()


def photos(*brightnesses: int) -> torch.Tensor:
    return torch.stack([torch.full((4, 4, 3), value, dtype=torch.uint8) for value in brightnesses])


def test_only_confident_predictions_become_labels(teacher: Network) -> None:
    labels = PseudoLabels(teacher.logits, EVEN, SINGLE_PROCESS).label(photos(0, 116, 255))
    assert labels.tolist() == [[1, 0], [0, 0], [0, 1]]


def test_a_class_predicted_too_often_counts_for_less(teacher: Network) -> None:
    slightly_bright = photos(*[BARELY_CONFIDENT] * 2_000)
    pseudo = PseudoLabels(teacher.logits, EVEN, SINGLE_PROCESS)
    assert torch.softmax(teacher.logits(slightly_bright[:1]), 1).max() > CONFIDENCE_MIN
    pseudo.label(slightly_bright)
    assert pseudo.label(slightly_bright[:1]).sum() == 0
    assert pseudo.label(photos(0)).sum() == 1


def test_predictions_distributed_as_the_classes_are_stay_as_they_are(teacher: Network) -> None:
    pseudo = PseudoLabels(teacher.logits, EVEN, SINGLE_PROCESS)
    mixed = photos(*[0, 255] * 50)
    for _ in range(3):
        labels = pseudo.label(mixed)
    assert torch.equal(labels, torch.eye(2).repeat(50, 1))


def test_the_mean_over_a_joined_batch_is_the_sum_of_both_means(teacher: Network) -> None:
    torch.manual_seed(0)
    labeled = photos(10), torch.tensor([1])
    weak, strong = photos(0, 116, 255, 255), photos(40, 50, 60, 70)
    pairs = torch.stack([weak, strong], 1), torch.full((4,), -1)
    ((pixels, targets),) = PseudoLabels(teacher.logits, EVEN, SINGLE_PROCESS).join(
        [labeled], [pairs]
    )
    assert pixels.shape == (5, 4, 4, 3)
    assert sorted(pixels[:, 0, 0, 0].tolist()) == [10, 40, 50, 60, 70]
    logits = pixels[:, 0, 0, :2].float() / torch.tensor([7.0, 11.0])
    order = pixels[:, 0, 0, 0].argsort()
    of_labeled = functional.cross_entropy(logits[order[:1]], labeled[1])
    each = functional.cross_entropy(logits[order[1:]], torch.tensor([0, 0, 1, 1]), reduction="none")
    # The prediction for the second photo is not confident, so it adds nothing to the mean over four.
    expected = of_labeled + UNLABELED_WEIGHT * each[[0, 2, 3]].sum() / UNLABELED_RATIO
    assert functional.cross_entropy(logits, targets) == pytest.approx(float(expected), rel=1e-5)
