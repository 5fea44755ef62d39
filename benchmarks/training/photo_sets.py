"""Photo sets to measure accuracy on, of 2 to 10 classes, from packages of Debian and PyPI and the clothing photos.

    python -m benchmarks.training.photo_sets --clothing CLOTHING

Each photo is converted once: RGB on white, shorter side SHORTER_SIDE_PX. A draw is a folder of links, with train/, val/
and test/: test is the same in every draw of a set, train and val are drawn anew by each seed.
"""

import csv
import hashlib
import random
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import tyro
from PIL import Image

from benchmarks.measurements import WORK

FOLDER = WORK / "accuracy"
SHORTER_SIDE_PX = 160
TEST_SHARE, TEST_PER_CLASS_MAX = 0.35, 60
# As in a folder that headswap splits itself, val is a fraction of what is labelled.
VAL_SHARE, VAL_PER_CLASS_MIN = 0.2, 2
DEBIAN_PACKAGES = ("openclipart-png", "tuxpaint-stamps-default")
# Electroluminescence photos of solar cells (Deitsch et al., 2019), CC BY-NC-SA: measured on, not shipped.
PYPI_PACKAGE = "elpv-dataset==1.0.0.post1"

ClassFolders = Mapping[str, tuple[str, ...]]
CLIPART = "usr/share/openclipart/png"
STAMPS = "usr/share/tuxpaint/stamps"
TOPS = ("longsleeve", "outwear", "shirt", "t-shirt")
NO_TOPS = ("dress", "hat", "pants", "shoes", "shorts", "skirt")
DRAWINGS: ClassFolders = {
    "mammals": ("animals/mammals",),
    "birds": ("animals/birds",),
    "bugs": ("animals/bugs",),
    "fruit": ("food/fruit",),
    "beverages": ("food/beverages",),
    "music": ("recreation/music",),
    "clothing": ("people/clothing",),
    "vehicles": ("transportation/vehicles",),
    "homes": ("buildings/homes",),
}
CUTOUTS: ClassFolders = {
    "mammals": ("animals/mammals",),
    "birds": ("animals/birds",),
    "fruit": ("food/fruit",),
    "vegetables": ("food/vegetables",),
    "flowers": ("plants/flowers",),
    "road signs": ("town/roadsigns",),
    "money": ("symbols/money",),
}


@dataclass(frozen=True, kw_only=True)
class Command:
    clothing: Path
    """Folder with train/, val/ and test/, each with a folder per kind of clothing."""
    folder: Path = FOLDER


Photos = Iterator[tuple[str, Path]]


def clothing_photos(folder: Path, class_names: tuple[str, ...]) -> Photos:
    """Yield class and path of the photos of these kinds of clothing, of all splits."""
    for name in class_names:
        yield from ((name, path) for path in sorted(folder.glob(f"*/{name}/*.jpg")))


def pictures(folder: Path, class_folders: ClassFolders) -> Photos:
    """Yield class and path of the PNGs in the folders of each class, drawings for children left out."""
    for name, of_class in class_folders.items():
        paths = [path for part in of_class for path in sorted((folder / part).rglob("*.png"))]
        yield from ((name, path) for path in paths if "cartoon" not in path.parts)


def solar_cells(folder: Path) -> Photos:
    """Yield the cells that are surely functional or surely defective; what is between them is left out."""
    names = {0.0: "functional", 1.0: "defective"}
    with (folder / "labels.csv").open() as file:
        for path, probability, _ in csv.reader(
            (" ".join(line.split()) for line in file), delimiter=" "
        ):
            if float(probability) in names:
                yield names[float(probability)], folder / path


def unpack_packages(folder: Path) -> None:
    """Download and unpack DEBIAN_PACKAGES and PYPI_PACKAGE, what is there already left out."""
    for package in DEBIAN_PACKAGES:
        if not (folder / package).exists():
            with tempfile.TemporaryDirectory(dir=folder) as work:
                subprocess.run(["apt-get", "download", "-q", package], cwd=work, check=True)
                archive = next(Path(work).glob("*.deb"))
                subprocess.run(["dpkg-deb", "-x", archive, Path(work, "files")], check=True)
                Path(work, "files").rename(folder / package)
    if not (folder / "elpv").exists():
        with tempfile.TemporaryDirectory(dir=folder) as work:
            command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", work]
            subprocess.run([*command, PYPI_PACKAGE], check=True)
            with zipfile.ZipFile(next(Path(work).glob("*.whl"))) as wheel:
                wheel.extractall(Path(work, "files"))
            Path(work, "files").rename(folder / "elpv")


