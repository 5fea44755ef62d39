"""HEIC by the decoder of the wheel pi-heif: the primary image, turned as the file says.

The wheel's own plugin for Pillow is not used. It reads the metadata of every image first, and its C code then crashes
the process on a file whose metadata is damaged (pi-heif 1.4.0: one in a few hundred mutated files).
"""

import importlib
from typing import Any

from PIL import ImageFile

# Workers share the cores.
_THREADS = 1


class HeicImage(ImageFile.ImageFile):
    """An image of which nothing is decoded before `load`; it has no EXIF data, as its orientation is applied."""

    format = "HEIC"
    format_description = "HEIF image with HEVC inside"

    def _open(self) -> None:
        assert self.fp is not None
        library = importlib.import_module("_pi_heif")
        # 8 bits, RGB order, no stride; no 16 bits, any decoder; libheif's limits stay on.
        images = library.load_file(self.fp.read(), _THREADS, True, False, True, False, "", False)
        readable = [image for image in images if image is not None]
        if not readable:
            raise SyntaxError("it holds no image")
        # Any: an object of the C module, which has no types.
        self._encoded: Any = next((image for image in readable if image.primary), readable[0])
        self._size, self._mode = self._encoded.size_mode
        self.tile = []

    def load(self) -> Any:
        """Decode the image, whose size is known for certain only then."""
        if self._encoded is not None:
            data = self._encoded.data
            self._size, self._mode = self._encoded.size_mode
            self.load_prepare()
            self.frombytes(data, "raw", (self._mode, self._encoded.stride))
            # Only now, because `data` points into its memory.
            self._encoded = None
        return super().load()
