"""From a file's bytes to the square of pixels the network sees, the same in training and in serving."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, Self

import numpy as np
from PIL import Image

from handlers.errors import PreprocessingError
from handlers.images.colour import MAX_WHITE_LEVEL, GreyRange
from handlers.images.decoding import Bytes, DecodedPhoto, decode_as_stored
from handlers.images.limits import DecodeLimits

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

MAX_IMAGE_SIZE_PX = 4096

# Fields that archives of earlier versions lack; without them, photos become what they did then.
_LATER_FIELDS = {"grey_range", "fit"}

_RESAMPLING = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}

# A PNG ten times as large as needed is first averaged down to three times the size, then resampled: at 3, says Pillow's
# documentation, the result is nearly that of resampling in one step.
_REDUCING_GAP = 3.0

Interpolation = Literal["bilinear", "bicubic"]
Fit = Literal["crop", "pad", "stretch"]
FITS: tuple[Fit, ...] = ("crop", "pad", "stretch")


@dataclass(frozen=True, kw_only=True)
class PreprocessingSpec:
    """How a photo becomes `(S, S, 3) uint8`, and how the network normalises it.

    The photo is resampled to S x S in one step: with fit crop its central square of side `shorter side /
    resize_ratio`, with stretch the whole photo, with pad the whole photo between bars of the mean colour.
    """

    image_size_px: int = 224
    resize_ratio: float = 256 / 224
    interpolation: Interpolation = "bilinear"
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    grey_range: GreyRange = "full"
    """Of greyscale of more than 8 bits: what becomes black, and what white."""
    fit: Fit = "crop"

    def __post_init__(self) -> None:
        if not _is_int(self.image_size_px) or not 1 <= self.image_size_px <= MAX_IMAGE_SIZE_PX:
            raise _invalid(
                "image_size_px", self.image_size_px, f"a whole number from 1 to {MAX_IMAGE_SIZE_PX}"
            )
        if not _is_number(self.resize_ratio) or not 1 <= self.resize_ratio <= 10:
            raise _invalid("resize_ratio", self.resize_ratio, "a number from 1 to 10")
        if self.interpolation not in _RESAMPLING:
            raise _invalid("interpolation", self.interpolation, " or ".join(_RESAMPLING))
        if self.fit not in FITS:
            raise _invalid("fit", self.fit, " or ".join(FITS))
        for name in ("mean", "std"):
            object.__setattr__(self, name, _three_numbers(name, getattr(self, name)))
        if min(self.std) <= 0:
            raise _invalid("std", self.std, "three numbers above 0")
        if self.grey_range not in ("full", "minmax") and not (
            _is_int(self.grey_range) and 1 <= int(self.grey_range) <= MAX_WHITE_LEVEL
        ):
            allowed = f"full, minmax, or a white level from 1 to {MAX_WHITE_LEVEL}"
            raise _invalid("grey_range", self.grey_range, allowed)

    @property
    def shorter_side_px(self) -> int:
        """The smallest shorter side to decode to at which nothing need be enlarged."""
        if self.fit != "crop":
            return self.image_size_px
        return math.ceil(self.image_size_px * self.resize_ratio - 1e-6)

    @property
    def bar_colour(self) -> tuple[int, ...]:
        """The colour of the bars of fit pad: the mean, which the network sees as zeros."""
        return tuple(min(max(round(255 * value), 0), 255) for value in self.mean)

    def to_dict(self) -> dict[str, Any]:
        return {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return the spec; unknown keys are ignored, because they may come from a newer version.

        Raises:
            PreprocessingError: a field is missing, or its value is not allowed.
        """
        names = [field.name for field in fields(cls)]
        missing = [name for name in names if name not in values and name not in _LATER_FIELDS]
        if missing:
            raise PreprocessingError(
                f"preprocessing lacks {', '.join(missing)}; it needs {', '.join(names)}."
            )
        return cls(**{name: values[name] for name in names if name in values})


def load_pixels(
    data: Bytes, spec: PreprocessingSpec, limits: DecodeLimits | None = None
) -> np.ndarray:
    """Return the photo as `(S, S, 3) uint8`, RGB, 0..255, upright.

    Raises:
        PhotoError: the bytes are not an image in a supported format, or exceed `limits`.
    """
    return crop_pixels(
        decode_as_stored(
            data,
            shorter_side_px=spec.shorter_side_px,
            limits=limits,
            grey_range=spec.grey_range,
        ),
        spec,
    )


def crop_pixels(photo: DecodedPhoto, spec: PreprocessingSpec) -> np.ndarray:
    """Return a decoded photo, cropped, padded or stretched, as `(S, S, 3) uint8`, upright."""
    small = fit_square(photo.image, spec, side_px=spec.image_size_px)
    # What is cut out or padded is central, so the square can be turned: 50 thousand pixels instead of millions.
    if photo.upright is not None:
        small = small.transpose(photo.upright)
    # A copy, because Pillow's own memory is read-only, which torch.from_numpy warns about.
    return np.array(small)


def fit_square(image: Image.Image, spec: PreprocessingSpec, *, side_px: int) -> Image.Image:
    """Return the RGB image as a square of `side_px`, by the spec's fit and interpolation."""
    small = image.resize(
        scaled_size(image.size, spec.fit, side_px=side_px),
        _RESAMPLING[spec.interpolation],
        box=source_box(image.size, spec),
        reducing_gap=_REDUCING_GAP,
    )
    if small.size == (side_px, side_px):
        return small
    square = Image.new("RGB", (side_px, side_px), spec.bar_colour)
    square.paste(small, ((side_px - small.width) // 2, (side_px - small.height) // 2))
    return square


def source_box(
    size_px: tuple[int, int], spec: PreprocessingSpec
) -> tuple[float, float, float, float]:
    """Return left, top, right and bottom of the part of the photo that is used."""
    if spec.fit == "crop":
        return central_square(size_px, spec.resize_ratio)
    return 0.0, 0.0, float(size_px[0]), float(size_px[1])


def scaled_size(size_px: tuple[int, int], fit: Fit, *, side_px: int) -> tuple[int, int]:
    """Return width and height that the part is resampled to: the square itself, or with fit pad what lies in it.

    Bars on two sides are equally wide, so that a photo may be turned before or after it is padded.
    """
    if fit != "pad":
        return side_px, side_px
    longer = max(size_px)
    width, height = (
        max(side_px - 2 * round((side_px - side_px * each / longer) / 2), 2 - side_px % 2)
        for each in size_px
    )
    return width, height


def central_square(
    size_px: tuple[int, int], resize_ratio: float
) -> tuple[float, float, float, float]:
    """Return left, top, right and bottom in fractional pixels, never outside the photo."""
    width, height = size_px
    side = min(width, height) / resize_ratio
    left, top = (width - side) / 2, (height - side) / 2
    return left, top, min(left + side, width), min(top + side, height)


def _three_numbers(name: str, value: Any) -> tuple[float, ...]:
    if not isinstance(value, (list, tuple)) or len(value) != 3 or not all(map(_is_number, value)):
        raise _invalid(name, value, "three finite numbers")
    return tuple(float(number) for number in value)


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return (_is_int(value) or isinstance(value, float)) and math.isfinite(value)


def _invalid(name: str, value: Any, allowed: str) -> PreprocessingError:
    return PreprocessingError(f"preprocessing {name} must be {allowed}, not {value!r}.")
