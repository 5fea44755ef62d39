"""What all training candidates share: the steps, the clock, and the line of JSON that the benchmark reads."""

import json
import time
from collections.abc import Callable, Iterable

import torch

BATCH_SIZE = 32
SIZE_PX = 224


def time_epochs(epochs: int, train: Callable[[int], int]) -> None:
    """Print the number of photos per epoch and the seconds of each epoch as JSON.

    `train` trains for the epoch of that number, from 0, and returns its number of photos.
    """
    photos, epoch_s = 0, []
    for epoch in range(epochs):
        began = time.perf_counter()
        photos = train(epoch)
        epoch_s.append(time.perf_counter() - began)
    print(json.dumps({"photos": photos, "epoch_s": epoch_s}))


def train_epoch(
    network: torch.nn.Module, optimizer: torch.optim.Optimizer, loader: Iterable[list[torch.Tensor]]
) -> int:
    """Train for one epoch, a step per batch, and return the number of photos."""
    criterion = torch.nn.CrossEntropyLoss()
    network.train()
    seen = 0
    for photos, labels in loader:
        loss = criterion(network(photos), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss.item()
        seen += len(labels)
    return seen