def sources(clothing: Path, packages: Path) -> dict[str, Callable[[], Photos]]:
    """Return what yields class and path of the photos of each set."""
    return {
        "clothing": lambda: clothing_photos(clothing, TOPS + NO_TOPS),
        "tops": lambda: clothing_photos(clothing, TOPS),
        "other clothing": lambda: clothing_photos(clothing, NO_TOPS),
        "drawings": lambda: pictures(packages / "openclipart-png" / CLIPART, DRAWINGS),
        "cut-outs": lambda: pictures(packages / "tuxpaint-stamps-default" / STAMPS, CUTOUTS),
        "solar cells": lambda: solar_cells(packages / "elpv" / "elpv_dataset" / "data"),
    }


def convert(photos: Photos, folder: Path) -> None:
    """Write each photo to `folder`/CLASS/SHA256.jpg, where it is not there yet; of equal files one is kept."""
    seen = set()
    for class_name, path in photos:
        content = path.read_bytes()
        digest = hashlib.sha256(content).hexdigest()[:20]
        target = folder / class_name / f"{digest}.jpg"
        if digest in seen or target.exists():
            continue
        seen.add(digest)
        target.parent.mkdir(parents=True, exist_ok=True)
        image = Image.open(path).convert("RGBA")
        scale = SHORTER_SIDE_PX / min(image.size)
        size_px = (round(image.width * scale), round(image.height * scale))
        image = image.resize(size_px, Image.Resampling.BICUBIC)
        white = Image.new("RGBA", image.size, "white")
        Image.alpha_composite(white, image).convert("RGB").save(target, quality=95)


def draw(name: str, *, photos_per_class: int, seed: int, folder: Path = FOLDER) -> Path:
    """Return the folder of a draw with this many train photos of each class; 0 takes all that are not test's or val's.

    Raises:
        ValueError: the set is not there, or a class has too few photos.
    """
    target = folder / "draws" / f"{name}-{photos_per_class}-{seed}".replace(" ", "-")
    if target.exists():
        return target
    class_folders = sorted((folder / "photos" / name).glob("*"))
    if not class_folders:
        raise ValueError(f"there is no set {name!r}; run python -m benchmarks.training.photo_sets")
    part = target.with_name(f".{target.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    for class_folder in class_folders:
        for split, paths in _split(class_folder, photos_per_class, seed).items():
            (part / split / class_folder.name).mkdir(parents=True)
            for path in paths:
                (part / split / class_folder.name / path.name).symlink_to(path.resolve())
    part.rename(target)
    return target


def _split(class_folder: Path, photos_per_class: int, seed: int) -> dict[str, list[Path]]:
    # By their sha256: a random order that no seed changes.
    paths = sorted(class_folder.glob("*.jpg"))
    test_count = min(TEST_PER_CLASS_MAX, int(TEST_SHARE * len(paths)))
    test, pool = paths[:test_count], paths[test_count:]
    random.Random(f"{class_folder.name} {seed}").shuffle(pool)
    labelled = round(photos_per_class * (1 + VAL_SHARE)) if photos_per_class else len(pool)
    val_count = max(VAL_PER_CLASS_MIN, round(labelled * VAL_SHARE / (1 + VAL_SHARE)))
    train_count = photos_per_class or len(pool) - val_count
    if train_count + val_count > len(pool):
        raise ValueError(
            f"{class_folder} has {len(pool)} photos beside test; {train_count} + {val_count} are needed."
        )
    end = val_count + train_count
    return {"test": test, "val": pool[:val_count], "train": pool[val_count:end]}


def main() -> int:
    command = tyro.cli(Command, description=__doc__)
    packages = command.folder / "packages"
    packages.mkdir(parents=True, exist_ok=True)
    unpack_packages(packages)
    for name, photos in sources(command.clothing, packages).items():
        convert(photos(), command.folder / "photos" / name)
        counts = {
            path.name: len(list(path.glob("*.jpg")))
            for path in sorted((command.folder / "photos" / name).glob("*"))
        }
        sys.stderr.write(f"{name}: {counts}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
