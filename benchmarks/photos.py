"""The photos that are posted: the project's own, enlarged to the sizes people upload.

The sample photos are small (shorter side 176 px), so they are resampled to 366x500 and to 12 megapixels with a
little noise: without it a blown-up photo would compress to almost nothing and decode too easily.
"""

from pathlib import Path

import numpy as np
from PIL import Image

SAMPLE = Path(__file__).parents[1] / "sample_data" / "clothing" / "test"
SIZES_PX = {"366x500": (366, 500), "12mp": (3000, 4000)}
COUNTS = {"366x500": 64, "12mp": 16}
NOISE_STD = 4.0
JPEG_QUALITY = 88


def make(folder: Path, size: str) -> Path:
    """Return a file that lists the photos of one size, one path a line; makes them the first time."""
    listing = folder / f"{size}.txt"
    if listing.exists():
        return listing
    target = folder / size
    target.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(0)
    paths = []
    for number, source in enumerate(
        sorted(SAMPLE.glob("*/*.jpg"))[:: 120 // COUNTS[size]][: COUNTS[size]]
    ):
        path = target / f"{number:02}.jpg"
        _enlarge(source, SIZES_PX[size], generator).save(path, quality=JPEG_QUALITY)
        paths.append(path)
    listing.write_text("".join(f"{path.resolve()}\n" for path in paths))
    return listing


def _enlarge(source: Path, size_px: tuple[int, int], generator: np.random.Generator) -> Image.Image:
    image = Image.open(source).convert("RGB").resize(size_px, Image.Resampling.BICUBIC)
    noise = generator.normal(0, NOISE_STD, (size_px[1], size_px[0], 1)).astype(np.float32)
    return Image.fromarray(np.clip(np.asarray(image) + noise, 0, 255).astype(np.uint8))
