"""Folders of a cross-validation: fold1 to fold5, each with the same classes, or each with a split of its own."""

import re

from photo_folder.errors import FolderError
from photo_folder.split_names import splits_of
from photo_folder.tree import Folder
from photo_folder.unread import list_names

_FOLD = re.compile(r"(?:k[ _-]?)?(?:fold|split|cv)s?[ _.-]?[0-9]{1,3}", re.IGNORECASE)
FOLDS_MIN = 2


def refuse_folds(top: Folder) -> None:
    """Raise FolderError where the folders are folds: which of them is tested on is for a person to say.

    Folds are often made so that no patient or product is in two of them: all of them taken together and split anew
    would break that.
    """
    folds = [folder for folder in top.full if _FOLD.fullmatch(folder.name.strip())]
    if len(folds) < FOLDS_MIN or any(fold.photos for fold in folds):
        return
    names = list_names(fold.path for fold in folds)
    if all(splits_of([inner.name for inner in fold.full]) for fold in folds):
        raise FolderError(
            f"{str(top.path)!r} holds the folds of a cross-validation ({names}), each split on its own; give one of "
            f"them, such as {folds[0].path}."
        )
    if len({inner.name for fold in folds for inner in fold.full}) < sum(len(f.full) for f in folds):
        raise FolderError(
            f"{str(top.path)!r} holds the folds of a cross-validation ({names}), which are not classes; name one of "
            "them test and another val, and move the classes of the others into train, or list paths, labels and "
            "splits in a file for --labels."
        )
