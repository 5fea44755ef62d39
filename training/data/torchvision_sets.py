"""torchvision's labelled datasets by name: fetched once, then a folder of class folders like any other.

What torchvision keeps as arrays is written as PNG, what it keeps as files of a format we read is linked to.
So the report, the probes and the search for duplicates see files, whatever the photos came from.
"""

import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from training.errors import DataError, DownloadError

Arguments = Mapping[str, Any]
_BY_FLAG = {"train": {"train": True}, "test": {"train": False}}
_TWO: dict[str, Arguments] = {"train": {"split": "train"}, "test": {"split": "test"}}
_THREE: dict[str, Arguments] = {**_TWO, "val": {"split": "val"}}
# Which of torchvision's parts serves as which split; a split that is missing is cut from train.
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
    # Its second part is called val and is what papers report on.
    "Imagenette": {"train": {"split": "train"}, "test": {"split": "val"}},
}
FOLD_COUNT = 10
# Where torchvision looks for an archive before it fetches it, if not in the datasets' folder itself.
ARCHIVE_FOLDERS = {"DTD": "dtd"}
# Of files that are written as PNG rather than linked to: GTSRB's.
CONVERTED_SUFFIXES = {".ppm"}


@dataclass(frozen=True, kw_only=True)
class NamedDataset:
    name: str
    """As torchvision spells it."""
    fold: int | None = None
    """Of STL-10's ten folds of 1,000 photos to train on, 0 to 9."""

    @property
    def folder_name(self) -> str:
        return self.name.lower() + ("" if self.fold is None else f"-fold{self.fold}")


def find_dataset(words: str) -> NamedDataset | None:
    """Return what `stl10`, `stl10:3` (a fold) or `CIFAR10` names, in any case; None if nothing.

    Raises:
        DataError: there is no such fold, or the dataset has none.
    """
    name, colon, fold = words.partition(":")
    found = next((one for one in PARTS if one.lower() == name.lower()), None)
    if found is None or not colon:
        return None if found is None else NamedDataset(name=found)
    if found != "STL10" or not fold.isdecimal() or int(fold) >= FOLD_COUNT:
        raise DataError(f"--data {words!r} names no fold; there are stl10:0 to stl10:9.")
    return NamedDataset(name=found, fold=int(fold))


def datasets_folder() -> Path:
    """Return where downloads and unpacked photos lie: $HEADSWAP_DATASETS, or in the user's cache."""
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(os.environ.get("HEADSWAP_DATASETS") or f"{cache}/headswap/datasets").expanduser()


def unpack_dataset(dataset: NamedDataset, *, root: Path | None = None) -> Path:
    """Return the folder with the dataset's photos, `{train,val,test}/CLASS/`; download what is missing.

    Raises:
        DownloadError: its files are not here and could not be fetched; says where to put them.
    """
    root = root or datasets_folder()

    def write(stage: Path) -> None:
        for split, arguments in PARTS[dataset.name].items():
            if dataset.fold is not None and split == "train":
                arguments = {**arguments, "folds": dataset.fold}
            _write_classes(_open(dataset.name, root, arguments), stage / split)

    return _once(root / "photos" / dataset.folder_name, write)


def unpack_unlabeled_stl10(*, root: Path | None = None) -> Path:
    """Return a folder with STL-10's 100,000 photos without labels, as PNG: about 2 GB.

    Raises:
        DownloadError: as unpack_dataset.
    """
    root = root or datasets_folder()

    def write(stage: Path) -> None:
        for number, (image, _) in enumerate(_open("STL10", root, {"split": "unlabeled"})):
            image.save(stage / f"{number:06d}.png")

    return _once(root / "photos" / "stl10-unlabeled", write)


def _once(target: Path, write: Any) -> Path:
    """Fill the folder unless it is there; beside and renamed, so that half of it is never taken for all.

    Of two that fill it at the same time, the first to end wins: both wrote the same.
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
    # torchvision and urllib raise half a dozen classes for a host that does not answer rightly.
    except (OSError, RuntimeError, ValueError) as error:
        reason = " ".join(str(getattr(error, "reason", None) or error).split())[:200]
        raise DownloadError(
            f"{name} could not be downloaded ({reason}). {_where_to_put(kind, name, root)}"
        ) from None


def _where_to_put(kind: Any, name: str, root: Path) -> str:
    url = getattr(kind, "url", None) or getattr(kind, "_URL", None)
    if isinstance(url, str):
        folder = root.resolve() / ARCHIVE_FOLDERS.get(name, "")
        return f"Fetch {url} elsewhere and put it into {folder}, then start again."
    return (
        f"Fetch it elsewhere with torchvision.datasets.{name}(FOLDER, download=True) and copy the "
        f"FOLDER's contents into {root.resolve()}, then start again."
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
    """Return names that can stand in a path; of synonyms (Imagenette has several) the first."""
    known = getattr(dataset, "classes", None) or getattr(dataset, "categories", [])
    names = [name if isinstance(name, str) else name[0] for name in known]
    return [name.replace("/", "_").strip(". ") for name in names]


def _photos(dataset: Any) -> Iterator[tuple[Path | Image.Image, int]]:
    """Yield each photo's file where there is one of a format we read, else its pixels, and its label."""
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
        # Opened, not yet read: the file is what is wanted.
        if path := getattr(image, "filename", ""):
            image.close()
        yield (Path(path) if path else image), int(label)
