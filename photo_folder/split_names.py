"""train, val and test by the names that people give their folders, and the columns of their tables."""

import os
import re
from collections.abc import Sequence
from typing import Literal

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")
NAMES: dict[str, Split] = {
    "train": "train", "training": "train", "trn": "train",
    "val": "val", "valid": "val", "validation": "val", "validate": "val", "dev": "val", "development": "val",
    "eval": "val", "evaluation": "val",
    "test": "test", "testing": "test", "tst": "test", "holdout": "test", "hold-out": "test", "hold_out": "test",
}  # fmt: skip
# training_set, test images, val-data, imgs_train, val2017, test1, 01_train
_WORDS = (
    r"set|split|sets|images?|imgs?|photos?|pictures?|pics?|data|dataset|folder|dir|[12][0-9]{3}"
)
_PATTERN = re.compile(
    rf"(?:(?:{_WORDS}|[0-9]{{1,2}})[ _.-]){{0,2}}(?P<split>{'|'.join(NAMES)})(?:[ _.-]?(?:{_WORDS})){{0,3}}"
    r"(?P<number>[ _.-]?[0-9]{1,2})?",
    re.IGNORECASE,
)
_SEPARATORS = " _.-"


def split_of(name: str) -> Split | None:
    """Return the split that a folder of this name holds, in any case and with words as _set; None for others."""
    match = _PATTERN.fullmatch(name.strip())
    if match is None:
        return None
    split = NAMES[match["split"].lower()]
    # dev1 and dev2 may be devices.
    return None if split == "val" and match["number"] else split


def splits_of(names: Sequence[str]) -> dict[str, Split]:
    """Return the split of each name that is one; eval is test where another is val and none is test.

    What all names begin with may be anything, if the rest of them are train and another split: flowers_train and
    flowers_test.
    """
    splits = {name: split for name in names if (split := split_of(name))}
    if not splits:
        start = _common_start(names)
        splits = {name: split for name in names if (split := split_of(name[start:]))}
        if len(set(splits.values())) < 2 or "train" not in splits.values():
            return {}
    vals = [name for name, split in splits.items() if split == "val"]
    evals = [name for name in vals if name.strip().lower().startswith("eval")]
    if len(evals) == 1 and len(vals) == 2 and "test" not in splits.values():
        splits[evals[0]] = "test"
    return splits


def _common_start(names: Sequence[str]) -> int:
    """Return the length of what all names begin with, up to and with its last separator."""
    prefix = os.path.commonprefix(list(names))
    return max(prefix.rfind(separator) for separator in _SEPARATORS) + 1
