"""The labels of a capture folder as an improvement uses them: divided, counted, and checked before anything is done."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING
from unicodedata import normalize

from capture.labels import LabelBook
from headswap.errors import ArgumentError
from headswap.improve.errors import NotBetterError
from headswap.improve.origin import LiveVersion
from headswap.improve.snapshot import TEST, TRAIN, LinkedFile, count_parts, divide

if TYPE_CHECKING:
    from training.run import Run

# One each for train, val and test.
NEW_CLASS_MIN = 3


@dataclass(frozen=True)
class NewLabels:
    captured: Path
    run: "Run"
    """Of the live version."""
    live: LiveVersion
    share: float
    """Of the labels, measured on."""

    @cached_property
    def files(self) -> list[LinkedFile]:
        """The labelled photos, and where they are to be linked; those that the run was trained on stay in train.

        With them those of its own --also, which lie elsewhere.
        """
        from training.data.also import class_files

        record = self.run.photo_record()
        trained_on = frozenset[str]() if record is None else record.sha256s["train"]
        labels = LabelBook(self.captured).read().values()
        files = divide(self.captured, labels, share=self.share, trained_on=trained_on)
        also = self.run.config().also
        if also is not None and also.is_dir() and not also.is_relative_to(self.captured):
            files += [(file.path, Path(TRAIN, file.class_name)) for file in class_files(also)]
        return files

    def counts(self) -> dict[str, int]:
        """Return how many are to be trained on and to be measured on."""
        return count_parts(self.files)

    def added(self) -> Mapping[str, int]:
        """Return the classes that the live version lacks, and how many photos of each are to be trained on."""
        names = [(folder.parts[0], normalize("NFC", folder.name)) for _, folder in self.files]
        added = sorted({name for _, name in names} - set(self.live.class_names))
        return {name: names.count((TRAIN, name)) for name in added}

    def describe_added(self) -> str:
        """Return what the sentence on the labels says of new classes; nothing where there are none."""
        added = self.added()
        return f", with the new class {', '.join(added)}" if added else ""

    def check(self, *, new_classes: bool) -> None:
        """Check that they can be learned from.

        Raises:
            ArgumentError: one is of a class that the live version lacks, without `new_classes`.
            NotBetterError: they are too few.
        """
        counts, added = self.counts(), self.added()
        if added and not new_classes:
            raise ArgumentError(
                f"the labels have the class {', '.join(map(repr, list(added)[:5]))}, which {self.live.name} "
                f"{self.live.version} lacks; its classes are {', '.join(self.live.class_names)}. Give --new-classes to "
                "make it a class of the next version, or label these photos again."
            )
        for name, count in added.items():
            if count < NEW_CLASS_MIN:
                raise NotBetterError(
                    f"the new class {name!r} has {count} photos to train on, and needs {NEW_CLASS_MIN}, one each for "
                    "train, val and test. Label more photos of it (20 or more are better)."
                )
        if not counts[TRAIN] or not counts[TEST]:
            raise NotBetterError(
                f"{sum(counts.values())} labels are too few: {counts[TRAIN]} to train on and {counts[TEST]} to be "
                "measured on. Label more photos."
            )
