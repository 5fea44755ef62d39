"""torchvision's labelled datasets by name: downloaded once, then a folder of class folders like any other.

Photos that torchvision keeps in arrays are written as PNG; files in a format we read are linked to. So the report, the
probes and the duplicate search work on files for every dataset.
"""

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from training.errors import DataError, DownloadError

Arguments = Mapping[str, Any]
_BY_FLAG = {"train": {"train": True}, "test": {"train": False}}
_TWO: dict[str, Arguments] = {"train": {"split": "train"}, "test": {"split": "test"}}
_THREE: dict[str, Arguments] = {**_TWO, "val": {"split": "val"}}
# Which part of torchvision's dataset serves as which split; a missing split is taken from train.
PARTS: dict[str, Mapping[str, Arguments]] = {
    "STL10": _TWO,
    "CIFAR10": _BY_FLAG,
    "CIFAR100": _BY_FLAG,
    "MNIST": _BY_FLAG,
    "FashionMNIST": _BY_FLAG,
    "KMNIST": _BY_FLAG,
    "USPS": _BY_FLAG,
    "SEMEION": {"train": {}},
    "SVHN": _TWO,
    "Flowers102": _THREE,
    "DTD": _THREE,
    "FGVCAircraft": _THREE,
    "Country211": {**_TWO, "val": {"split": "valid"}},
    "OxfordIIITPet": {"train": {"split": "trainval"}, "test": {"split": "test"}},
    "Food101": _TWO,
    "GTSRB": _TWO,
    "RenderedSST2": _THREE,
    "Caltech101": {"train": {}},
    "Caltech256": {"train": {}},
    "SUN397": {"train": {}},
    "EuroSAT": {"train": {}},
    # Its second part is called val, but papers report on it.
    "Imagenette": {"train": {"split": "train"}, "test": {"split": "val"}},
}
FOLD_COUNT = 10
# Where torchvision looks for a downloaded archive, if not in the datasets folder itself.
ARCHIVE_FOLDERS = {"DTD": "dtd"}
# Files with these suffixes are written as PNG rather than linked to; GTSRB has them.
CONVERTED_SUFFIXES = {".ppm"}


@dataclass(frozen=True, kw_only=True)
class NamedDataset:
    name: str
    """As torchvision spells it."""
    fold: int | None = None
    """One of STL-10's ten folds of 1,000 training photos, 0 to 9."""

    @property
    def folder_name(self) -> str:
        """Return the name of the folder it is unpacked to."""
        return self.name.lower() + ("" if self.fold is None else f"-fold{self.fold}")


def find_dataset(text: str) -> NamedDataset | None:
    """Return the dataset that `stl10`, `stl10:3` (a fold) or `CIFAR10` names, in any case; None if there is none.

    Raises:
        DataError: the fold does not exist, or the dataset has no folds.
    """
    wanted, colon, fold = text.partition(":")
    name = next((known for known in PARTS if known.lower() == wanted.lower()), None)
    if name is None or not colon:
        return None if name is None else NamedDataset(name=name)
    if name != "STL10" or not fold.isdecimal() or int(fold) >= FOLD_COUNT:
        raise DataError(f"--data {text!r} names an unknown fold; give one of stl10:0 to stl10:9.")
    return NamedDataset(name=name, fold=int(fold))


def datasets_folder() -> Path:
    """Return the folder of downloads and unpacked photos: $HEADSWAP_DATASETS, or one in the user's cache."""
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(os.environ.get("HEADSWAP_DATASETS") or f"{cache}/headswap/datasets").expanduser()


def unpack_dataset(dataset: NamedDataset, *, root: Path | None = None) -> Path:
    """Return the folder with the dataset's photos, `{train,val,test}/CLASS/`; download missing files.

    Raises:
        DownloadError: its files are missing and could not be fetched; says where to put them.
    """
    root = root or datasets_folder()

    def write(stage: Path) -> None:
        for split, arguments in PARTS[dataset.name].items():
            if dataset.fold is not None and split == "train":
                arguments = {**arguments, "folds": dataset.fold}
            _write_classes(_open(dataset.name, root, arguments), stage / split)

    return _fill_once(root / "photos" / dataset.folder_name, write)


