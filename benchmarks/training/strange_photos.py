"""Pictures that are of no class of a photo set, drawn or cut from images that scikit-image and scikit-learn ship."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

SIDE_PX = 256
TEXT = "the answer of a network to a photo of something else is a number like any other"
# Of scikit-image's data folder: photos of other domains, and pictures that are one texture.
SCENES = (
    "astronaut.png", "camera.png", "chelsea.png", "clock_motion.png", "coffee.png", "coins.png",
    "hubble_deep_field.jpg", "ihc.png", "moon.png", "motorcycle_left.png", "retina.jpg", "rocket.jpg",
)  # fmt: skip
TEXTURES = ("brick.png", "grass.png", "gravel.png", "cell.png", "microaneurysms.png")

Draw = Callable[[np.random.Generator], Image.Image]


def noise(generator: np.random.Generator) -> Image.Image:
    """Return random pixels, at a random scale and contrast around a random colour."""
    side = int(generator.choice([8, 32, 128, SIDE_PX]))
    pixels = generator.normal(
        generator.uniform(60, 190, 3), generator.uniform(20, 90), (side, side, 3)
    )
    return _image(pixels).resize((SIDE_PX, SIDE_PX), Image.Resampling.BICUBIC)


def gradient(generator: np.random.Generator) -> Image.Image:
    """Return a smooth change from one colour to another."""
    angle = generator.uniform(0, 2 * np.pi)
    rows, columns = np.mgrid[0:SIDE_PX, 0:SIDE_PX] / SIDE_PX
    along = (rows * np.sin(angle) + columns * np.cos(angle) + 1) / 2
    first, last = generator.uniform(0, 255, (2, 3))
    return _image(first + along[..., None] * (last - first))


def pattern(generator: np.random.Generator) -> Image.Image:
    """Return stripes, checks or rings in two colours."""
    rows, columns = np.mgrid[0:SIDE_PX, 0:SIDE_PX]
    width = generator.uniform(4, 40)
    values = (
        np.sin((rows * generator.uniform(-1, 1) + columns) / width * np.pi),
        np.sin(rows / width * np.pi) * np.sin(columns / width * np.pi),
        np.sin(np.hypot(rows - SIDE_PX / 2, columns - SIDE_PX / 2) / width * np.pi),
    )[generator.integers(3)]
    first, last = generator.uniform(0, 255, (2, 3))
    return _image(np.where((values > 0)[..., None], first, last))


def screenshot(generator: np.random.Generator) -> Image.Image:
    """Return a page of text, or a window with bars, boxes and lines of text."""
    background = int(generator.choice([20, 245, 255]))
    ink = 255 - background
    image = Image.new("RGB", (SIDE_PX, SIDE_PX), (background,) * 3)
    pen = ImageDraw.Draw(image)
    if generator.random() < 0.5:
        pen.rectangle((0, 0, SIDE_PX, 24), fill=tuple(map(int, generator.integers(0, 255, 3))))
        for _ in range(int(generator.integers(2, 7))):
            x, y = generator.integers(0, 200, 2)
            box = (x, y, x + generator.integers(20, 120), y + generator.integers(12, 60))
            pen.rectangle(box, fill=tuple(map(int, generator.integers(0, 255, 3))))
    size_px = int(generator.integers(9, 20))
    font = ImageFont.load_default(size=size_px)
    for y in range(int(generator.integers(4, 40)), SIDE_PX, size_px * 3 // 2):
        pen.text((10, y), " ".join(generator.choice(TEXT.split(), 12)), fill=(ink,) * 3, font=font)
    return image


def crops_of(paths: list[Path]) -> Draw:
    """Return what draws a random part of one of the pictures, at most turned left to right."""
    pictures = [Image.open(path).convert("RGB") for path in paths]

    def draw(generator: np.random.Generator) -> Image.Image:
        picture = pictures[generator.integers(len(pictures))]
        side = int(min(picture.size) * generator.uniform(0.5, 1))
        left = int(generator.integers(0, picture.width - side + 1))
        top = int(generator.integers(0, picture.height - side + 1))
        part = picture.crop((left, top, left + side, top + side))
        if generator.random() < 0.5:
            part = part.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        return part.resize((SIDE_PX, SIDE_PX), Image.Resampling.BICUBIC)

    return draw


def kinds() -> dict[str, Draw]:
    """Return what draws each kind. Raises ImportError without scikit-image and scikit-learn."""
    import skimage  # type: ignore[import-not-found]
    import sklearn  # type: ignore[import-not-found]

    scikit_image = Path(skimage.__file__).parent / "data"
    scikit_learn = Path(sklearn.__file__).parent / "datasets" / "images"
    scenes = [scikit_image / name for name in SCENES]
    scenes += [scikit_learn / name for name in ("china.jpg", "flower.jpg")]
    return {
        "noise": noise,
        "gradients": gradient,
        "patterns": pattern,
        "screenshots": screenshot,
        "textures": crops_of([scikit_image / name for name in TEXTURES]),
        "other scenes": crops_of(scenes),
    }


def _image(pixels: np.ndarray) -> Image.Image:
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
