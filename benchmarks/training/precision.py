"""Time of a training step on this CPU in float32 and in bfloat16, which `--precision auto` chooses between.

    python -m benchmarks.training.precision

The formats take turns, because the machine may do other work, and the fastest of a few steps of each counts. Prints one
line per network.
"""

import sys
import time
from pathlib import Path

import torch
from torch.nn import functional

from handlers.engines.network import build_network
from training.config import TrainConfig
from training.data.dataset import preprocessing_of
from training.fit.cpu import keep_freed_memory
from training.fit.freezing import backbone_blocks, set_trainable
from training.fit.optimizer import make_optimizer
from training.fit.precision import cpu_has_bfloat16, make_autocast

ARCHITECTURES = ("efficientnet_lite0", "efficientnet_lite1", "resnet18")
FORMATS = {"float32": torch.float32, "bfloat16": torch.bfloat16}
IMAGE_SIZE_PX, BATCH_SIZE, CLASSES, STEPS = 160, 32, 10, 4
CPU = torch.device("cpu")


def step_times_ms(architecture: str) -> dict[str, float]:
    """Return the milliseconds a photo takes in a step of the whole network, by format."""
    config = TrainConfig(
        data=Path("photos"),
        architecture=architecture,
        image_size_px=IMAGE_SIZE_PX,
        resize_ratio=1.0,
    )
    network = build_network(
        architecture=architecture, class_count=CLASSES, preprocessing=preprocessing_of(config)
    ).to(memory_format=torch.channels_last)
    set_trainable(network, block_count=len(backbone_blocks(network)), batchnorm_stats="frozen")
    optimizer = make_optimizer(
        network, optimizer="adamw", learning_rate=1e-5, weight_decay=config.weight_decay
    )
    pixels = torch.randint(0, 256, (BATCH_SIZE, IMAGE_SIZE_PX, IMAGE_SIZE_PX, 3), dtype=torch.uint8)
    labels = torch.randint(0, CLASSES, (BATCH_SIZE,))
    times_s: dict[str, list[float]] = {name: [] for name in FORMATS}
    for _ in range(STEPS):
        for name, dtype in FORMATS.items():
            began = time.perf_counter()
            with make_autocast(dtype, CPU):
                loss = functional.cross_entropy(network.logits(pixels), labels)
            optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            optimizer.step()
            times_s[name].append(time.perf_counter() - began)
    return {name: 1000 * min(of_format) / BATCH_SIZE for name, of_format in times_s.items()}


def main() -> int:
    keep_freed_memory()
    if not cpu_has_bfloat16():
        sys.stderr.write("this processor has no instructions for bfloat16\n")
        return 1
    for architecture in ARCHITECTURES:
        times_ms = step_times_ms(architecture)
        ratio = times_ms["bfloat16"] / times_ms["float32"]
        figures = ", ".join(f"{name} {ms:.1f} ms" for name, ms in times_ms.items())
        print(
            f"{architecture}, {IMAGE_SIZE_PX} px, a photo and step: {figures} ({ratio:.1f} times)"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
