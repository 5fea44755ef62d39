"""Which photos a run was trained on, validated by and tested with, by sha256 and group: photos.json of a run folder.

Files move and change their names; their bytes tell whether the network has seen them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from training.data.photos import SPLITS, Photo, PhotoSet, Split

UNLABELED = "unlabeled"


@dataclass(frozen=True, kw_only=True)
class PhotoRecord:
    sha256s: Mapping[str, frozenset[str]]
    """By split, and those of the unlabeled photos."""
    groups: Mapping[str, frozenset[str]]
    """Groups by split; empty without --group-by."""

    @classmethod
    def of(cls, photos: PhotoSet) -> Self:
        """Return the record of a set of photos."""
        parts: dict[str, tuple[Photo, ...]] = {split: photos.of(split) for split in SPLITS}
        return cls(
            sha256s={
                name: frozenset(photo.sha256 for photo in part)
                for name, part in {**parts, UNLABELED: photos.unlabeled}.items()
            },
            groups={
                name: frozenset(photo.group for photo in part if photo.group is not None)
                for name, part in parts.items()
            },
        )

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return the record that `to_dict` describes. Raises ValueError for anything else."""
        try:
            parts = {
                name: {str(key): frozenset(map(str, items)) for key, items in values[name].items()}
                for name in ("sha256s", "groups")
            }
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"it does not list the photos of a run: {error!r}") from None
        return cls(**parts)

    def to_dict(self) -> dict[str, Any]:
        """Return what photos.json holds."""
        return {
            name: {key: sorted(items) for key, items in part.items()}
            for name, part in (("sha256s", self.sha256s), ("groups", self.groups))
        }

    def split_of(self, photo: Photo) -> Split | None:
        """Return the split that a photo of these bytes was in; None if it was in none."""
        return next((s for s in SPLITS if photo.sha256 in self.sha256s.get(s, ())), None)

    def is_seen(self, photo: Photo, *, split: Split) -> bool:
        """Return whether the photo, or one of its group, was used for anything but `split`."""
        return any(
            photo.sha256 in self.sha256s.get(other, ()) or photo.group in self.groups.get(other, ())
            for other in (*SPLITS, UNLABELED)
            if other != split
        )
