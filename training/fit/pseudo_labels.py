"""Pseudo-labels of unlabeled photos: the teacher's prediction for a weak view, where it is confident.

FixMatch (Sohn et al., 2020): the network is trained to predict the same for a strong view. The teacher is the moving
average of the network (Tarvainen and Valpola, 2017). Its predictions are aligned with the class distribution of the
labelled photos (ReMixMatch, Berthelot et al., 2020): a class that it has predicted too often so far counts for less.

B labelled photos, U unlabeled ones, K classes, pixels `(S, S, 3) uint8`.
"""

from collections.abc import Callable, Iterable, Iterator

import torch
from torch.nn import functional

from training.data.dataset import Batch
from training.distributed import ProcessGroup

Teacher = Callable[[torch.Tensor], torch.Tensor]
"""Pixels `(U, S, S, 3)` to logits `(U, K) float32`, in evaluation mode and without gradients."""

# Unlabeled photos per labelled one in a batch.
UNLABELED_RATIO = 4
CONFIDENCE_MIN = 0.95
UNLABELED_WEIGHT = 1.0
# The running sum of predictions starts as if there had been this many, distributed as the labelled photos are.
PRIOR_PREDICTIONS = 512


class PseudoLabels:
    """Labels an epoch's unlabeled photos. Created anew for each epoch, so that a checkpoint holds nothing of it."""

    def __init__(self, teacher: Teacher, class_counts: torch.Tensor, group: ProcessGroup) -> None:
        self._teacher, self._group = teacher, group
        self._class_shares = (class_counts / class_counts.sum()).to(group.device)
        self._predicted = self._class_shares * PRIOR_PREDICTIONS

    def join(self, labeled: Iterable[Batch], unlabeled: Iterable[Batch]) -> Iterator[Batch]:
        """Yield pixels of labelled photos and strong views, `(B + U, S, S, 3)`, and targets `(B + U, K)`.

        The target of an unlabeled photo is all 0 where the teacher is not confident. Every batch has `UNLABELED_RATIO`
        unlabeled photos per labelled one. Targets are scaled such that the mean loss over all processes' photos is the
        mean over the labelled ones plus `UNLABELED_WEIGHT` times the mean over the unlabeled ones. Unlabeled views are
        `(U, 2, S, S, 3)`: weak, strong.
        """
        for (pixels, labels), (views, _) in zip(labeled, unlabeled, strict=True):
            targets = torch.cat(
                [
                    self._one_hot(labels.to(self._group.device)),
                    self.label(views[:, 0]) * (UNLABELED_WEIGHT / UNLABELED_RATIO),
                ]
            )
            # Shuffled, so that each part of a step with accumulated gradients has some of both.
            order = torch.randperm(len(targets))
            scaled = targets[order.to(targets.device)] * (1 + UNLABELED_RATIO)
            yield torch.cat([pixels, views[:, 1]])[order], scaled

    def label(self, weak: torch.Tensor) -> torch.Tensor:
        """Return one-hot targets `(U, K) float32` of weak views, all 0 where the teacher is not confident."""
        probabilities = torch.softmax(self._teacher(weak), 1)
        self._predicted += self._group.sum_tensor(probabilities.sum(0))
        aligned = probabilities * self._class_shares / (self._predicted / self._predicted.sum())
        confidence, labels = (aligned / aligned.sum(1, keepdim=True)).max(1)
        return self._one_hot(labels) * (confidence >= CONFIDENCE_MIN)[:, None]

    def _one_hot(self, labels: torch.Tensor) -> torch.Tensor:
        """Return `(N, K) float32` of labels `(N,)`; class probabilities, of mixed photos, as they are."""
        if labels.ndim == 2:
            return labels
        return functional.one_hot(labels, len(self._class_shares)).float()
