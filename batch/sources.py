"""Where photos come from: files and folders on this machine's disks, standard input, and object stores by address.

An object store is whatever pyarrow has a file system for: s3://, gs://, abfs://, hdfs://, file://. Options of the store
may follow the address as pyarrow has them: s3://bucket/photos?region=eu-west-1&endpoint_override=host:9000.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from batch.errors import ExtraError, SourceError
from photo_folder.errors import FolderError
from photo_folder.kinds import has_photo_name, is_hidden
from photo_folder.tree import FolderWalk

STANDARD_INPUT = "-"
PYARROW = "pip install 'headswap[host,ray]', or pyarrow alone"
_ADDRESS = re.compile(r"([a-z][a-z0-9+.-]*)://")
REMOTE_SCHEMES = ("abfs", "abfss", "file", "gcs", "gs", "hdfs", "s3", "viewfs")


class Entry(NamedTuple):
    """A photo to be read."""

    name: str
    """Its path, its address, or - for standard input."""
    source: int
    """The index of the source that it was found in."""


def store_of(source: str) -> str | None:
    """Return the source if it is an address; None for a path or standard input."""
    return source if _ADDRESS.match(source) else None


def resolve(source: str) -> str:
    """Return the source in a form that means the same from every working folder."""
    return source if store_of(source) or source == STANDARD_INPUT else str(Path(source).absolute())


def list_photos(sources: Sequence[str], note: Callable[[str], None]) -> Iterator[Entry]:
    """Yield the photos of the sources in their order, a folder's own before those of its subfolders.

    No folder is read twice, even where sources or links overlap. A file given by name is a photo whatever it is.
    Memory holds the names of one folder, not those of all.

    Raises:
        SourceError: a source does not exist, cannot be read or holds no photos. ExtraError: it needs pyarrow.
    """
    if not sources:
        raise SourceError(
            "no photos given; name files, folders, object stores, or - for standard input."
        )
    if len(set(sources)) < len(sources):
        raise SourceError("a source is named twice; name each file and folder once.")
    walk = FolderWalk()
    named = {resolve(source) for source in sources if store_of(source) is None}
    for index, source in enumerate(sources):
        yield from (Entry(name, index) for name in _names(source, walk, named))
    passed = walk.passed.describe()
    if passed:
        note(passed)


def _names(source: str, walk: FolderWalk, named: set[str]) -> Iterator[str]:
    path = Path(source)
    if store_of(source) is not None:
        yield from _in_store(source)
    elif source == STANDARD_INPUT:
        yield source
    elif path.is_dir():
        yield from _in_folder(path, walk, named)
    elif path.exists():
        yield source
    else:
        raise SourceError(
            f"{source!r} does not exist; name files, folders, object stores, or - for standard input."
        )


def _in_folder(path: Path, walk: FolderWalk, named: set[str]) -> Iterator[str]:
    was_read_before, has_photos = True, False
    try:
        for folder in walk.stream(path):
            was_read_before = False
            has_photos = has_photos or bool(folder.photos)
            yield from (str(photo) for photo in folder.photos if not _is_named(photo, named))
    except FolderError as error:
        raise SourceError(str(error)) from None
    if not has_photos and not was_read_before:
        passed = walk.passed.describe()
        raise _no_photos(f"the folder {str(path)!r}", f" ({passed})" if passed else "")


def _is_named(photo: Path, named: set[str]) -> bool:
    return bool(named) and resolve(str(photo)) in named


def _no_photos(where: str, passed: str = "") -> SourceError:
    return SourceError(
        f"{where} holds no photos{passed}; photos are known by their names and their first bytes."
    )


def _in_store(source: str) -> Iterator[str]:
    """Yield the addresses of the photos in an object store, known by their names alone: a look inside is a request."""
    scheme = source.partition("://")[0]
    if scheme not in REMOTE_SCHEMES:
        raise SourceError(
            f"{source!r}: {scheme}:// is not known; allowed are {', '.join(f'{known}://' for known in REMOTE_SCHEMES)}."
        )
    try:
        from pyarrow.fs import FileSystem, FileType
    except ModuleNotFoundError:
        raise ExtraError("pyarrow", needed_for=f"{scheme}://", command=PYARROW) from None
    try:
        store, root = FileSystem.from_uri(source)
        info = store.get_file_info(root)
        if info.type == FileType.NotFound:
            raise SourceError(f"{source!r} does not exist.")
        if info.type == FileType.File:
            yield f"{scheme}://{root}"
            return
        has_photos = False
        for path in _walk_store(store, root):
            has_photos = True
            yield f"{scheme}://{path}"
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:300]
        raise SourceError(f"{source!r} cannot be listed: {reason}.") from None
    if not has_photos:
        raise SourceError(
            f"{source!r} holds no photos; in an object store they are known by their names."
        )


def _walk_store(store: Any, root: str) -> Iterator[str]:
    from pyarrow.fs import FileSelector, FileType

    stack = [root]
    while stack:
        # One folder at a time: a recursive selector returns everything in one list.
        entries = sorted(store.get_file_info(FileSelector(stack.pop())), key=lambda info: info.path)
        shown = [info for info in entries if not is_hidden(info.base_name)]
        yield from (
            info.path
            for info in shown
            if info.type == FileType.File and has_photo_name(Path(info.base_name))
        )
        stack += [info.path for info in reversed(shown) if info.type == FileType.Directory]
