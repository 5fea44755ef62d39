"""Photos to post and to train on: the project's own, enlarged to the sizes that people upload.

The sample photos are small (shorter side 176 px), so they are enlarged with a little noise: without it they would
compress to almost nothing and decode too fast.
"""

import io
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from benchmarks.measurements import ROOT

SAMPLE = ROOT / "sample_data" / "clothing" / "test"
Kind = Literal["366x500", "12mp", "mixed", "1% broken", "broken"]
Size = Literal["366x500", "12mp"]
SIZES_PX: dict[Size, tuple[int, int]] = {"366x500": (366, 500), "12mp": (3000, 4000)}
NOISE_STD = 4.0
JPEG_QUALITY = 88
EVALUATION_COUNT = 5


def make(folder: Path, kind: Kind) -> Path:
    """Return a file that lists the photos of one kind, one path per line; the first call makes them."""
    name = kind.replace("% ", "-percent-")
    listing = folder / f"{name}.txt"
    if listing.exists():
        return listing
    target = folder / name
    target.mkdir(parents=True, exist_ok=True)
    paths = []
    for number, data in enumerate(_KINDS[kind](np.random.default_rng(0))):
        path = target / f"{number:03}{_extension(data)}"
        path.write_bytes(data)
        paths.append(path)
    listing.write_text("".join(f"{path.resolve()}\n" for path in paths))
    return listing


def make_folder(folder: Path, size: Size, train_count: int) -> Path:
    """Return a folder with the project's classes in train/, val/ and test/; the first call makes it.

    All three exist, because headswap would otherwise split them off train/, and the peers would not.
    """
    target = folder / f"{size}-{train_count}"
    if target.exists():
        return target
    temporary = folder / f".{target.name}.part"
    shutil.rmtree(temporary, ignore_errors=True)
    generator = np.random.default_rng(0)
    for split, count in (
        ("train", train_count),
        ("val", EVALUATION_COUNT),
        ("test", EVALUATION_COUNT),
    ):
        sources = sorted(SAMPLE.with_name(split).glob("*/*.jpg"))
        for number in range(count):
            # Spread over the classes.
            source = sources[number * len(sources) // count]
            path = temporary / split / source.parent.name / source.name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(_encode(_enlarge(source, SIZES_PX[size], generator)))
    temporary.rename(target)
    return target


def _medium(generator: np.random.Generator) -> Iterator[bytes]:
    yield from (
        _encode(_enlarge(source, SIZES_PX["366x500"], generator)) for source in _sources(64)
    )


def _large(generator: np.random.Generator) -> Iterator[bytes]:
    yield from (_encode(_enlarge(source, SIZES_PX["12mp"], generator)) for source in _sources(16))


def _mixed(generator: np.random.Generator) -> Iterator[bytes]:
    """Yield photos from thumbnails to 3 megapixels, three quarters of them JPEG, the rest PNG and WebP."""
    for number, source in enumerate(_sources(64)):
        width_px = int(generator.integers(160, 1536))
        image = _enlarge(source, (width_px, width_px * 4 // 3), generator)
        yield _encode(
            image, ("PNG", "JPEG", "WEBP", "JPEG", "JPEG", "JPEG", "JPEG", "JPEG")[number % 8]
        )


def _partly_broken(generator: np.random.Generator) -> Iterator[bytes]:
    """Yield 100 photos, one of them truncated half-way."""
    for number, source in enumerate(_sources(100)):
        data = _encode(_enlarge(source, SIZES_PX["366x500"], generator))
        yield data[: len(data) // 2] if number == 50 else data


def _broken(generator: np.random.Generator) -> Iterator[bytes]:
    """Yield photos whose header is overwritten: as large as the medium ones, and rejected at once."""
    yield from (bytes(64) + data[64:] for data in _medium(generator))


_KINDS: dict[Kind, Callable[[np.random.Generator], Iterator[bytes]]] = {
    "366x500": _medium,
    "12mp": _large,
    "mixed": _mixed,
    "1% broken": _partly_broken,
    "broken": _broken,
}


def _sources(count: int) -> list[Path]:
    sources = sorted(SAMPLE.glob("*/*.jpg"))
    return sources[:: len(sources) // count][:count]


def _extension(data: bytes) -> str:
    """Return the file name extension of the encoded photo, truncated or not."""
    return {b"\x89PNG": ".png", b"RIFF": ".webp"}.get(data[:4], ".jpg")


def _encode(image: Image.Image, image_format: str = "JPEG") -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, image_format, quality=JPEG_QUALITY)
    return buffer.getvalue()


def _enlarge(source: Path, size_px: tuple[int, int], generator: np.random.Generator) -> Image.Image:
    image = Image.open(source).convert("RGB").resize(size_px, Image.Resampling.BICUBIC)
    noise = NOISE_STD * generator.standard_normal((size_px[1], size_px[0], 1), np.float32)
    return Image.fromarray(np.clip(np.asarray(image) + noise, 0, 255).astype(np.uint8))
