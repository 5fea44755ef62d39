"""The folder of `headswap serve --capture` as a source of unlabeled photos: those that nobody has labelled yet."""

from pathlib import Path

from handlers.capture.layout import ANSWERS, LABELLED, NONE_OF_THESE, PHOTOS

# What people call it who have not looked into the folder.
OTHER_NAMES = ("unlabelled", "unlabeled")


def photos_of(source: Path) -> Path:
    """Return the folder of the captured photos, where `source` is a capture folder or a name for it; else `source`."""
    if _is_capture(source):
        return source / PHOTOS
    if source.name in OTHER_NAMES and not source.exists() and _is_capture(source.parent):
        return source.parent / PHOTOS
    return source


def labelled_in(source: Path) -> frozenset[str]:
    """Return the sha256s of the photos that have a label, or are none of the classes; none for another folder."""
    folder = source.parent
    if source.name != PHOTOS or not _is_capture(folder):
        return frozenset()
    # Their names are their sha256s.
    return frozenset(
        path.stem
        for pattern in (f"{LABELLED}/*/*", f"{NONE_OF_THESE}/*")
        for path in folder.glob(pattern)
    )


def _is_capture(folder: Path) -> bool:
    return (folder / ANSWERS).is_file() and (folder / PHOTOS).is_dir()
