"""What one image may cost, checked by its header before a single pixel of it is decoded."""

from dataclasses import dataclass, fields

from PIL import Image

from handlers.errors import HandlerSettingsError, ImageTooLargeError

DEFAULT_MAX_PIXELS = 50_000_000
# A baseline JPEG is scaled while it is decoded: one of 200 megapixels costs 0.3 s and 20 MB.
DEFAULT_MAX_HEADER_PIXELS = 400_000_000
DEFAULT_MAX_BYTES = 20_000_000

Size = tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class DecodeLimits:
    max_pixels: int = DEFAULT_MAX_PIXELS
    """Pixels that are decoded: of a baseline JPEG those after scaling, of everything else the whole image."""
    max_header_pixels: int = DEFAULT_MAX_HEADER_PIXELS
    """Pixels that the header of a baseline JPEG may claim."""
    max_bytes: int = DEFAULT_MAX_BYTES
    """Of the file."""

    def __post_init__(self) -> None:
        for name in (field.name for field in fields(self)):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise HandlerSettingsError(
                    f"{name} must be a whole number of 1 or more, not {value!r}."
                )

    def check_bytes(self, size_bytes: int) -> None:
        """Raise ImageTooLargeError if the file has too many bytes."""
        if size_bytes > self.max_bytes:
            raise ImageTooLargeError(
                f"the image has {size_bytes} bytes; at most {self.max_bytes} are allowed (max_bytes)."
            )

    def check_size(self, size_px: Size, *, kind: str = "an image") -> None:
        """Raise ImageTooLargeError if an image that is decoded whole has too many pixels."""
        if _area(size_px) > self.max_pixels:
            raise ImageTooLargeError(
                f"the image has {_text(size_px)} pixels; {kind} may have at most {self.max_pixels} (max_pixels)."
            )

    def check_header(self, size_px: Size) -> None:
        """Raise ImageTooLargeError if the header of a baseline JPEG claims too many pixels."""
        if _area(size_px) > self.max_header_pixels:
            raise ImageTooLargeError(
                f"the image has {_text(size_px)} pixels; a JPEG may have at most {self.max_header_pixels} "
                "(max_header_pixels)."
            )

    def check_scaled(self, size_px: Size, *, scaled_px: Size) -> None:
        """Raise ImageTooLargeError if a baseline JPEG has too many pixels after scaling."""
        if _area(scaled_px) > self.max_pixels:
            raise ImageTooLargeError(
                f"the image has {_text(size_px)} pixels, of which {_text(scaled_px)} are decoded; at most "
                f"{self.max_pixels} may be (max_pixels)."
            )

    def overrule_pillow(self) -> None:
        """Raise Pillow's own limit, which otherwise refuses what these limits allow; it is never lowered.

        It still guards what Pillow's plugins allocate before the size of an image is known here.
        """
        if Image.MAX_IMAGE_PIXELS is not None and self.max_pixels > Image.MAX_IMAGE_PIXELS:
            Image.MAX_IMAGE_PIXELS = self.max_pixels


def _area(size_px: Size) -> int:
    return size_px[0] * size_px[1]


def _text(size_px: Size) -> str:
    return f"{size_px[0]} x {size_px[1]}"
