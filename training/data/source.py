"""Photos from what --data and --unlabeled name: the one place where training, evaluation and comparison read them."""

import socket
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

from handlers.images.limits import DecodeLimits
from photo_folder.errors import FolderError
from photo_folder.photos import find_photos
from training.captured import labelled_in, photos_of
from training.config import TrainConfig
from training.data.also import with_also
from training.data.duplicates import find_near_duplicates
from training.data.files import BadFile, check_bad_share, check_files
from training.data.photos import Photo, PhotoSet, ScannedPhotos, assign_splits, scan_photos
from training.data.splitting import hash_fraction
from training.data.torchvision_sets import (
    PARTS,
    find_dataset,
    unpack_dataset,
    unpack_unlabeled_stl10,
)
from training.errors import DataError

NO_LABEL = -1
WEIGHT_NAMES = ("auto", "imagenet", "embedded", "none")


def read_data(config: TrainConfig) -> PhotoSet:
    """Return all photos the config trains and evaluates on, and the unlabeled ones.

    Photos that `photos_per_class` leaves out may come back as unlabeled, if they lie in `unlabeled`.

    Raises:
        DataError: a folder cannot be used. DownloadError: a dataset could not be fetched.
    """
    photos = split_labeled(
        scan_photos(
            find_folder(config.data),
            labels=config.labels,
            unlabeled=config.unlabeled,
            limits=config.limits,
        ),
        config,
    )
    return (
        photos
        if config.unlabeled is None
        else with_unlabeled(photos, config.unlabeled, config.limits)
    )


def split_labeled(scanned: ScannedPhotos, config: TrainConfig) -> PhotoSet:
    """Return a folder's photos as the config splits them, at most `photos_per_class` training photos of each class.

    Those of `also` join train; with `new_classes` its further classes come behind those of the folder.

    Raises:
        DataError: a class has no photo in a split, or `also` cannot be used.
    """
    photos = assign_splits(scanned, seed=config.seed, group_by=config.group_by)
    if config.photos_per_class:
        photos = keep_per_class(photos, config.photos_per_class, seed=config.seed)
    if config.also is None:
        return photos
    return with_also(
        photos,
        config.also,
        new_classes=config.new_classes,
        seed=config.seed,
        limits=config.limits,
    )


def find_folder(data: Path) -> Path:
    """Return `data` if it exists, else the folder of the torchvision dataset of that name.

    Raises:
        DataError: it is neither. DownloadError: the dataset could not be fetched; says where to put its files.
    """
    if data.exists():
        return data
    dataset = find_dataset(str(data))
    if dataset is None:
        raise DataError(
            f"the data folder {str(data)!r} does not exist, and no dataset has that name; give a folder with "
            f"one folder of photos per class, or one of {', '.join(name.lower() for name in PARTS)}."
        )
    return unpack_dataset(dataset)


def with_absolute_paths(config: TrainConfig) -> TrainConfig:
    """Return the config with absolute paths, so that its photos are found from any folder; names stay as they are."""
    unlabeled = config.unlabeled and _absolute(photos_of(config.unlabeled))
    weights = config.weights
    if weights not in WEIGHT_NAMES:
        weights = str(_absolute(Path(weights)))
    return replace(
        config,
        data=_absolute(config.data),
        out=config.out.absolute(),
        labels=config.labels and config.labels.absolute(),
        also=config.also and config.also.absolute(),
        unlabeled=unlabeled,
        weights=weights,
    )


def _absolute(path: Path) -> Path:
    return path.absolute() if path.exists() else path


def keep_per_class(photos: PhotoSet, count: int, *, seed: int = 0) -> PhotoSet:
    """Return the set with at most `count` training photos per class, chosen by the hash of content and seed.

    A larger count keeps everything a smaller one kept. Val and test are not reduced.
    """
    kept: set[Path] = set()
    for label in range(len(photos.class_names)):
        of_class = [photo for photo in photos.of("train") if photo.label == label]
        of_class.sort(key=lambda photo: hash_fraction(photo.sha256, seed=seed))
        kept.update(photo.path for photo in of_class[:count])
    return replace(
        photos,
        photos=tuple(p for p in photos.photos if p.split != "train" or p.path in kept),
    )


