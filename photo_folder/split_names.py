"""train, val and test by the names that people give their folders, and the columns of their tables."""

import re
from collections.abc import Sequence
from typing import Literal

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")
NAMES: dict[str, Split] = {
    "train": "train", "training": "train",
    "val": "val", "valid": "val", "validation": "val", "validate": "val", "dev": "val", "development": "val",
    "eval": "val", "evaluation": "val",
    "test": "test", "testing": "test", "holdout": "test", "hold-out": "test", "hold_out": "test",
}  # fmt: skip
# training_set, test images, val-data, val2017
_SUFFIXES = (
    r"set|split|sets|images?|imgs?|photos?|pictures?|pics?|data|dataset|folder|dir|[12][0-9]{3}"
)
_PATTERN = re.compile(rf"({'|'.join(NAMES)})(?:[ _.-]?(?:{_SUFFIXES}))*", re.IGNORECASE)


def split_of(name: str) -> Split | None:
    """Return the split that a folder of this name holds, in any case and with a suffix as _set; None for others."""
    match = _PATTERN.fullmatch(name.strip())
    return NAMES[match[1].lower()] if match else None


def splits_of(names: Sequence[str]) -> dict[str, Split]:
    """Return the split of each name that is one; eval is test where another is val and none is test."""
    splits = {name: split for name in names if (split := split_of(name))}
    vals = [name for name, split in splits.items() if split == "val"]
    evals = [name for name in vals if name.strip().lower().startswith("eval")]
    if len(evals) == 1 and len(vals) == 2 and "test" not in splits.values():
        splits[evals[0]] = "test"
    return splits
