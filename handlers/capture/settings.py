"""Which photos the server keeps, where and for how long: from `headswap serve` to its workers, by one variable.

Standard library only: `serving` writes the variable, and must work without torch and numpy.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

VARIABLE = "HEADSWAP_CAPTURE"


@dataclass(frozen=True, kw_only=True)
class CaptureSettings:
    folder: str
    """Absolute."""
    share: float = 0.01
    """Of all photos, chosen at random."""
    below: float = 0.6
    """Photos whose likeliest class has a lower probability are kept; 0 keeps none for that reason."""
    unknown: bool = False
    """Keep photos whose outcome is unknown: none of the classes."""
    max_mb: int = 2000
    """Megabytes (10^6 bytes) in photos/; beyond it the oldest go."""
    keep_days: float = 30
    """Photos older than this go."""
    exif: bool = False
    """Keep the EXIF data and other metadata, such as the place and the camera."""

    def __post_init__(self) -> None:
        for name, low, high in (("share", 0, 1), ("below", 0, 1)):
            if not low <= getattr(self, name) <= high:
                raise ValueError(
                    f"--capture-{name} must be between {low} and {high}, not {getattr(self, name)}."
                )
        for name in ("max_mb", "keep_days"):
            # Written this way round so that NaN is refused too.
            if not 0 < getattr(self, name) < 1e9:
                raise ValueError(
                    f"--capture-{name.replace('_', '-')} must be above 0 and below 1,000,000,000, not "
                    f"{getattr(self, name)}."
                )

    @property
    def max_bytes(self) -> int:
        return self.max_mb * 1_000_000

    def to_environment(self) -> dict[str, str]:
        """Return the variable that a worker reads the settings from."""
        return {VARIABLE: json.dumps(asdict(self))}

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self | None:
        """Return the settings; None where nothing is kept.

        Raises:
            ValueError: the variable was set by hand, to something else.
        """
        text = environment.get(VARIABLE)
        if not text:
            return None
        try:
            values: dict[str, Any] = json.loads(text)
            return cls(**values)
        except (json.JSONDecodeError, TypeError, RecursionError) as error:
            raise ValueError(
                f"{VARIABLE} is {text!r:.200}, which `headswap serve --capture` did not write: {error}."
            ) from None
