"""What a folder of class folders holds that belongs to no class: named, so that nothing is left out silently."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from photo_folder.errors import FolderError
from photo_folder.kinds import has_photo_name
from photo_folder.passed import plural
from photo_folder.tree import Folder, read_tree

NAMED_MAX = 10


def check_links(folder: Folder) -> None:
    """Refuse classes that links lead to, or to whose photos, if nothing is there. Raises FolderError.

    A link of its own among photos, as to one that has been deleted, is passed by.
    """
    empty = [sub for sub in folder.folders if sub not in folder.full]
    lost = [link for link in folder.dangling if not has_photo_name(link)]
    lost += [link for sub in empty for inner in sub.walk() for link in inner.dangling]
    for link in lost:
        raise FolderError(
            f"{str(link)!r} is a link to {str(link.readlink())!r}, which does not exist: mount the disk it lies on, or "
            "remove the link."
        )


def describe_unread(folder: Folder) -> Iterator[str]:
    """Yield what is in a folder of class folders, or of split folders, and belongs to none."""
    if folder.photos and folder.full:
        names = list_names(folder.photos)
        yield f"{count_photos(folder.photos)} in {folder.path} but in no class folder of it, not used: {names}"
    empty = [sub.path for sub in folder.folders if sub not in folder.full]
    if empty:
        names = list_names(empty)
        yield f"{plural(len(empty), 'folder')} in {folder.path} without photos, not used as classes: {names}"


def describe_hidden(folder: Folder) -> Iterator[str]:
    """Yield which hidden folders look like classes: somebody may have renamed one by mistake."""
    for path in folder.hidden:
        if path.name.startswith(".") and not _is_tool(path.name) and _holds_photos(path):
            yield f"{path} holds photos but is hidden, not used; rename it if it is a class"


def _holds_photos(path: Path) -> bool:
    try:
        return bool(read_tree(path).root.photos)
    except FolderError:
        return False


def _is_tool(name: str) -> bool:
    return name.startswith((".ipynb", ".thumb", ".trash", ".cache", ".git", ".picasa", ".@__"))


def count_photos(photos: Sequence[Path]) -> str:
    """Return the number with its noun."""
    return plural(len(photos), "photo")


def list_names(paths: Iterable[Path]) -> str:
    """Return the first names, and how many more there are."""
    names = [path.name for path in paths]
    more = len(names) - NAMED_MAX
    return ", ".join(names[:NAMED_MAX]) + (f" and {more} more" if more > 0 else "")
