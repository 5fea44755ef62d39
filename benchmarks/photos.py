"""The photos that are posted or trained on: the project's own, enlarged to the sizes people upload.

The sample photos are small (shorter side 176 px), so they are resampled with a little noise: without it a blown-up
photo would compress to almost nothing and decode too easily.
"""

import io
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

SAMPLE = Path(__file__).parents[1] / "sample_data" / "clothing" / "test"
Kind = Literal["366x500", "12mp", "mixed", "1% broken", "broken"]
Size = Literal["366x500", "12mp"]
SIZES_PX: dict[Size, tuple[int, int]] = {"366x500": (366, 500), "12mp": (3000, 4000)}
NOISE_STD = 4.0
JPEG_QUALITY = 88
JUDGED_COUNT = 5


def make(folder: Path, kind: Kind) -> Path:
    """Return a file that lists the photos of one kind, one path a line; makes them the first time."""
    name = kind.replace("% ", "-percent-")
    listing = folder / f"{name}.txt"
    if listing.exists():
        return listing
    target = folder / name
    target.mkdir(parents=True, exist_ok=True)
    paths = []
    for number, data in enumerate(_KINDS[kind](np.random.default_rng(0))):
        path = target / f"{number:03}{_ending(data)}"
        path.write_bytes(data)
        paths.append(path)
    listing.write_text("".join(f"{path.resolve()}\n" for path in paths))
    return listing


def make_folder(folder: Path, size: Size, train_count: int) -> Path:
    """Return a folder to train on, the project's classes in train/, val/ and test/; makes it the first time.

    All three, because headswap would take what is missing out of train/, and the others would not.
    """
    target = folder / f"{size}-{train_count}"
    if target.exists():
        return target
    beside = folder / f".{target.name}.part"
    shutil.rmtree(beside, ignore_errors=True)
    generator = np.random.default_rng(0)
    for split, count in (("train", train_count), ("val", JUDGED_COUNT), ("test", JUDGED_COUNT)):
        found = sorted(SAMPLE.with_name(split).glob("*/*.jpg"))
        for number in range(count):
            # Spread over the classes.
            source = found[number * len(found) // count]
            path = beside / split / source.parent.name / source.name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(_encode(_enlarge(source, SIZES_PX[size], generator)))
    beside.rename(target)
    return target


def _usual(generator: np.random.Generator) -> Iterator[bytes]:
    yield from (_encode(_enlarge(one, SIZES_PX["366x500"], generator)) for one in _sources(64))


def _large(generator: np.random.Generator) -> Iterator[bytes]:
    yield from (_encode(_enlarge(one, SIZES_PX["12mp"], generator)) for one in _sources(16))


def _mixed(generator: np.random.Generator) -> Iterator[bytes]:
    """Yield what people upload: sizes from a thumbnail to 3 megapixels, three quarters JPEG, the rest PNG and WebP."""
    for number, source in enumerate(_sources(64)):
        width_px = int(generator.integers(160, 1536))
        image = _enlarge(source, (width_px, width_px * 4 // 3), generator)
        yield _encode(
            image, ("PNG", "JPEG", "WEBP", "JPEG", "JPEG", "JPEG", "JPEG", "JPEG")[number % 8]
        )


def _partly_broken(generator: np.random.Generator) -> Iterator[bytes]:
    """Yield 100 photos of which one breaks off half-way."""
    for number, source in enumerate(_sources(100)):
        data = _encode(_enlarge(source, SIZES_PX["366x500"], generator))
        yield data[: len(data) // 2] if number == 50 else data


def _broken(generator: np.random.Generator) -> Iterator[bytes]:
    """Yield photos without a beginning: as large as the usual ones, and refused at once."""
    yield from (bytes(64) + data[64:] for data in _usual(generator))


_KINDS: dict[Kind, Callable[[np.random.Generator], Iterator[bytes]]] = {
    "366x500": _usual,
    "12mp": _large,
    "mixed": _mixed,
    "1% broken": _partly_broken,
    "broken": _broken,
}


def _sources(count: int) -> list[Path]:
    found = sorted(SAMPLE.glob("*/*.jpg"))
    return found[:: len(found) // count][:count]


def _ending(data: bytes) -> str:
    """Return what a folder of photos is searched for, also of one that breaks off half-way."""
    return {b"\x89PNG": ".png", b"RIFF": ".webp"}.get(data[:4], ".jpg")


def _encode(image: Image.Image, form: str = "JPEG") -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, quality=JPEG_QUALITY)
    return buffer.getvalue()


def _enlarge(source: Path, size_px: tuple[int, int], generator: np.random.Generator) -> Image.Image:
    image = Image.open(source).convert("RGB").resize(size_px, Image.Resampling.BICUBIC)
    noise = NOISE_STD * generator.standard_normal((size_px[1], size_px[0], 1), np.float32)
    return Image.fromarray(np.clip(np.asarray(image) + noise, 0, 255).astype(np.uint8))
