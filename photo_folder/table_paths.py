"""The photos that the paths in a table mean, wherever and by whichever system the table was made."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from photo_folder.errors import FolderError

_ABSOLUTE = re.compile(r"/|[A-Za-z]:/")


class TablePaths:
    def __init__(self, folder: Path, beside: Path, photos: Sequence[Path]) -> None:
        self._folders = (folder, beside)
        self._by_name: dict[str, list[Path]] = defaultdict(list)
        for photo in photos:
            for name in {_key(photo.name), _key(photo.stem)}:
                self._by_name[name].append(photo)

    def find(self, text: str) -> Path:
        """Return the file that a path means; one that does not exist if there is none.

        A path that leads to no file in either folder is that of the only photo whose own path ends so, with or without
        its suffix, in capitals or not. Of an absolute one, as from another computer, the longest end counts that some
        photo has.

        Raises:
            FolderError: it is not a path, or may be that of two photos.
        """
        path = text.replace("\\", "/").replace("\0", "\N{REPLACEMENT CHARACTER}")
        for folder in self._folders:
            try:
                if (folder / path).is_file():
                    return folder / path
            except OSError:
                raise FolderError(f"{text[:80]!r} is not a path.") from None
        named = self._ending_with(path)
        if len(named) > 1:
            raise FolderError(
                f"{text!r} may be {named[0]} or {named[1]}; write the path from {self._folders[0]}."
            )
        return named[0] if named else self._folders[0] / path

    def _ending_with(self, path: str) -> list[Path]:
        parts = PurePosixPath(path).parts
        alike = self._by_name.get(_key(parts[-1]), []) if parts else []
        for start in range(len(parts) if _ABSOLUTE.match(path) else 1):
            named = [photo for photo in alike if _ends_with(photo, parts[start:])]
            if named:
                spelled = [photo for photo in named if parts[-1] in (photo.name, photo.stem)]
                return spelled or named
        return []


def _ends_with(photo: Path, parts: Sequence[str]) -> bool:
    folders = photo.parts[-len(parts) : -1]
    return list(map(_key, folders)) == list(map(_key, parts[:-1]))


def _key(name: str) -> str:
    """Return what is equal for a Mac, Linux and Windows: they write the same letters as different bytes or capitals."""
    return unicodedata.normalize("NFC", name).casefold()
