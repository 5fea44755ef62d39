"""The networks that a GPU serves in the check, as archives small enough to be carried to a host without a network.

A GPU computes weights.safetensors alone, so the graphs for a CPU's engines are left out. ResNet-18 has the embedded
weights. The others have random ones of two values per layer, which compress to a thirtieth; their BatchNorm statistics
are those of real photos and their head is trained, so that they tell the classes apart better than chance.
"""

import shutil
import zipfile
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from benchmarks import photos
from benchmarks.measurements import ROOT, WORK
from benchmarks.rounds import code_digest
from handlers.contract import MNN_FILE, ONNX_FILE
from handlers.engines.network import Network, build_network
from handlers.images.preprocessing import load_pixels
from storage import atomic_path
from training.config import TrainConfig
from training.data.dataset import preprocessing_of
from training.evaluation.evaluation import evaluate
from training.export.archive import export_archive
from training.fit.trainer import train

ARCHIVES = WORK / "gpu" / "archives"
SAMPLE = ROOT / "sample_data" / "clothing"
PACKAGES = ("handlers", "training")
EMBEDDED = ("resnet18",)
STATISTICS_PHOTOS = 32


def make_archives(architectures: tuple[str, ...], folder: Path = ARCHIVES) -> list[Path]:
    """Return the archives of 224 px in this folder; made anew where the code in them has changed."""
    return [
        make_archive(name, folder, image_size_px=224, photos_per_class=16) for name in architectures
    ]


def dry_run_archive(folder: Path) -> Path:
    """Return the small archive of a dry run, trained on a few photos."""
    data = photos.make_folder(folder / "data", "366x500", 20)
    return make_archive(
        "resnet18", folder / "archives", data=data, image_size_px=64, photos_per_class=8
    )


def make_archive(
    architecture: str,
    folder: Path,
    *,
    data: Path = SAMPLE,
    image_size_px: int,
    photos_per_class: int,
) -> Path:
    """Return the archive `ARCHITECTURE-1.0.mar` in this folder, with its head trained on these photos."""
    archive, code = folder / f"{architecture}-1.0.mar", code_digest(PACKAGES)
    made_from = folder / f"{architecture}.made-from"
    if archive.exists() and made_from.exists() and made_from.read_text() == code:
        return archive
    run = folder / f"{architecture}-run"
    shutil.rmtree(run, ignore_errors=True)
    run.mkdir(parents=True)
    config = TrainConfig(
        data=data, out=run / "run", architecture=architecture, image_size_px=image_size_px,
        weights="embedded", freeze="backbone", epochs=1, head_epochs=4, learning_rate=0.01,
        photos_per_class=photos_per_class,
    )  # fmt: skip
    if architecture not in EMBEDDED:
        weights = run / "weights.safetensors"
        save_file(two_valued_weights(config), weights)
        config = TrainConfig(**{**vars(config), "weights": str(weights)})
    train(config)
    evaluate(config.out)
    exported = export_archive(
        config.out, name=architecture, version="1.0", model_store=run, cpu_engine="onnx"
    )
    _copy_without_graphs(exported, archive)
    made_from.write_text(code)
    return archive


def two_valued_weights(config: TrainConfig) -> dict[str, torch.Tensor]:
    """Return the state dict of the config's network with weights of ± the standard deviation of He et al. (2015)."""
    torch.manual_seed(0)
    network = build_network(
        architecture=config.architecture, class_count=2, preprocessing=preprocessing_of(config)
    )
    for weight in network.parameters():
        if weight.dim() > 1:
            deviation = (2 / weight[0].numel()) ** 0.5
            signs = torch.randint(2, weight.shape) * 2 - 1
            weight.data = deviation * signs.float()
    _set_statistics(network, config)
    return {
        name: value.contiguous() for name, value in network.backbone_and_head.state_dict().items()
    }


def _set_statistics(network: Network, config: TrainConfig) -> None:
    """Give every BatchNorm the statistics of sample photos."""
    paths = sorted((SAMPLE / "train").glob("*/*.jpg"))
    spec = preprocessing_of(config)
    pixels = [
        torch.from_numpy(load_pixels(path.read_bytes(), spec))
        for path in paths[:: len(paths) // STATISTICS_PHOTOS]
    ]
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None
    with torch.no_grad():
        network.train().logits(torch.stack(pixels[:STATISTICS_PHOTOS]))


def _copy_without_graphs(archive: Path, target: Path) -> None:
    with (
        atomic_path(target) as temporary,
        zipfile.ZipFile(archive) as packed,
        zipfile.ZipFile(temporary, "w") as copy,
    ):
        for member in packed.infolist():
            if member.filename not in (ONNX_FILE, MNN_FILE):
                copy.writestr(member, packed.read(member))


if __name__ == "__main__":
    make_archives(("resnet18", "resnet50", "efficientnet_b0"))
