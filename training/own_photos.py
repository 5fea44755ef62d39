"""A run's own photos: where they are now, and which of a folder's photos they are.

They are known by their bytes, so they may have moved: a folder whose fingerprint is the run's is the run's own.
"""

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from training.config import TrainConfig
from training.data.photos import Photo, PhotoSet, ScannedPhotos, scan_photos
from training.data.source import (
    find_folder,
    read_data,
    split_labeled,
    with_unlabeled,
)
from training.data.torchvision_sets import find_dataset
from training.errors import DataError, RunError
from training.photo_record import PhotoRecord
from training.run import Run, has_places_of, write_config, write_json


def scan_own_folder(run: Run) -> ScannedPhotos:
    """Return what lies in the folder that the run was trained on.

    Raises:
        RunError: the folder is gone. DataError: it holds no photos of classes.
    """
    config = run.config()
    data = config.data
    if is_gone(data):
        raise RunError(
            f"the photos of the run {str(run.folder)!r} were in {str(data)!r}, which does not exist. If they have "
            "moved, give --data FOLDER with their new place."
        )
    return _scan(run, config)


def scan_folder(
    run: Run, data: Path, *, labels: Path | None = None
) -> tuple[ScannedPhotos, TrainConfig]:
    """Return what lies in `data`, and the run's config with its places there.

    A table of labels and unlabeled photos that lay in the run's own folder may have moved along: they are used if that
    makes the photos the run's own, and `labels` otherwise.

    Raises:
        DataError: the folder cannot be used. DownloadError: a dataset could not be fetched.
    """
    before = run.config()
    moved = replace(
        before,
        data=data,
        labels=labels or _follow(before.labels, old=before.data, new=data),
        unlabeled=_follow(before.unlabeled, old=before.data, new=data),
    )
    if moved.labels or moved.unlabeled:
        with suppress(DataError):
            scanned = _scan(run, moved)
            if split_as_own(run, scanned) is not None:
                return scanned, moved
    moved = replace(moved, labels=labels)
    return _scan(run, replace(moved, unlabeled=None)), moved


def _follow(path: Path | None, *, old: Path, new: Path) -> Path | None:
    """Return where a file or folder is now if it lay in the data folder, which has moved; else where it was."""
    is_inside = path is not None and path.is_relative_to(old)
    return new / path.relative_to(old) if path is not None and is_inside else path


def _scan(run: Run, config: TrainConfig) -> ScannedPhotos:
    scanned = scan_photos(
        find_folder(config.data),
        labels=config.labels,
        unlabeled=config.unlabeled,
        limits=config.limits,
    )
    return scanned.spelled_as(run.data()["class_names"])


def is_gone(data: Path) -> bool:
    """Return whether --data names neither a folder nor a dataset."""
    return not data.exists() and find_dataset(str(data)) is None


def split_as_own(run: Run, scanned: ScannedPhotos) -> PhotoSet | None:
    """Return the folder's photos, split, if they are those the run was trained on, and None if not."""
    try:
        photos = split_labeled(scanned, run.config())
    except DataError:
        return None
    return photos if is_own(run, photos) else None


def is_own(run: Run, photos: PhotoSet) -> bool:
    """Return whether these labelled photos, in these splits, are those the run was trained on."""
    data = run.data()
    if "labeled_fingerprint" in data:
        return bool(photos.labeled_fingerprint == data["labeled_fingerprint"])
    # A run of an earlier version: the one fingerprint covers its unlabeled photos too.
    unlabeled = run.config().unlabeled
    if unlabeled is not None:
        photos = with_unlabeled(photos, unlabeled, run.config().limits)
    return bool(photos.fingerprint == data["fingerprint"])


def read_record(run: Run) -> PhotoRecord:
    """Return which photos the run has used; those of a run of an earlier version are read from its unchanged folder.

    Raises:
        RunError: the run is of an earlier version, and its photos have changed or are gone.
    """
    record = run.photo_record()
    if record is not None:
        return record
    if not is_gone(run.config().data):
        photos = read_data(run.config())
        if photos.fingerprint == run.data()["fingerprint"]:
            return PhotoRecord.of(photos)
    raise RunError(
        f"{str(run.folder)!r} was trained by an earlier version, which did not record the photos, and those in "
        f"{str(run.config().data)!r} have changed since: nobody can say which ones it was trained on. Give --data "
        "FOLDER with the unchanged photos, or train again."
    )


def own_photos(scanned: ScannedPhotos, record: PhotoRecord) -> tuple[Photo, ...]:
    """Return those of the folder's photos that the run has used, each in the split it was in then."""
    splits = [(photo, record.split_of(photo)) for photo in scanned.photos]
    return tuple(replace(photo, split=split) for photo, split in splits if split is not None)


def read_own_photos(run: Run, data: Path | None = None) -> PhotoSet:
    """Return the run's labelled photos; from `data` if they are there now, which is recorded.

    Raises:
        RunError: `data` holds other photos, or the run's own are gone. DataError: the folder cannot be used.
    """
    if data is not None:
        scanned, config = scan_folder(run, data)
        photos = split_as_own(run, scanned)
        if photos is None:
            raise RunError(
                f"--data {str(data)!r} does not hold the photos that {str(run.folder)!r} was trained on: other "
                "photos, classes or splits. Give the folder to which these have moved."
            )
        record_place(
            run, data=data, labels=config.labels, unlabeled=config.unlabeled, photos=photos
        )
        return photos
    scanned = scan_own_folder(run)
    own = split_as_own(run, scanned)
    if own is not None:
        return own
    return PhotoSet(
        folder=scanned.folder,
        class_names=scanned.class_names,
        photos=own_photos(scanned, read_record(run)),
    )


def record_place(
    run: Run,
    *,
    data: Path,
    photos: PhotoSet,
    labels: Path | None = None,
    unlabeled: Path | None = None,
) -> None:
    """Record where the run's photos are now, in config.json and in the paths of evaluation.json."""
    before = run.config()
    now = replace(before, data=data, labels=labels, unlabeled=unlabeled or before.unlabeled)
    if has_places_of(before, now):
        return
    write_config(run, now)
    if not run.evaluation_path.exists():
        return
    evaluation = run.evaluation()
    paths = {photo.sha256: str(photo.path.absolute()) for photo in photos.photos}
    for photo in evaluation["photos"]:
        photo["path"] = paths.get(photo.get("sha256"), photo["path"])
    write_json(run.evaluation_path, evaluation)
