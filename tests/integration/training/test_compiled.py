"""--compile changes how long a step takes and not what it computes; what it lacks is reported before a run begins."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional

from handlers.engines.network import Network
from handlers.images.preprocessing import PreprocessingSpec
from training.fit.compiling import compile_forward

# The last batch of an epoch is smaller: another size is compiled on the way.
BATCH_SIZES = (8, 8, 5, 8)
CPU = torch.device("cpu")


def losses_of(prepare: Callable[[Network], Callable[[torch.Tensor], torch.Tensor]]) -> list[float]:
    """Return the losses of a few steps of a small network, its forward pass as `prepare` makes it."""
    torch.manual_seed(0)
    classifier = nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, bias=False), nn.BatchNorm2d(8), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3),
    )  # fmt: skip
    network = Network(classifier, preprocessing=PreprocessingSpec(image_size_px=16)).train()
    network.to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.5)
    forward, losses = prepare(network), []
    for size in BATCH_SIZES:
        pixels = torch.randint(0, 256, (size, 16, 16, 3), dtype=torch.uint8)
        loss = functional.cross_entropy(forward(pixels), torch.arange(size) % 3)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        losses.append(loss.item())
    return losses


@pytest.mark.skipif(shutil.which(os.environ.get("CXX", "g++")) is None, reason="no C++ compiler")
def test_a_compiled_network_is_trained_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    plain = losses_of(lambda network: network.logits)
    assert losses_of(lambda network: compile_forward(network.logits, CPU)) == pytest.approx(
        plain, rel=1e-4
    )
    assert list(tmp_path.rglob("*.so")), "nothing was compiled"


# Prints its version, and fails as on a host without Python's headers.
BROKEN_COMPILER = """#!/bin/sh
case "$*" in *--version*) echo g++ 12; exit 0;; esac
echo 'a.cpp:1: fatal error: Python.h: No such file or directory' >&2
exit 1
"""


def test_a_broken_compiler_is_reported_in_one_line(small_photos: Path, tmp_path: Path) -> None:
    compiler, run = tmp_path / "g++", tmp_path / "run"
    compiler.write_text(BROKEN_COMPILER)
    compiler.chmod(0o755)
    # In a process of its own: what this one has compiled before is cached.
    process = subprocess.run(
        [
            sys.executable, "-m", "headswap", "train", "--compile", "--data", small_photos, "--out", run,
            "--architecture", "resnet18", "--weights", "none", "--device", "cpu",
        ],
        env={**os.environ, "CXX": str(compiler), "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "cache")},
        capture_output=True, text=True, cwd=Path(__file__).parents[3],
    )  # fmt: skip
    assert process.returncode == 2
    assert "Traceback" not in process.stderr
    # PyTorch may have logged something before it.
    message = process.stderr.splitlines()[-1]
    for part in ("--compile", "Python.h", "leave --compile out"):
        assert part in message
    assert not run.exists()
