"""Which photos a run is evaluated on: never one that it was trained on or selected by, wherever that lies now."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from training.data.photos import Photo, ScannedPhotos, Split, assign_splits
from training.data.source import split_labeled
from training.errors import RunError
from training.own_photos import (
    is_gone,
    own_photos,
    read_record,
    record_place,
    scan_folder,
    scan_own_folder,
    split_as_own,
)
from training.photo_record import PhotoRecord
from training.run import Run

EvaluatedSplit = Literal["val", "test"]


@dataclass(frozen=True, kw_only=True)
class Selection:
    photos: tuple[Photo, ...]
    val: tuple[Photo, ...]
    """The run's own val photos, on which the temperature is fitted; none where they are gone."""
    train: tuple[Photo, ...] = ()
    """The run's own train photos, which the unknown score compares with; none where they are gone."""
    notes: Sequence[str] = ()
    """How the folder was read, and what in it was not."""
    left_out: int
    """Photos of the split that the run has used otherwise, or others of whose group it has."""


def select_photos(
    run: Run, *, split: EvaluatedSplit, data: Path | None, labels: Path | None = None
) -> Selection:
    """Return the photos of the run's own split, or those of `data`, without those the run has used.

    `labels` is the table that lists those of `data`, where there is one. Where `data` holds the run's own photos, which
    have moved there, its new place is recorded.

    Raises:
        RunError: the run has used all of them, they are of other classes, or its own are gone.
        DataError: the folder cannot be used. DownloadError: a dataset could not be fetched.
    """
    if data is None:
        scanned, config = scan_own_folder(run), run.config()
    else:
        scanned, config = scan_folder(run, data, labels=labels)
    notes = scanned.describe_unread()
    _check_classes(scanned, run)
    own = split_as_own(run, scanned)
    if own is not None:
        if is_gone(run.config().data):
            record_place(
                run,
                data=config.data,
                labels=config.labels,
                unlabeled=config.unlabeled,
                photos=own,
            )
        return Selection(
            photos=own.of(split), val=own.of("val"), train=own.of("train"), notes=notes, left_out=0
        )
    record = read_record(run)
    if data is None:
        # What joined train may have changed or gone since.
        offered = split_labeled(scanned, replace(config, also=None)).of(split)
        used = own_photos(scanned, record)
    else:
        offered = assign_splits(
            scanned, seed=config.seed, unsplit_as=split, group_by=config.group_by
        ).of(split)
        is_here = not is_gone(run.config().data)
        used = own_photos(scan_own_folder(run), record) if is_here else ()
    photos = _unseen(offered, record, split=split, folder=scanned.folder)
    return Selection(
        photos=photos,
        val=_of(used, "val"),
        train=_of(used, "train"),
        notes=notes,
        left_out=len(offered) - len(photos),
    )


def _of(photos: Sequence[Photo], split: Split) -> tuple[Photo, ...]:
    return tuple(photo for photo in photos if photo.split == split)


def _check_classes(scanned: ScannedPhotos, run: Run) -> None:
    class_names = run.data()["class_names"]
    # New classes come behind those of the run's folder, which may hold no photo of theirs.
    is_first = run.config().new_classes and len(scanned.class_names) < len(class_names)
    expected = class_names[: len(scanned.class_names)] if is_first else class_names
    if list(scanned.class_names) != list(expected):
        raise RunError(
            f"the photos in {scanned.folder} have the classes {', '.join(scanned.class_names)}; "
            f"the run was trained on {', '.join(class_names)}. Give photos of the run's classes."
        )


def _unseen(
    photos: Sequence[Photo], record: PhotoRecord, *, split: EvaluatedSplit, folder: Path
) -> tuple[Photo, ...]:
    unseen = tuple(photo for photo in photos if not record.is_seen(photo, split=split))
    if not unseen:
        of_group = ", or by others of their groups" if any(record.groups.values()) else ""
        raise RunError(
            f"the run was trained on or selected by all of the {len(photos)} {split} photos in "
            f"{str(folder)!r}{of_group}; evaluate it on others: --data FOLDER."
        )
    return unseen
