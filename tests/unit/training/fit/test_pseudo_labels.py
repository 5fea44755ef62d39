"""Which labels unlabeled photos get, and what they count."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from handlers.engines.network import Network
from handlers.images.preprocessing import PreprocessingSpec
from training.distributed import ALONE
from training.fit.pseudo_labels import (
    CONFIDENCE_MIN,
    UNLABELED_RATIO,
    UNLABELED_WEIGHT,
    PseudoLabels,
)

SPEC = PreprocessingSpec(image_size_px=4, resize_ratio=1.0)
EVEN = torch.tensor([4.0, 4.0])
BARELY_SURE = 148


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


def test_the_teacher_labels_only_what_it_is_sure_of(teacher: Network) -> None:
    labels = PseudoLabels(teacher.logits, EVEN, ALONE).label(photos(0, 116, 255))
    assert labels.tolist() == [[1, 0], [0, 0], [0, 1]]


def test_a_class_named_too_often_counts_for_less(teacher: Network) -> None:
    slightly_bright = photos(*[BARELY_SURE] * 2_000)
    pseudo = PseudoLabels(teacher.logits, EVEN, ALONE)
    assert torch.softmax(teacher.logits(slightly_bright[:1]), 1).max() > CONFIDENCE_MIN
    pseudo.label(slightly_bright)
    assert pseudo.label(slightly_bright[:1]).sum() == 0
    assert pseudo.label(photos(0)).sum() == 1


def test_answers_in_the_classes_own_shares_stay_as_they_are(teacher: Network) -> None:
    pseudo = PseudoLabels(teacher.logits, EVEN, ALONE)
    mixed = photos(*[0, 255] * 50)
    for _ in range(3):
        labels = pseudo.label(mixed)
    assert torch.equal(labels, torch.eye(2).repeat(50, 1))


def test_the_mean_over_a_joined_batch_is_the_sum_of_both_means(teacher: Network) -> None:
    torch.manual_seed(0)
    labeled = photos(10), torch.tensor([1])
    weak, strong = photos(0, 116, 255, 255), photos(40, 50, 60, 70)
    pairs = torch.stack([weak, strong], 1), torch.full((4,), -1)
    ((pixels, shares),) = PseudoLabels(teacher.logits, EVEN, ALONE).join([labeled], [pairs])
    assert pixels.shape == (5, 4, 4, 3)
    assert sorted(pixels[:, 0, 0, 0].tolist()) == [10, 40, 50, 60, 70]
    logits = pixels[:, 0, 0, :2].float() / torch.tensor([7.0, 11.0])
    order = pixels[:, 0, 0, 0].argsort()
    of_labeled = functional.cross_entropy(logits[order[:1]], labeled[1])
    each = functional.cross_entropy(logits[order[1:]], torch.tensor([0, 0, 1, 1]), reduction="none")
    # The second photo's label is unsure, so it adds nothing to the mean over four.
    expected = of_labeled + UNLABELED_WEIGHT * each[[0, 2, 3]].sum() / UNLABELED_RATIO
    assert functional.cross_entropy(logits, shares) == pytest.approx(float(expected), rel=1e-5)
