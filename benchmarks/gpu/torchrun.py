"""One process that torchrun starts trains what a plain one does."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

from safetensors.torch import load_file

from benchmarks import photos
from benchmarks.errors import BenchmarkError
from benchmarks.gpu.context import Context
from benchmarks.gpu.records import Aim, Records
from benchmarks.gpu.step import run_step
from benchmarks.measurements import ROOT

STEP = "torchrun"
PHOTOS = 20
# On a GPU the order of additions, and so the last bits, differ from run to run; after few steps no more than this.
LOSS = Aim(at_most=0.02)
EQUAL = Aim(at_most=0)


def measure(context: Context, records: Records) -> None:
    """Train both at once and record how far apart their losses and weights are."""
    launchers = {
        "plain": [sys.executable],
        "torchrun": [
            sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "1",
        ],
    }  # fmt: skip
    running = {name: start(name, launcher, context) for name, launcher in launchers.items()}
    for name, process in running.items():
        output = process.communicate()[0]
        if process.returncode != 0:
            raise BenchmarkError(f"{name} failed: {output[-1500:]}")
    losses = {name: read_losses(context.out / name) for name in running}
    steps = max(abs(first - second) for first, second in zip(*losses.values(), strict=True))
    records.figure(
        STEP, "largest difference of a loss", steps, "", EQUAL if context.is_dry_run else LOSS
    )
    weights = {name: load_file(context.out / name / "best.safetensors") for name in running}
    plain, other = weights.values()
    difference = max(
        float((plain[name].float() - other[name].float()).abs().max()) for name in plain
    )
    aim = EQUAL if context.is_dry_run else None
    records.figure(STEP, "largest difference of a weight", difference, "", aim)


def start(name: str, launcher: list[str], context: Context) -> subprocess.Popen[str]:
    """Return a training of one epoch into the folder of this name."""
    folder = context.out / name
    data = photos.make_folder(context.out / "data", "366x500", PHOTOS)
    shutil.rmtree(folder, ignore_errors=True)
    command = [
        *launcher, "-m", "headswap", "train", "--data", str(data), "--out", str(folder), "--architecture", "resnet18",
        "--weights", "none", "--freeze", "none", "--epochs", "1", "--image-size-px", "32",
        "--device", context.device,
    ]  # fmt: skip
    if context.device == "cpu":
        # In bfloat16 a CPU without its instructions would compute for minutes.
        command += ["--precision", "float32"]
    return subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def read_losses(folder: Path) -> list[float]:
    """Return the training and validation losses of each epoch."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [line[name] for line in lines for name in ("train_loss", "val_loss")]


if __name__ == "__main__":
    run_step(measure)
