"""Read a folder of labelled photos: check the files that photo_folder/ finds, split them, leave out leaks.

A missing val or test split is taken from the training photos of each class: training/data/splitting.py.
"""

from collections.abc import Sequence
from pathlib import Path

from handlers.images.limits import DecodeLimits
from photo_folder.errors import FolderError
from photo_folder.kinds import is_hidden
from photo_folder.label_file import find_listed, tables_in
from photo_folder.labelled import LabelledFiles
from photo_folder.layout import find_labelled
from training.data.assignment import assign_splits as assign_splits
from training.data.files import BadFile, check_bad_share, check_files
from training.data.photo_set import GroupLeak as GroupLeak
from training.data.photo_set import Leak as Leak
from training.data.photo_set import NearLeak as NearLeak
from training.data.photo_set import Photo as Photo
from training.data.photo_set import PhotoSet as PhotoSet
from training.data.photo_set import ScannedPhotos as ScannedPhotos
from training.data.splitting import SPLITS as SPLITS
from training.data.splitting import Split as Split
from training.errors import DataError


def read_photos(
    folder: Path,
    *,
    seed: int = 0,
    unsplit_as: Split | None = None,
    group_by: str | None = None,
    limits: DecodeLimits | None = None,
    labels: Path | None = None,
) -> PhotoSet:
    """Return the folder's photos, each with a label and a split; every file is read and decoded.

    With `unsplit_as`, all photos of a folder without split folders are assigned to that split.

    Raises:
        DataError: the folder does not exist, has fewer than two classes, a class without photos in a split, or too
            many bad files.
    """
    scanned = scan_photos(folder, labels=labels, limits=limits)
    return assign_splits(scanned, seed=seed, unsplit_as=unsplit_as, group_by=group_by)


def scan_photos(
    folder: Path,
    *,
    labels: Path | None = None,
    unlabeled: Path | None = None,
    limits: DecodeLimits | None = None,
) -> ScannedPhotos:
    """Return the photos as they lie in the folder, or as the CSV file `labels` lists them; each is read and decoded.

    Beside split folders, that of the unlabeled photos may lie.

    Raises:
        DataError: the folder cannot be read, has fewer than two classes, or too many bad files.
    """
    labelled = _find(folder, labels=labels, unlabeled=unlabeled)
    class_names = labelled.class_names
    _check_classes(labels or folder, class_names, labelled.notes)
    checked = check_files([file.path for file in labelled.files], limits=limits)
    bad_files = tuple(result for result in checked if isinstance(result, BadFile))
    check_bad_share(bad_files, total=len(checked))
    label_of = {name: label for label, name in enumerate(class_names)}
    splits = labelled.splits or {"train"}
    return ScannedPhotos(
        folder=folder,
        class_names=class_names,
        photos=tuple(
            Photo(
                path=file.path,
                label=label_of[file.class_name],
                split=file.split or "train",
                sha256=sha256,
                subfolder=file.subfolder,
            )
            for file, sha256 in zip(labelled.files, checked, strict=True)
            if isinstance(sha256, str)
        ),
        bad_files=bad_files,
        missing=tuple(split for split in SPLITS if split not in splits),
        notes=(*labelled.notes, *similar_names(class_names)),
    )


def is_read(path: Path, folder: Path) -> bool:
    """Return whether `read_photos` would read photos under this path, which need not exist yet."""
    if not folder.is_dir():
        return False
    path = path.resolve()
    return any(
        path.is_relative_to(root) and not any(map(is_hidden, path.relative_to(root).parts))
        for root in (root.resolve() for root in _find(folder).roots)
    )


def _find(
    folder: Path, *, labels: Path | None = None, unlabeled: Path | None = None
) -> LabelledFiles:
    try:
        if labels is not None:
            return find_listed(folder, labels)
        return find_labelled(folder, unlabeled=unlabeled)
    except FolderError as error:
        raise DataError(str(error)) from None


def _check_classes(place: Path, class_names: Sequence[str], notes: Sequence[str]) -> None:
    if len(class_names) >= 2:
        return
    holds = f"only the class {class_names[0]!r}" if class_names else "no class folder"
    tables = tables_in(place)
    listed = f" Are the labels in {tables[0]}? Then give --labels {tables[0]}." if tables else ""
    seen = "".join(f" In it: {note}." for note in notes)
    raise DataError(
        f"{str(place)!r} holds {holds}; a classifier needs at least two classes, each a folder of photos.{seen}{listed}"
    )


def similar_names(class_names: Sequence[str]) -> list[str]:
    """Return a line for classes whose names differ only in capitals or spaces at the ends: perhaps one class."""
    by_letters: dict[str, list[str]] = {}
    for name in class_names:
        by_letters.setdefault(name.strip().casefold(), []).append(name)
    alike = [" and ".join(map(repr, names)) for names in by_letters.values() if len(names) > 1]
    return [f"two classes by names that are nearly the same: {'; '.join(alike)}"] if alike else []