def with_unlabeled(photos: PhotoSet, source: Path, limits: DecodeLimits | None = None) -> PhotoSet:
    """Return the set with the photos under `source` as `unlabeled`, and broken files added to `bad_files`.

    Photos whose bytes are in the set already are left out: `source` may be the folder the labelled photos come from. So
    are those that look like one of val or test, and of a capture folder those that a person has labelled.

    Raises:
        DataError: the folder does not exist, holds no new photo, or too many bad files.
        DownloadError: STL-10 is not here and could not be fetched.
    """
    folder = _unlabeled_folder(source)
    known = {photo.sha256 for photo in photos.photos} | labelled_in(folder)
    unlabeled, bad_files, notes = read_unlabeled(folder, known=known, limits=limits)
    unlabeled, near = _without_evaluated(unlabeled, (*photos.of("val"), *photos.of("test")))
    if near:
        notes = (*notes, f"left out {near} that look like one of val or test")
    if not unlabeled:
        raise _no_new_photo(folder)
    return replace(
        photos,
        unlabeled=unlabeled,
        bad_files=(*photos.bad_files, *bad_files),
        notes=(*photos.notes, *(f"--unlabeled: {note}" for note in notes)),
    )


def read_unlabeled(
    folder: Path, *, known: Collection[str], limits: DecodeLimits | None = None
) -> tuple[tuple[Photo, ...], tuple[BadFile, ...], tuple[str, ...]]:
    """Return the photos anywhere under the folder whose sha256 is not in `known`, the bad files, and notes."""
    try:
        files = find_photos(folder)
    except FolderError as error:
        raise DataError(f"--unlabeled: {error}") from None
    checked = check_files(files.paths, limits=limits)
    bad_files = tuple(result for result in checked if isinstance(result, BadFile))
    check_bad_share(bad_files, total=len(checked))
    photos = tuple(
        Photo(path=path, label=NO_LABEL, split="train", sha256=sha256)
        for path, sha256 in zip(files.paths, checked, strict=True)
        if isinstance(sha256, str) and sha256 not in known
    )
    if not photos:
        raise _no_new_photo(folder)
    return photos, bad_files, files.notes


def _no_new_photo(folder: Path) -> DataError:
    return DataError(
        f"--unlabeled {str(folder)!r} holds no photo that is not in --data already; give another folder."
    )


def _without_evaluated(
    unlabeled: Sequence[Photo], evaluated: Sequence[Photo]
) -> tuple[tuple[Photo, ...], int]:
    """Return the photos that look like none of the evaluated ones, and how many do."""
    # Each pair of a part is compared: parts as large as the other side cost the least.
    size = max(1000, len(evaluated))
    near: set[Path] = set()
    for start in range(0, len(unlabeled), size):
        part = (*unlabeled[start : start + size], *evaluated)
        for pair in find_near_duplicates(part, is_across_splits=True):
            near |= {pair.first.path, pair.second.path}
    kept = tuple(photo for photo in unlabeled if photo.path not in near)
    return kept, len(unlabeled) - len(kept)


def _unlabeled_folder(source: Path) -> Path:
    source = photos_of(source)
    if not source.exists() and str(source).lower() == "stl10":
        return unpack_unlabeled_stl10()
    if not source.is_dir():
        raise DataError(
            f"--unlabeled {str(source)!r} is not a folder; give a folder of photos, or stl10."
        )
    return source


def check_photos_are_here(photos: PhotoSet) -> None:
    """Check that this host sees the photos that process 0, possibly on another host, has read.

    Raises:
        DataError: it does not.
    """
    path = photos.photos[0].path
    if not path.exists():
        raise DataError(
            f"{path}, which process 0 has read, does not exist on {socket.gethostname()}; the photos must be under "
            "the same path on every host."
        )
