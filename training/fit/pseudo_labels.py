"""What an unlabeled photo is taken for: the teacher's answer to a weak view of it, where it is sure.

FixMatch (Sohn et al., 2020): the network then learns that answer from a strong view. The teacher is
the average of the network over its steps (Tarvainen and Valpola, 2017). Its answers are aligned
with the shares of the classes (ReMixMatch, Berthelot et al., 2020): a class that it has named too
often so far counts for less.

B labelled photos, U unlabeled ones, K classes, pixels `(S, S, 3) uint8`.
"""

from collections.abc import Callable, Iterable, Iterator

import torch
from torch.nn import functional

from training.data.dataset import Batch
from training.distributed import ProcessGroup

Teacher = Callable[[torch.Tensor], torch.Tensor]
"""Pixels `(U, S, S, 3)` to logits `(U, K)`, in evaluation mode and without gradients."""

# Unlabeled photos for each labelled one of a step.
UNLABELED_RATIO = 4
CONFIDENCE_MIN = 0.95
UNLABELED_WEIGHT = 1.0
# Before the first answer the teacher is believed to have given so many, in the classes' own shares.
PRIOR_ANSWERS = 512


class PseudoLabels:
    """An epoch's unlabeled photos get labels. Begun anew in each epoch, so that resuming needs nothing of it."""

    def __init__(self, teacher: Teacher, class_counts: torch.Tensor, ranks: ProcessGroup) -> None:
        self._teacher, self._ranks = teacher, ranks
        self._class_shares = (class_counts / class_counts.sum()).to(ranks.device)
        self._answers = self._class_shares * PRIOR_ANSWERS

    def join(self, labeled: Iterable[Batch], unlabeled: Iterable[Batch]) -> Iterator[Batch]:
        """Yield pixels of labelled photos and strong views, `(B + U, S, S, 3)`, and what to learn from
        each: shares of the classes `(B + U, K)`, all 0 where the teacher is not sure.

        Every step has `UNLABELED_RATIO` unlabeled photos for a labelled one. Shares are scaled so
        that their mean loss over all processes' photos is the mean loss over the labelled ones and
        `UNLABELED_WEIGHT` times that over the others. The unlabeled views are `(U, 2, S, S, 3)`: weak, strong.
        """
        for (pixels, labels), (views, _) in zip(labeled, unlabeled, strict=True):
            shares = torch.cat(
                [
                    self._shares(labels.to(self._ranks.device)),
                    self.label(views[:, 0]) * (UNLABELED_WEIGHT / UNLABELED_RATIO),
                ]
            )
            # Mixed, so that each part of a step that is computed in parts has some of both.
            order = torch.randperm(len(shares))
            scaled = shares[order.to(shares.device)] * (1 + UNLABELED_RATIO)
            yield torch.cat([pixels, views[:, 1]])[order], scaled

    def label(self, weak: torch.Tensor) -> torch.Tensor:
        """Return `(U, K)`: what the teacher says of weak views, 0 for all classes where it is not sure."""
        answers = torch.softmax(self._teacher(weak), 1)
        self._answers += self._ranks.sum_tensor(answers.sum(0))
        aligned = answers * self._class_shares / (self._answers / self._answers.sum())
        confidence, labels = (aligned / aligned.sum(1, keepdim=True)).max(1)
        return self._shares(labels) * (confidence >= CONFIDENCE_MIN)[:, None]

    def _shares(self, labels: torch.Tensor) -> torch.Tensor:
        """Return `(N, K) float32` of labels `(N,)`; shares, of mixed photos, as they are."""
        if labels.ndim == 2:
            return labels
        return functional.one_hot(labels, len(self._class_shares)).float()