def unpack_unlabeled_stl10(*, root: Path | None = None) -> Path:
    """Return a folder with STL-10's 100,000 unlabeled photos as PNG, about 2 GB.

    Raises:
        DownloadError: as `unpack_dataset`.
    """
    root = root or datasets_folder()

    def write(stage: Path) -> None:
        for number, (image, _) in enumerate(_open("STL10", root, {"split": "unlabeled"})):
            image.save(stage / f"{number:06d}.png")

    return _fill_once(root / "photos" / "stl10-unlabeled", write)


def _fill_once(target: Path, write: Callable[[Path], None]) -> Path:
    """Return the folder, filled by `write` unless it exists; filled under a temporary name and renamed when complete.

    If two processes fill it at the same time, the first to finish wins; both wrote the same.
    """
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".unpack-", dir=target.parent) as work:
        stage = Path(work) / "stage"
        stage.mkdir()
        write(stage)
        try:
            stage.rename(target)
        except OSError:
            if not target.exists():
                raise
    return target


def _open(name: str, root: Path, arguments: Arguments) -> Any:
    from torchvision import datasets

    kind = getattr(datasets, name)
    root.mkdir(parents=True, exist_ok=True)
    try:
        return kind(root, download=True, **arguments)
    # torchvision and urllib raise half a dozen exception classes when a host does not answer properly.
    except (OSError, RuntimeError, ValueError) as error:
        reason = " ".join(str(getattr(error, "reason", None) or error).split())[:200]
        raise DownloadError(
            f"{name} could not be downloaded ({reason}). {_where_to_put(kind, name, root)}"
        ) from None


def _where_to_put(kind: Any, name: str, root: Path) -> str:
    url = getattr(kind, "url", None) or getattr(kind, "_URL", None)
    if isinstance(url, str):
        folder = root.resolve() / ARCHIVE_FOLDERS.get(name, "")
        return f"Download {url} on another machine, put it into {folder}, then start again."
    return (
        f"Download it on another machine with torchvision.datasets.{name}(FOLDER, download=True), copy the "
        f"contents of FOLDER into {root.resolve()}, then start again."
    )


def _write_classes(dataset: Any, folder: Path) -> None:
    names = _class_names(dataset)
    for number, (source, label) in enumerate(_photos(dataset)):
        class_folder = folder / (names[label] if names else f"{label:03d}")
        class_folder.mkdir(parents=True, exist_ok=True)
        if isinstance(source, Image.Image):
            source.save(class_folder / f"{number:06d}.png")
        else:
            (class_folder / f"{number:06d}{source.suffix}").symlink_to(source.resolve())


def _class_names(dataset: Any) -> list[str]:
    """Return class names usable in a path; of several synonyms, as in Imagenette, the first."""
    known = getattr(dataset, "classes", None) or getattr(dataset, "categories", [])
    names = [name if isinstance(name, str) else name[0] for name in known]
    return [name.replace("/", "_").strip(". ") for name in names]


def _photos(dataset: Any) -> Iterator[tuple[Path | Image.Image, int]]:
    """Yield each photo's file if there is one in a format we read, else its pixels; and its label."""
    for source, label in _labelled(dataset):
        if isinstance(source, Path) and source.suffix.lower() in CONVERTED_SUFFIXES:
            yield Image.open(source), label
        else:
            yield source, label


def _labelled(dataset: Any) -> Iterator[tuple[Path | Image.Image, int]]:
    for attribute in ("samples", "_samples"):
        if hasattr(dataset, attribute):
            yield from ((Path(path), int(label)) for path, label in getattr(dataset, attribute))
            return
    for attribute in ("_image_files", "_images"):
        if hasattr(dataset, attribute) and hasattr(dataset, "_labels"):
            paths = [Path(path) for path in getattr(dataset, attribute)]
            yield from zip(paths, map(int, dataset._labels), strict=True)
            return
    for index in range(len(dataset)):
        image, label = dataset[index]
        # The image is opened but not yet read, so closing it and keeping its path costs nothing.
        if path := getattr(image, "filename", ""):
            image.close()
        yield (Path(path) if path else image), int(label)
