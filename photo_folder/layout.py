"""Which folders are classes and which are splits.

Understood are FOLDER/CLASS/PHOTO, FOLDER/SPLIT/CLASS/PHOTO and FOLDER/CLASS/SPLIT/PHOTO, each also in the only folder
of FOLDER, and class folders beside a test or val folder with the same classes. Photos may lie deeper in a class. Any
other layout is refused by a sentence that says what was seen; what is left unread is named in a note.
"""

from collections.abc import Sequence
from pathlib import Path

from photo_folder.errors import FolderError
from photo_folder.folds import refuse_folds
from photo_folder.label_file import tables_in
from photo_folder.labelled import LabelledFile, LabelledFiles, label_photos
from photo_folder.no_class import is_content_name, without_unlabeled
from photo_folder.split_names import Split, split_of, splits_of
from photo_folder.tree import Folder, read_tree
from photo_folder.unread import (
    check_links,
    count_photos,
    describe_hidden,
    describe_unread,
    list_names,
)

EXPECTED = (
    "name them FOLDER/CLASS/PHOTO, or FOLDER/train/CLASS/PHOTO with val and test beside train"
)
# In the note about nested folders, each with the names inside it.
CLASSES_NAMED_MAX = 10


def find_labelled(path: Path, *, unlabeled: Path | None = None) -> LabelledFiles:
    """Return the labelled photos of a folder, beside whose classes or splits that of unlabeled photos may lie.

    Raises:
        FolderError: it cannot be read, or its layout is not understood; says which layout was seen.
    """
    tree = read_tree(path)
    notes: list[str] = []
    top = _descend(tree.root, notes)
    check_links(top)
    refuse_folds(top)
    notes += [*describe_unread(top), *describe_hidden(top)]
    splits = splits_of([folder.name for folder in top.full])
    if any(folder.full for folder in top.full if folder.name in splits):
        files, roots = _read_splits(top, splits, notes, unlabeled)
    else:
        files, roots = _read_classes(top, splits, notes, unlabeled), [top.path]
    passed = tree.passed.describe()
    return LabelledFiles(
        files=tuple(files),
        notes=(*notes, *([passed] if passed else [])),
        roots=tuple(roots),
    )


def _expected(top: Folder) -> str:
    """Return the end of a sentence: how to name the folders, or which file may hold the labels."""
    tables = tables_in(top.path)
    labels = (
        f"give --labels {tables[0]}" if tables else "list paths and labels in a file for --labels"
    )
    return f"{EXPECTED}, or {labels}."


def _descend(folder: Folder, notes: list[str]) -> Folder:
    """Return the folder itself, or the one inside which its only folder of folders leads to: an unpacked zip."""
    start = folder
    while len(folder.full) == 1 and not folder.photos:
        (inner,) = folder.full
        if split_of(inner.name) or inner.photos:
            break
        folder = inner
    if folder is not start:
        notes.append(f"read {folder.path}, the only folder with photos in {start.path}")
    return folder


def _read_classes(
    top: Folder, splits: dict[str, Split], notes: list[str], unlabeled: Path | None
) -> list[LabelledFile]:
    if not top.full:
        if top.photos:
            raise FolderError(
                f"{str(top.path)!r} holds {count_photos(top.photos)} but no class folder; {_expected(top)}"
            )
        return []
    _check_split_names(top, splits, notes)
    _check_content_names(top)
    classes = without_unlabeled(top.full, notes, unlabeled)
    if any(split_of(inner.name) for folder in classes for inner in folder.full):
        return _read_split_classes(top, classes)
    _note_nested(top, classes, notes)
    return _classes(classes, split=None)


def _check_content_names(top: Folder) -> None:
    """Refuse folders of which each is called by what lies in it: the images and the masks of one data set."""
    if len(top.full) > 1 and all(is_content_name(folder.name) for folder in top.full):
        raise FolderError(
            f"{str(top.path)!r} holds photos in {list_names(folder.path for folder in top.full)}, which are not called "
            f"as classes; {_expected(top)}"
        )


def _check_split_names(top: Folder, splits: dict[str, Split], notes: list[str]) -> None:
    """Refuse photos right in folders called as splits, unless train is one of several classes."""
    named = [folder for folder in top.full if folder.name in splits]
    if not named:
        return
    names = list_names(folder.path for folder in named)
    if len(named) == len(top.full):
        raise FolderError(
            f"{str(top.path)!r} holds the split folders {names}, with photos but no class folder in them; "
            f"{_expected(top)}"
        )
    if "train" not in splits.values():
        others = list_names(folder.path for folder in top.full if folder not in named)
        raise FolderError(
            f"{str(top.path)!r} holds class folders ({others}) and beside them {names} with photos but no class folder "
            f"in it: put its photos into {named[0].name}/CLASS/, move it elsewhere, or rename it if it is a class."
        )
    notes.append(
        f"{names} in {top.path}: photos but no class folder in it, so each is read as a class"
    )


