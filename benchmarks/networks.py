"""One fine-tuned network in every form a candidate needs: an archive, an ONNX file, the stock handler's files."""

import json
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.errors import BenchmarkError
from benchmarks.measurements import ROOT
from benchmarks.rounds import code_digest

SAMPLE = ROOT / "sample_data" / "clothing"
HEADSWAP = Path(sys.executable).with_name("headswap")
# The packages whose code decides what an archive contains.
PACKAGES = ("handlers", "training")
EMBEDDED = ("resnet18", "efficientnet_lite0")
# The same weights in torchvision's network, as the stock handler needs it: one class in a file of its own.
MODEL_FILE = """import torch
import torchvision


class Network(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.network = torchvision.models.get_model("{architecture}", num_classes={class_count})

    def forward(self, batch):
        return self.network(batch)
"""


@dataclass(frozen=True, kw_only=True)
class Network:
    architecture: str
    folder: Path
    """Contains model.onnx and, for the stock handler, model.pt, model.py and index_to_name.json."""
    archive: Path


def prepare(architecture: str, work: Path) -> Network:
    """Return the network; the first call trains it for one epoch, because its speed does not depend on its accuracy."""
    folder = work / architecture
    archive = folder / f"{architecture}-1.0.mar"
    if not (folder / "run" / "evaluation.json").exists():
        # Nothing is downloaded: an embedded backbone stays frozen, any other network starts from scratch.
        weights, freeze = ("embedded", "backbone") if architecture in EMBEDDED else ("none", "none")
        # An interrupted call may have left an incomplete run.
        shutil.rmtree(folder / "run", ignore_errors=True)
        _headswap(
            "train", "--data", SAMPLE, "--out", folder / "run", "--architecture", architecture,
            "--weights", weights, "--freeze", freeze, "--epochs", "1", "--head-epochs", "1",
            "--photos-per-class", "4",
        )  # fmt: skip
        _headswap("evaluate", folder / "run")
    # The archive contains the handler's code, which may have changed since.
    code, exported_from = code_digest(PACKAGES), folder / "exported-from"
    if not exported_from.exists() or exported_from.read_text() != code:
        _headswap(
            "export", folder / "run", "--name", architecture, "--version", "1.0",
            "--model-store", folder, "--overwrite",
        )  # fmt: skip
        shutil.rmtree(archive.with_suffix(""), ignore_errors=True)
        unpack(architecture, folder, archive)
        exported_from.write_text(code)
    return Network(architecture=architecture, folder=folder, archive=archive)


def _headswap(*argv: str | Path) -> None:
    done = subprocess.run([HEADSWAP, *map(str, argv)], capture_output=True, text=True, cwd=ROOT)
    if done.returncode != 0:
        raise BenchmarkError(f"headswap {argv[0]} failed: {done.stderr.strip()[-500:]}")


def unpack(architecture: str, folder: Path, archive: Path) -> None:
    """Write what the peers need of the archive into the folder: as in `Network`, model.onnx if the archive has one."""
    import torch
    from safetensors.torch import load

    with zipfile.ZipFile(archive) as packed:
        if "model.onnx" in packed.namelist():
            (folder / "model.onnx").write_bytes(packed.read("model.onnx"))
        weights = load(packed.read("weights.safetensors"))
        class_names = json.loads(packed.read("model_card.json"))["class_names"]
    torch.save({f"network.{name}": value for name, value in weights.items()}, folder / "model.pt")
    text = MODEL_FILE.format(architecture=architecture, class_count=len(class_names))
    (folder / "model.py").write_text(text)
    names = {str(index): name for index, name in enumerate(class_names)}
    (folder / "index_to_name.json").write_text(json.dumps(names))
