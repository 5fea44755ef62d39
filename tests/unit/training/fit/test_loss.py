"""The loss of a step, its parts, and imbalanced classes."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from tests.unit.training.helpers import CPU
from training.data.balance import balanced_order, class_weights
from training.distributed import SINGLE_PROCESS, ProcessGroup
from training.fit.loss import count_parts, make_loss, split_batch


@pytest.mark.parametrize("part_count", [1, 2, 3, 4, 8])
def test_a_step_in_parts_has_the_gradient_of_a_step_at_once(part_count: int) -> None:
    torch.manual_seed(0)
    inputs, labels = torch.randn(8, 5), torch.tensor([0, 1, 2, 2, 2, 1, 0, 2])
    loss = make_loss([2, 2, 4], CPU, balance="loss", label_smoothing=0.1)
    gradients = []
    for parts in (1, part_count):
        layer = nn.Linear(5, 3)
        nn.init.constant_(layer.weight, 0.1)
        nn.init.zeros_(layer.bias)
        for part, targets in split_batch((inputs, labels), count_parts(8, parts, SINGLE_PROCESS)):
            assert len(part) == len(targets) >= 2
            (loss(layer(part), targets) / len(labels)).backward()
        gradients.append(layer.weight.grad)
    torch.testing.assert_close(gradients[0], gradients[1])


@given(photo_count=st.integers(1, 99), wanted=st.integers(1, 40), world_size=st.integers(1, 8))
def test_every_process_computes_the_same_number_of_parts(
    photo_count: int, wanted: int, world_size: int
) -> None:
    # Otherwise a process would wait in SyncBatchNorm for what the others never send.
    groups = [ProcessGroup(rank=rank, world_size=world_size) for rank in range(world_size)]
    labels = torch.arange(photo_count)
    shards = [labels[group.shard_of_batch(0, photo_count)] for group in groups]
    parts = [
        list(split_batch((shard, shard), count_parts(photo_count, wanted, group)))
        for shard, group in zip(shards, groups, strict=True)
    ]
    sizes = [[len(inputs) for inputs, _ in of_process] for of_process in parts]
    assert len(set(map(len, sizes))) == 1
    assert len(sizes[0]) <= wanted
    assert sum(map(sum, sizes)) == photo_count
    if len(sizes[0]) > 1:
        assert min(map(min, sizes)) >= 2


def test_an_unweighted_loss_is_pytorchs_mean() -> None:
    logits, labels = torch.randn(6, 3), torch.tensor([0, 1, 2, 2, 2, 1])
    loss = make_loss([1, 2, 3], CPU, balance="none", label_smoothing=0.1)
    expected = nn.functional.cross_entropy(logits, labels, label_smoothing=0.1)
    torch.testing.assert_close(loss(logits, labels) / 6, expected)


def test_weights_are_1_on_average_over_the_photos() -> None:
    counts = [90, 9, 1]
    weights = class_weights(counts)
    assert weights.dtype == torch.float32
    assert sum(c * w for c, w in zip(counts, weights.tolist(), strict=True)) == pytest.approx(100)
    assert weights[2] / weights[0] == pytest.approx(90)


@given(counts=st.lists(st.integers(1, 40), min_size=1, max_size=6), seed=st.integers(0, 2**32))
def test_a_balanced_order_shows_each_class_equally_often(counts: list[int], seed: int) -> None:
    labels = np.repeat(np.arange(len(counts)), counts)
    order = balanced_order(labels, np.random.default_rng(seed))
    assert len(order) == len(labels)
    seen = np.bincount(labels[order], minlength=len(counts))
    assert abs(seen - len(labels) / len(counts)).max() <= 1
    for label, count in enumerate(counts):
        photos = np.bincount(order, minlength=len(labels))[labels == label]
        assert photos.max() - photos.min() <= 1, count
