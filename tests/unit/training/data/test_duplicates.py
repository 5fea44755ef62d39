"""Precision and recall of near-duplicates: planted copies, plain pictures, and one thing in two colours."""

import random
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from training.data.duplicates import NearDuplicate, find_near_duplicates
from training.data.photos import Photo

SAMPLE = Path(__file__).parents[4] / "sample_data" / "clothing"
ORIGINALS = 48


def photos_of(folder: Path) -> list[Photo]:
    return [
        Photo(path=path, label=0, split="train", sha256=path.name)
        for path in sorted(folder.iterdir())
    ]


def names_of(pairs: list[NearDuplicate]) -> set[frozenset[str]]:
    return {frozenset((pair.first.path.stem, pair.second.path.stem)) for pair in pairs}


def cropped(image: Image.Image, shares: list[float]) -> Image.Image:
    width, height = image.size
    left, upper, right, lower = shares
    return image.crop(
        (
            round(left * width),
            round(upper * height),
            round(width * (1 - right)),
            round(height * (1 - lower)),
        )
    )


def test_planted_copies_are_found_and_different_photos_are_not(tmp_path: Path) -> None:
    """Each of 48 photos is planted resized, recompressed, and cropped by 5, by 10 and by any 0 to 10 % a side."""
    chosen = random.Random(0)
    planted: dict[str, set[frozenset[str]]] = {}
    for number, path in enumerate(chosen.sample(sorted(SAMPLE.rglob("*.jpg")), ORIGINALS)):
        image = Image.open(path).convert("RGB")
        image.save(tmp_path / f"{number}-original.jpg", quality=95)
        copies = {
            "half": (image.resize((image.width // 2, image.height // 2)), 80),
            "quality30": (image, 30),
            "crop5": (cropped(image, [0.05] * 4), 70),
            "crop10": (cropped(image, [0.1] * 4), 70),
            "odd": (cropped(image, [chosen.uniform(0, 0.1) for _ in range(4)]), 70),
        }
        for kind, (copy, quality) in copies.items():
            copy.save(tmp_path / f"{number}-{kind}.jpg", quality=quality)
            pair = frozenset((f"{number}-original", f"{number}-{kind}"))
            planted.setdefault(kind, set()).add(pair)
    found = names_of(find_near_duplicates(photos_of(tmp_path)))
    true = {pair for pair in found if len({name.split("-")[0] for name in pair}) == 1}
    assert len(true) >= 0.95 * len(found)
    for kind, pairs in planted.items():
        assert len(pairs & found) >= 0.9 * len(pairs), kind


def scene(seed: int) -> np.ndarray:
    """Return the brightness of a photo-like picture, `(72, 96, 1)`, 0 to 1."""
    small = np.random.default_rng(seed).integers(0, 256, (6, 8), dtype=np.uint8)
    large = Image.fromarray(small).resize((96, 72), Image.Resampling.BICUBIC)
    return np.asarray(large, np.float32)[..., None] / 255


def blank(number: int) -> np.ndarray:
    base = 5 if number % 2 else 250
    noise = np.random.default_rng(number).integers(-4, 5, (80, 80, 3))
    return np.clip(base + noise, 0, 255)


def swatch(number: int) -> np.ndarray:
    return np.zeros((80, 80, 3)) + np.roll((200 - number, 40, 40), number % 3)


def ripe_or_unripe(number: int) -> np.ndarray:
    colour = np.array((1.0, 0.25, 0.2) if number % 2 else (0.2, 0.9, 0.25))
    return scene(number // 2) * colour * 200


def product(number: int) -> np.ndarray:
    """A thing of one shape in the middle of white, in the colours and with the print of its number."""
    random_numbers = random.Random(number)
    image = Image.new("RGB", (160, 160), "white")
    draw = ImageDraw.Draw(image)
    draw.rectangle((45, 35, 115, 135), fill=tuple(random_numbers.choices(range(230), k=3)))
    left, upper = random_numbers.randrange(55, 80), random_numbers.randrange(45, 100)
    print_colour = tuple(random_numbers.choices(range(230), k=3))
    draw.ellipse((left, upper, left + 25, upper + 25), fill=print_colour)
    return np.asarray(image)


@pytest.mark.parametrize("kind", [blank, swatch, ripe_or_unripe, product])
def test_what_differs_in_colour_or_is_plain_has_no_near_duplicate(kind, tmp_path: Path) -> None:
    for number in range(20):
        Image.fromarray(kind(number).astype(np.uint8)).save(tmp_path / f"{number:02}.png")
    assert names_of(find_near_duplicates(photos_of(tmp_path))) == set()


def test_an_exact_copy_of_a_plain_picture_under_another_label_is_named(tmp_path: Path) -> None:
    path = tmp_path / "plain.png"
    Image.new("RGB", (40, 40), "red").save(path)
    photos = [Photo(path=path, label=label, split="train", sha256="1") for label in (0, 1, 1)]
    pairs = find_near_duplicates(photos)
    assert [(pair.first.label, pair.second.label) for pair in pairs] == [(0, 1), (0, 1)]
