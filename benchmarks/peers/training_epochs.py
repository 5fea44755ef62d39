"""What the training peers do alike: their steps, the clock, and the line of JSON that the benchmark reads."""

import json
import time
from collections.abc import Callable, Iterable

import torch

BATCH_SIZE = 32
SIZE_PX = 224


def tell_epochs(epochs: int, learn: Callable[[int], int]) -> None:
    """Print how many photos an epoch has and the seconds of each.

    `learn` goes through the epoch of that number, from 0, and returns how many photos it had.
    """
    photos, epoch_s = 0, []
    for epoch in range(epochs):
        began = time.perf_counter()
        photos = learn(epoch)
        epoch_s.append(time.perf_counter() - began)
    print(json.dumps({"photos": photos, "epoch_s": epoch_s}))


def take_steps(
    network: torch.nn.Module, optimizer: torch.optim.Optimizer, loader: Iterable[list[torch.Tensor]]
) -> int:
    """Go through the loader once, a step a batch, and return how many photos it had."""
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
