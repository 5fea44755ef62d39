"""The labels that a person gives to captured photos: labels.csv, and a hard link in the folder of the class.

A label counts once it stands in labels.csv, which is written whole or not at all, after its link; so a photo that is
listed is there even when the server has since removed the one in photos/. A link that is not listed, left by a process
that was killed in between, is removed by the next writer.
"""

import contextlib
import csv
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from capture.answers import CapturedPhoto
from capture.errors import CaptureError
from handlers.capture.layout import LABELLED, LABELS, NONE_OF_THESE, locked
from storage.atomic import TEMPORARY_SUFFIX, atomic_write, link_or_copy

COLUMNS = ("path", "label")
NONE_LABEL = "none of these"
CLASS_NAME_MAX_BYTES = 255


@dataclass(frozen=True, kw_only=True)
class Label:
    path: Path
    """Of the link, relative to the capture folder."""
    class_name: str | None
    """None: none of the classes."""

    @property
    def sha256(self) -> str:
        return self.path.stem


class LabelBook:
    """The labels of one capture folder. Several processes may write at once; each call reads what is there now."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self) -> dict[str, Label]:
        """Return the labels by the photo's sha256, in the order in which they were given.

        Raises:
            CaptureError: labels.csv is damaged, or was edited by hand into something else.
        """
        return _read(self._folder)

    def write(self, photo: CapturedPhoto, class_name: str | None) -> Label:
        """Label a photo, in place of the label it may have; None: it is none of the classes.

        Raises:
            CaptureError: the name cannot be that of a folder, the photo is gone, or the folder cannot be written.
        """
        if class_name is not None:
            check_class_name(class_name)
        with self._writing() as labels:
            before = labels.pop(photo.sha256, None)
            label = Label(path=_link_path(photo.path.name, class_name), class_name=class_name)
            source = photo.path if before is None else self._folder / before.path
            self._link(source, label.path)
            labels[photo.sha256] = label
            self._save(labels)
        return label

    def remove(self, sha256: str) -> Label | None:
        """Take a label back; return it, or None if there was none.

        The photo comes back for review only while it is still in photos/. Raises CaptureError as `write` does.
        """
        with self._writing() as labels:
            label = labels.pop(sha256, None)
            if label is not None:
                self._save(labels)
        return label

    def undo(self) -> Label | None:
        """Take the last label back; return it, or None if there is none. Raises CaptureError as `write` does."""
        with self._writing() as labels:
            if not labels:
                return None
            label = labels.pop(next(reversed(labels)))
            self._save(labels)
        return label

    @contextmanager
    def _writing(self) -> Iterator[dict[str, Label]]:
        """Hold the lock and yield the labels; links that are not listed are removed before and after."""
        try:
            with locked(self._folder):
                labels = _read(self._folder)
                yield labels
                self._remove_unlisted()
        except OSError as error:
            raise CaptureError(
                f"the labels in {str(self._folder)!r} cannot be written: {error.strerror or error}."
            ) from None

    def _link(self, source: Path, relative: Path) -> None:
        target = self._folder / relative
        if target.exists():
            return
        if not source.is_file():
            raise CaptureError(
                f"the photo {source.name} is no longer there: newer ones have taken its place."
            )
        target.parent.mkdir(parents=True, exist_ok=True)
        link_or_copy(source, target)

    def _save(self, labels: dict[str, Label]) -> None:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(
            (
                label.path.as_posix(),
                NONE_LABEL if label.class_name is None else label.class_name,
            )
            for label in labels.values()
        )
        atomic_write(self._folder / LABELS, text.getvalue(), is_durable=True)

    def _remove_unlisted(self) -> None:
        listed = {label.path for label in _read(self._folder).values()}
        for pattern in (f"{LABELLED}/*/*", f"{NONE_OF_THESE}/*"):
            for path in self._folder.glob(pattern):
                if path.relative_to(self._folder) not in listed and _is_ours(path):
                    path.unlink(missing_ok=True)
        for folder in (self._folder / LABELLED).glob("*/"):
            # A class without photos would be an empty class to training.
            with contextlib.suppress(OSError):
                folder.rmdir()


def check_class_name(name: str) -> None:
    """Raise CaptureError if a class cannot be a folder of that name, or would not be read back as the same class."""
    is_utf8 = name.encode(errors="replace").decode() == name
    if (
        not name
        or name != name.strip()
        or name.startswith(".")
        or not name.isprintable()
        or "/" in name
        or not is_utf8
        or len(name.encode(errors="replace")) > CLASS_NAME_MAX_BYTES
    ):
        raise CaptureError(
            f"{name!r:.100} cannot be the name of a class folder; a name has 1 to {CLASS_NAME_MAX_BYTES} bytes, no "
            "slash, no line break, no space at its ends and no dot at its beginning."
        )


def _read(folder: Path) -> dict[str, Label]:
    path = folder / LABELS
    try:
        rows = list(csv.reader(path.read_text(encoding="utf-8").splitlines()))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, csv.Error) as error:
        raise CaptureError(f"{path} cannot be read: {error}.") from None
    if not rows or tuple(rows[0]) != COLUMNS:
        raise CaptureError(f"{path} does not begin with {','.join(COLUMNS)}; restore it.")
    labels: dict[str, Label] = {}
    for number, row in enumerate(rows[1:], 2):
        label = _parse(row)
        if label is None:
            raise CaptureError(
                f"{path}, line {number}: {','.join(row)!r:.200} is not a path in {LABELLED}/CLASS/ and its class."
            )
        labels[label.sha256] = label
    return labels


def _parse(row: list[str]) -> Label | None:
    if len(row) != len(COLUMNS):
        return None
    path, class_name = Path(row[0]), row[1]
    if ".." in path.parts or path.name.startswith("."):
        return None
    if path.parts[:-1] == (NONE_OF_THESE,):
        return Label(path=path, class_name=None)
    if path.parts[:-1] == (LABELLED, class_name):
        return Label(path=path, class_name=class_name)
    return None


def _link_path(name: str, class_name: str | None) -> Path:
    return Path(NONE_OF_THESE, name) if class_name is None else Path(LABELLED, class_name, name)


def _is_ours(path: Path) -> bool:
    """Return whether this module has made the file: what a person has added by hand stays."""
    is_temporary = path.name.startswith(".") and path.name.endswith(TEMPORARY_SUFFIX)
    stem = path.stem
    return is_temporary or (len(stem) == 64 and set(stem) <= set("0123456789abcdef"))
