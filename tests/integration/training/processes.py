"""What two processes compute together, compared with what one computes alone; run by test_distributed.py.

RANK=0 WORLD_SIZE=2 ... python processes.py
"""

import os
import signal
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from training.config import TrainConfig
from training.data.photos import Photo, PhotoSet, Split
from training.distributed import SINGLE_PROCESS, ProcessGroup, init_process_group
from training.errors import DataError, RankZeroFailedError, TrainingError
from training.fit.batchnorm import freeze_batchnorm_stats, with_local_batch_min
from training.fit.pseudo_labels import label_photos

PHOTOS = torch.randn(5, 3, 6, 6, generator=torch.Generator().manual_seed(0))
LABELS = torch.tensor([0, 1, 2, 0, 1])


def make_network() -> nn.Sequential:
    torch.manual_seed(1)
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 4, 3), nn.BatchNorm2d(4, momentum=None),
        nn.Flatten(), nn.Linear(16, 3),
    )  # fmt: skip
    return network.to(memory_format=torch.channels_last)


def backward(network: nn.Module, part: slice, photo_count: int) -> None:
    """Add the gradients of a part of a batch's mean loss."""
    forward = with_local_batch_min(network, network)
    loss = nn.functional.cross_entropy(forward(PHOTOS[part]), LABELS[part], reduction="sum")
    (loss / photo_count).backward()


def step(network: nn.Module, group: ProcessGroup, photo_count: int) -> None:
    network.zero_grad()
    backward(network, group.shard_of_batch(0, photo_count), photo_count)
    group.sum_gradients(network.parameters())


def assert_same_gradients(network: nn.Module, other: nn.Module) -> None:
    for (name, one), two in zip(network.named_parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(one.grad, two.grad, msg=lambda m, name=name: f"{name}: {m}")


def step_with_frozen_statistics_is_that_of_one_process(group: ProcessGroup) -> None:
    alone, together = make_network(), make_network()
    for network in (alone, together):
        freeze_batchnorm_stats(network)
    if not group.is_rank_zero:
        nn.init.zeros_(together[0].weight)
    group.broadcast(together.state_dict().values())
    # The last batch has a photo for one process alone.
    for photo_count in (5, 5, 1):
        step(alone, SINGLE_PROCESS, photo_count)
        step(together, group, photo_count)
        assert_same_gradients(alone, together)
    for name, tensor in alone.state_dict().items():
        torch.testing.assert_close(tensor, together.state_dict()[name])


def trained_statistics_are_each_process_s_own(group: ProcessGroup) -> None:
    shards = [slice(rank, 5, group.world_size) for rank in range(group.world_size)]
    alone, together = make_network(), make_network()
    step(together, group, 5)
    # As in gradient accumulation: each part is normalised by its own photos.
    for shard in shards:
        backward(alone, shard, 5)
    assert_same_gradients(alone, together)
    # The running statistics are those of this process's photos, until process 0's are broadcast.
    for rank, shard in enumerate(shards):
        expected = make_network()
        expected(PHOTOS[shard])
        if rank == group.rank:
            assert_same_buffers(expected, together)
        if rank == 0:
            of_rank_zero = expected
    group.broadcast(together.buffers())
    assert_same_buffers(of_rank_zero, together)


def assert_same_buffers(network: nn.Module, other: nn.Module) -> None:
    for one, two in zip(network.buffers(), other.buffers(), strict=True):
        torch.testing.assert_close(one, two)


def one_photo_or_none_leaves_trained_statistics_alone(group: ProcessGroup) -> None:
    network = make_network()
    step(network, group, 1)
    assert_same_buffers(network, make_network())
    assert all(layer.training for layer in network.modules())
    assert all(parameter.grad.isfinite().all() for parameter in network.parameters())


def parts_make_the_whole(group: ProcessGroup) -> None:
    rows = torch.arange(10.0).reshape(5, 2)
    assert torch.equal(group.gather(group.shard(rows), 5), rows)
    assert group.sum(1.5, group.rank) == [3.0, 1.0]
    assert torch.equal(group.sum_tensor(rows[group.rank]), rows[0] + rows[1])
    assert group.on_rank_zero(lambda: ("result", os.getpid()))[0] == "result"


def pseudo_labels_are_those_of_one_process(group: ProcessGroup) -> None:
    with tempfile.TemporaryDirectory() as folder:
        photos = make_photo_set(Path(folder))
        config = TrainConfig(
            data=Path(folder), architecture="resnet18", weights="embedded", image_size_px=32
        )
        alone, together = (label_photos(config, photos, of) for of in (SINGLE_PROCESS, group))
    one, two = alone.pseudo_labels, together.pseudo_labels
    torch.testing.assert_close(one.probabilities, two.probabilities, rtol=1e-2, atol=1e-3)
    assert torch.equal(one.is_used, two.is_used)
    torch.testing.assert_close(alone.features, together.features, rtol=1e-3, atol=1e-4)


def make_photo_set(folder: Path) -> PhotoSet:
    """Write noisy photos of two colours, and return the same set in every process."""
    generator = np.random.default_rng(3)
    photos: dict[str, list[Photo]] = {"train": [], "val": [], "unlabeled": []}
    for split, count in (("train", 3), ("val", 3), ("unlabeled", 7)):
        for label, colour in enumerate(((60, 60, 190), (190, 60, 60))):
            for number in range(count):
                noise = generator.integers(-60, 60, (40, 40, 3))
                path = folder / f"{split}-{label}-{number}.png"
                Image.fromarray((np.array(colour) + noise).astype(np.uint8)).save(path)
                in_split: Split = "val" if split == "val" else "train"
                photos[split].append(Photo(path=path, label=label, split=in_split, sha256=""))
    return PhotoSet(
        folder=folder,
        class_names=("blue", "red"),
        photos=(*photos["train"], *photos["val"]),
        unlabeled=tuple(photos["unlabeled"]),
    )


def failure_of_process_0_ends_all(group: ProcessGroup) -> None:
    def fail() -> None:
        raise DataError("no photos")

    expected = DataError if group.is_rank_zero else RankZeroFailedError
    with pytest.raises(expected) as caught:
        group.on_rank_zero(fail)
    assert caught.value.exit_code == DataError.exit_code


def lost_process_is_an_error(group: ProcessGroup) -> None:
    group.sum(1.0)
    if not group.is_rank_zero:
        os.kill(os.getpid(), signal.SIGKILL)
    group.sum(1.0)


CASES = (
    step_with_frozen_statistics_is_that_of_one_process,
    trained_statistics_are_each_process_s_own,
    one_photo_or_none_leaves_trained_statistics_alone,
    parts_make_the_whole,
    pseudo_labels_are_those_of_one_process,
    failure_of_process_0_ends_all,
)


def main() -> int:
    try:
        with init_process_group("cpu") as group:
            for case in CASES:
                case(group)
                print(f"{case.__name__}: done", flush=True)
            lost_process_is_an_error(group)
    except TrainingError as error:
        print(f"{type(error).__name__}: {error}")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
