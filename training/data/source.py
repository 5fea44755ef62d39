"""What --data names becomes photos: the one place that training, judging and comparing read from."""

import socket
from pathlib import Path

from training.config import TrainConfig
from training.data.photos import PhotoSet, keep_per_class, read_photos
from training.data.torchvision_sets import PARTS, find_dataset, unpack_dataset
from training.data.unlabeled import with_unlabeled
from training.errors import DataError


def read_data(config: TrainConfig) -> PhotoSet:
    """Return all that the config learns from and is judged on: `read_labeled`, and its unlabeled photos.

    What `photos_per_class` leaves over may come back as unlabeled, if `unlabeled` holds it.

    Raises:
        DataError: a folder cannot be used. DownloadError: a dataset could not be fetched.
    """
    photos = read_labeled(config)
    return photos if config.unlabeled is None else with_unlabeled(photos, config.unlabeled)


def read_labeled(config: TrainConfig) -> PhotoSet:
    """Return the config's photos, split; at most `photos_per_class` of each class to learn from.

    Raises:
        DataError: the folder cannot be used. DownloadError: a dataset could not be fetched.
    """
    photos = read_photos(find_folder(config.data), seed=config.seed)
    if config.photos_per_class:
        photos = keep_per_class(photos, config.photos_per_class, seed=config.seed)
    return photos


def find_folder(data: Path) -> Path:
    """Return the folder itself where it is one, else that of the dataset of this name.

    Raises:
        DataError: there is neither. DownloadError: it could not be fetched; says where to put its files.
    """
    if data.exists():
        return data
    dataset = find_dataset(str(data))
    if dataset is None:
        raise DataError(
            f"the data folder {str(data)!r} does not exist, nor is it a dataset's name; give a folder with "
            f"one folder of photos per class, or one of {', '.join(name.lower() for name in PARTS)}."
        )
    return unpack_dataset(dataset)


def check_photos_are_here(photos: PhotoSet) -> None:
    """Check that this host finds what process 0, perhaps on another one, has read.

    Raises:
        DataError: it does not.
    """
    path = photos.photos[0].path
    if not path.exists():
        raise DataError(
            f"{socket.gethostname()} finds no {path}, which process 0 has read; the photos must lie under "
            "the same path on every host."
        )
