"""A folder read once: its photos and subfolders, links followed, and what was passed by."""

import os
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from photo_folder.errors import FolderError
from photo_folder.kinds import is_hidden, is_photo
from photo_folder.passed import PassedBy


@dataclass(kw_only=True, eq=False)
class Folder:
    path: Path
    photos: list[Path] = field(default_factory=list)
    """Its own, sorted; without those of its subfolders."""
    folders: list["Folder"] = field(default_factory=list)
    """Sorted by name."""
    hidden: list[Path] = field(default_factory=list)
    """Hidden folders in it; not read."""
    dangling: list[Path] = field(default_factory=list)
    """Links in it that lead nowhere."""

    @property
    def name(self) -> str:
        return self.path.name

    def walk(self) -> Iterator["Folder"]:
        """Yield the folder and all folders under it, each before its own subfolders."""
        # Not recursive: a path of 4,096 bytes can be deeper than Python's stack.
        stack = [self]
        while stack:
            folder = stack.pop()
            yield folder
            stack.extend(reversed(folder.folders))

    @cached_property
    def all_photos(self) -> list[Path]:
        """Return the photos in the folder and anywhere under it."""
        return [photo for folder in self.walk() for photo in folder.photos]

    @cached_property
    def full(self) -> list["Folder"]:
        """Return the subfolders with photos in them or anywhere under them."""
        return [folder for folder in self.folders if any(sub.photos for sub in folder.walk())]


@dataclass(kw_only=True)
class Tree:
    root: Folder
    passed: PassedBy


def read_tree(path: Path) -> Tree:
    """Return what lies under the folder. Each folder is read once: at its own place, or through the first link to it.

    Raises:
        FolderError: it is not a folder, or a folder in it may not be read.
    """
    _check_folder(path)
    walk = FolderWalk()
    root = Folder(path=path)
    walk.read(root)
    return Tree(root=root, passed=walk.passed)


class FolderWalk:
    """Reads folders, each once, whatever links lead to it and however many walks begin with it."""

    def __init__(self) -> None:
        self.passed = PassedBy()
        self._links: deque[tuple[Folder, Path]] = deque()
        self._seen: set[tuple[int, int]] = set()

    def stream(self, path: Path) -> Iterator[Folder]:
        """Yield the folder and all under it as they are read, linked ones last; only those to come are held.

        Raises:
            FolderError: it is not a folder, or the iteration comes to one that may not be read.
        """
        _check_folder(path)
        stack = [Folder(path=path)] if self._is_new(path) else []
        while stack or self._links:
            if not stack:
                linked = self._links.popleft()[1]
                stack += [Folder(path=linked)] if self._is_new(linked) else []
                continue
            folder = stack.pop()
            for entry in _entries(folder.path):
                self._add(entry, folder)
            stack.extend(reversed(folder.folders))
            yield folder

    def read(self, root: Folder) -> None:
        """Fill the folder and its subfolders: the real ones first, so that no link is read in place of them."""
        self._is_new(root.path)
        self._read_real(root)
        while self._links:
            parent, path = self._links.popleft()
            if self._is_new(path):
                linked = Folder(path=path)
                parent.folders.append(linked)
                parent.folders.sort(key=lambda folder: folder.name)
                self._read_real(linked)

    def _read_real(self, start: Folder) -> None:
        stack = [start]
        while stack:
            folder = stack.pop()
            for entry in _entries(folder.path):
                self._add(entry, folder)
            stack.extend(folder.folders)

    def _add(self, entry: os.DirEntry[str], folder: Folder) -> None:
        path = folder.path / entry.name
        is_link = entry.is_symlink()
        is_folder = os.path.isdir(path) if is_link else entry.is_dir()
        if is_folder and is_hidden(entry.name):
            folder.hidden.append(path)
            self.passed.folders[entry.name] += 1
        elif is_hidden(entry.name):
            self.passed.add_file(entry.name)
        elif is_folder and is_link:
            self._links.append((folder, path))
        elif is_folder:
            if self._is_new(path):
                folder.folders.append(Folder(path=path))
        elif is_link and not os.path.exists(path):
            folder.dangling.append(path)
            self.passed.dangling.append(path)
        elif not entry.is_file():
            self.passed.endings["pipes and devices"] += 1
        elif is_photo(path):
            folder.photos.append(path)
        else:
            self.passed.add_file(entry.name)

    def _is_new(self, path: Path) -> bool:
        """Return whether the folder has not been read yet; links to one that has are counted."""
        try:
            status = path.stat()
        except OSError as error:
            raise _unreadable(path, error) from None
        identity = status.st_dev, status.st_ino
        if identity in self._seen:
            self.passed.links.append(path)
            return False
        self._seen.add(identity)
        return True


def _check_folder(path: Path) -> None:
    if not path.is_dir():
        what = "is a file" if path.exists() else "does not exist"
        raise FolderError(f"the folder {str(path)!r} {what}; give a folder of photos.")


def _entries(path: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(path) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: OSError) -> FolderError:
    return FolderError(
        f"the folder {str(path)!r} cannot be read ({error.strerror}); allow it, or move the folder away."
    )
