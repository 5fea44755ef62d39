"""Read a folder of labelled photos: scan it, check the files, split it, leave out leaks.

Both layouts work: `FOLDER/CLASS/photo.jpg` and `FOLDER/{train,val,test}/CLASS/photo.jpg`. A missing val or test split
is taken from the training photos of each class: training/data/splitting.py.
"""

from collections.abc import Sequence
from pathlib import Path

from training.data.assignment import assign_splits as assign_splits
from training.data.files import (
    BadFile,
    check_bad_share,
    check_files,
    is_hidden,
    list_files,
)
from training.data.photo_set import GroupLeak as GroupLeak
from training.data.photo_set import Leak as Leak
from training.data.photo_set import NearLeak as NearLeak
from training.data.photo_set import Photo as Photo
from training.data.photo_set import PhotoSet as PhotoSet
from training.data.photo_set import ScannedPhotos as ScannedPhotos
from training.data.splitting import SPLITS as SPLITS
from training.data.splitting import Split as Split
from training.errors import DataError

SPLIT_FOLDERS: dict[str, Split] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}


def read_photos(
    folder: Path, *, seed: int = 0, unsplit_as: Split | None = None, group_by: str | None = None
) -> PhotoSet:
    """Return the folder's photos, each with a label and a split; every file is read and decoded.

    With `unsplit_as`, all photos of a folder without split folders are assigned to that split.

    Raises:
        DataError: the folder does not exist, has fewer than two classes, a class without photos in a split, or too
            many bad files.
    """
    return assign_splits(scan_photos(folder), seed=seed, unsplit_as=unsplit_as, group_by=group_by)


def scan_photos(folder: Path) -> ScannedPhotos:
    """Return the photos as they lie in the folder; every file is read and decoded.

    Raises:
        DataError: the folder does not exist, has fewer than two classes, or too many bad files.
    """
    split_folders = _split_folders(folder)
    files = [
        (path, class_name, split, _subfolder(path, class_folder))
        for split, split_folder in split_folders.items()
        for class_name, class_folder in _class_folders(split_folder)
        for path in list_files(class_folder)
    ]
    class_names = tuple(
        sorted({name for part in split_folders.values() for name, _ in _class_folders(part)})
    )
    _check_classes(folder, class_names)
    checked = check_files([path for path, *_ in files])
    bad_files = tuple(result for result in checked if isinstance(result, BadFile))
    check_bad_share(bad_files, total=len(checked))
    return ScannedPhotos(
        folder=folder,
        class_names=class_names,
        photos=tuple(
            Photo(
                path=path,
                label=class_names.index(class_name),
                split=split,
                sha256=sha256,
                subfolder=subfolder,
            )
            for (path, class_name, split, subfolder), sha256 in zip(files, checked, strict=True)
            if isinstance(sha256, str)
        ),
        bad_files=bad_files,
        missing=tuple(split for split in SPLITS if split not in split_folders),
    )


def _subfolder(path: Path, class_folder: Path) -> str:
    inside = path.relative_to(class_folder).parts
    return inside[0] if len(inside) > 1 else ""


def is_read(path: Path, folder: Path) -> bool:
    """Return whether `read_photos` would read this path, which need not exist yet."""
    if not folder.is_dir():
        return False
    path = path.resolve()
    return any(
        path.is_relative_to(part) and not any(map(is_hidden, path.relative_to(part).parts))
        for part in (split_folder.resolve() for split_folder in _split_folders(folder).values())
    )


def _split_folders(folder: Path) -> dict[Split, Path]:
    if not folder.exists():
        raise DataError(
            f"the data folder {str(folder)!r} does not exist. Give --data a folder with one folder "
            "of photos per class."
        )
    if not folder.is_dir():
        raise DataError(
            f"--data {str(folder)!r} is a file; give a folder with one folder of photos per class."
        )
    named: dict[Split, Path] = {}
    subfolders = _folders(folder)
    for sub in subfolders:
        split = SPLIT_FOLDERS.get(sub.name.lower())
        if split and split in named:
            raise DataError(
                f"{str(folder)!r} holds both {named[split].name!r} and {sub.name!r}; "
                f"keep one {split} folder."
            )
        if split:
            named[split] = sub
    # A class may have such a name too, as a train among vehicles; it holds photos and no folders.
    are_splits = len(named) == len(subfolders) or any(map(_folders, named.values()))
    if "train" in named and are_splits:
        return named
    if named and len(named) == len(subfolders):
        raise DataError(
            f"{str(folder)!r} holds {', '.join(sub.name for sub in subfolders)} "
            "but no train folder; add one."
        )
    return {"train": folder}


def _class_folders(split_folder: Path) -> list[tuple[str, Path]]:
    return [(folder.name, folder) for folder in _folders(split_folder)]


def _folders(folder: Path) -> list[Path]:
    return sorted(sub for sub in folder.iterdir() if sub.is_dir() and not is_hidden(sub.name))


def _check_classes(folder: Path, class_names: Sequence[str]) -> None:
    if len(class_names) >= 2:
        return
    holds = f"only the class {class_names[0]!r}" if class_names else "no class folder"
    raise DataError(
        f"{str(folder)!r} holds {holds}; a classifier needs at least two classes, each a folder of photos."
    )
