"""--compile changes how long a step takes, not what it computes."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional

from handlers.network import Network
from handlers.preprocessing import PreprocessingSpec
from training.compiling import compiled

# The last batch of an epoch is smaller: another size is compiled on the way.
BATCH_SIZES = (8, 8, 5, 8)


def losses(prepare: Callable[[Network], Callable[[torch.Tensor], torch.Tensor]]) -> list[float]:
    """Return the losses of a few steps of a small network, its forward pass as `prepare` makes it."""
    torch.manual_seed(0)
    classifier = nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, bias=False), nn.BatchNorm2d(8), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3),
    )  # fmt: skip
    network = Network(classifier, preprocessing=PreprocessingSpec(image_size_px=16)).train()
    network.to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.5)
    forward, found = prepare(network), []
    for size in BATCH_SIZES:
        pixels = torch.randint(0, 256, (size, 16, 16, 3), dtype=torch.uint8)
        loss = functional.cross_entropy(forward(pixels), torch.arange(size) % 3)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        found.append(loss.item())
    return found


@pytest.mark.skipif(
    shutil.which(os.environ.get("CXX", "g++")) is None, reason="no compiler to compile with"
)
def test_a_compiled_network_learns_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    plain = losses(lambda network: network.logits)
    assert losses(lambda network: compiled(network.logits)) == pytest.approx(plain, rel=1e-4)
    assert list(tmp_path.rglob("*.so")), "nothing was compiled"