def _read_split_classes(top: Folder, classes: Sequence[Folder]) -> list[LabelledFile]:
    """Return the photos of FOLDER/CLASS/SPLIT/PHOTO."""
    files = []
    for folder in classes:
        splits = splits_of([inner.name for inner in folder.full])
        if folder.photos or len(splits) < len(folder.full):
            raise FolderError(
                f"in {str(top.path)!r} some class folders are split into folders such as train and test, and "
                f"{folder.name!r} holds other photos as well; {EXPECTED}, or FOLDER/CLASS/train/PHOTO in every class."
            )
        _check_each_once(folder, splits)
        for inner in folder.full:
            files += label_photos(inner, folder.name, splits[inner.name])
    return sorted(files, key=lambda file: (str(file.split), file.class_name))


def _note_nested(top: Folder, classes: Sequence[Folder], notes: list[str]) -> None:
    if not any(folder.photos for folder in classes) and any(len(f.full) > 1 for f in classes):
        inside = "; ".join(
            f"{folder.name} ({list_names(inner.path for inner in folder.full)})"
            for folder in classes[:CLASSES_NAMED_MAX]
        )
        notes.append(
            f"the classes are the {len(classes)} folders in {top.path}, with the photos of all folders inside them: "
            f"{inside}. If the inner folders are the classes, give a folder that holds those."
        )


def _read_splits(
    top: Folder, splits: dict[str, Split], notes: list[str], unlabeled: Path | None
) -> tuple[list[LabelledFile], list[Path]]:
    """Return the photos of FOLDER/SPLIT/CLASS/PHOTO, and the split folders."""
    _check_each_once(top, splits)
    others = [folder for folder in top.full if folder.name not in splits]
    others = without_unlabeled(others, notes, unlabeled, needed=0)
    files: list[LabelledFile] = []
    roots = []
    for folder in (folder for folder in top.full if folder.name in splits):
        inner = _inner(folder)
        if not inner.full:
            _note_unlabelled(inner, splits[folder.name], notes)
            continue
        check_links(inner)
        notes += [*describe_unread(inner), *describe_hidden(inner)]
        classes = without_unlabeled(inner.full, notes, unlabeled)
        files += _classes(classes, split=splits[folder.name])
        roots.append(inner.path)
    if others and "train" not in splits.values():
        files += _beside(top, others, files, notes)
        roots.append(top.path)
    elif others:
        _refuse_stray(top, others, splits)
    return files, roots


def _inner(folder: Folder) -> Folder:
    """Return the split folder, or the only one in it whose name is not a class's: training_set/training_set/CLASS."""
    while len(folder.full) == 1 and not folder.photos:
        (inner,) = folder.full
        is_named_again = inner.name == folder.name or split_of(inner.name)
        if not is_content_name(inner.name) and not (is_named_again and not inner.photos):
            break
        folder = inner
    return folder


def _note_unlabelled(folder: Folder, split: Split, notes: list[str]) -> None:
    if split == "train":
        raise FolderError(
            f"{str(folder.path)!r} holds {count_photos(folder.photos)} but no class folder; {_expected(folder)}"
        )
    notes.append(
        f"{folder.path} holds {count_photos(folder.photos)} in no class folder: they have no labels and are not used"
    )


def _beside(
    top: Folder, others: Sequence[Folder], files: Sequence[LabelledFile], notes: list[str]
) -> list[LabelledFile]:
    """Return the photos of class folders that lie beside a test or val folder: they are train."""
    train = _classes(others, split="train")
    classes = {file.class_name for file in train}
    named = {file.class_name for file in files}
    if not named <= classes:
        raise FolderError(
            f"{str(top.path)!r} holds the folders {list_names(f.path for f in others)} and, beside them, split folders "
            f"with the classes {', '.join(sorted(named))}, but no train folder; {EXPECTED}."
        )
    notes.append(
        f"the class folders in {top.path} are read as train, beside the split folders there"
    )
    return train


def _refuse_stray(top: Folder, others: Sequence[Folder], splits: dict[str, Split]) -> None:
    count = sum(len(folder.all_photos) for folder in others)
    raise FolderError(
        f"{str(top.path)!r} holds the split folders {', '.join(splits)} and beside them "
        f"{list_names(f.path for f in others)} with {count} photos, which belong to no split: move a class into "
        "train/CLASS, and anything else out of the folder."
    )


def _check_each_once(folder: Folder, splits: dict[str, Split]) -> None:
    named: dict[Split, str] = {}
    for name, split in splits.items():
        if split in named:
            raise FolderError(
                f"{str(folder.path)!r} holds both {named[split]!r} and {name!r}; keep one {split} folder, or rename "
                "them to train, val and test."
            )
        named[split] = name


def _classes(folders: Sequence[Folder], *, split: Split | None) -> list[LabelledFile]:
    return [file for folder in folders for file in label_photos(folder, folder.name, split)]
