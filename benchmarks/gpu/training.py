"""Photos per second of training and how busy it keeps the GPU, with and without --compile.

The ceiling is the same step on one batch that already lies on the GPU: no photos are decoded or copied for it. Training
at 0.9 of it keeps the GPU busy for 0.9 of the time.
"""

import time
from collections.abc import Callable
from dataclasses import replace

import torch

from benchmarks import photos
from benchmarks.gpu.context import Context
from benchmarks.gpu.monitor import GpuMonitor
from benchmarks.gpu.profiling import profile_top
from benchmarks.gpu.records import Aim, Records
from benchmarks.gpu.step import run_step
from training.config import TrainConfig
from training.data.photo_set import PhotoSet
from training.data.photos import read_photos
from training.distributed import ProcessGroup
from training.fit.trainer import Trainer

STEP = "training"
DIFFERENT_PHOTOS = 128
DRY_RUN_PHOTOS = 16
BUSY = Aim(at_least=0.9)


def measure(context: Context, records: Records) -> None:
    """Record both; without --compile first, since compiling takes most of a minute."""
    photo_set = training_photos(context)
    for compiled in (False, True):
        if compiled and context.is_dry_run:
            # tests/integration/training/test_compiled.py compiles on a CPU.
            break
        measure_training(context, records, photo_set, compiled=compiled)


def training_photos(context: Context) -> PhotoSet:
    """Return the photos of an epoch, each of a few photos of 366x500 many times over."""
    different = DRY_RUN_PHOTOS if context.is_dry_run else DIFFERENT_PHOTOS
    folder = photos.make_folder(context.out / "training", "366x500", different)
    read = read_photos(folder)
    trained = read.of("train")
    repeats = context.sizes.training_photos // len(trained)
    others = tuple(photo for photo in read.photos if photo.split != "train")
    return replace(read, photos=trained * repeats + others)


def measure_training(
    context: Context, records: Records, photo_set: PhotoSet, *, compiled: bool
) -> None:
    """Record photos/s, the ceiling, their ratio and the GPU's busy share; profile what falls short."""
    sizes = context.sizes
    config = TrainConfig(
        data=photo_set.folder, architecture=sizes.training_architecture, weights="none", head_epochs=0,
        epochs=2, image_size_px=sizes.training_image_px, batch_size=sizes.training_batch, compile=compiled,
        precision="bfloat16" if context.device == "cuda" else "float32",
    )  # fmt: skip
    trainer = Trainer(config, photo_set, ProcessGroup(device=context.torch_device))
    count = len(photo_set.of("train"))
    name = f"{sizes.training_architecture}, {str(trainer.dtype)[6:]}" + (
        ", compiled" if compiled else ""
    )
    warm_up_s = seconds_of(context, lambda: trainer.train_epoch(0))
    records.figure(STEP, f"{name}: first epoch, decoding and warm-up in it", warm_up_s, "s")
    with GpuMonitor() as gpu:
        speed = count / seconds_of(context, lambda: trainer.train_epoch(1))
    records.figure(STEP, f"{name}: training", speed, "photos/s")
    if "sm" in gpu.means:
        records.figure(STEP, f"{name}: GPU busy, nvidia-smi", gpu.means["sm"], "%")
    step = step_on_device(context, trainer)
    steps = max(1, count // sizes.training_batch)
    step()
    ceiling_s = seconds_of(context, lambda: [step() for _ in range(steps)])
    ceiling = steps * sizes.training_batch / ceiling_s
    records.figure(STEP, f"{name}: ceiling, photos already on the device", ceiling, "photos/s")
    if not records.figure(STEP, f"{name}: share of the ceiling", speed / ceiling, "", BUSY):
        trained = profile_top(context, lambda: trainer.train_epoch(1), times=1)
        records.text(STEP, f"{name}: profile of an epoch", trained)


def step_on_device(context: Context, trainer: Trainer) -> Callable[[], torch.Tensor]:
    """Return a training step on a batch that lies on the device."""
    sizes = context.sizes
    side = sizes.training_image_px
    pixels = torch.randint(256, (sizes.training_batch, side, side, 3), dtype=torch.uint8)
    labels = torch.randint(trainer.head.out_features, (sizes.training_batch,))
    batch = pixels.to(context.torch_device), labels.to(context.torch_device)
    return lambda: trainer.step(batch, epoch=1)


def seconds_of(context: Context, work: Callable[[], object]) -> float:
    """Return how long the work takes, the device's part included."""
    began = time.perf_counter()
    work()
    if context.device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - began


if __name__ == "__main__":
    run_step(measure)
