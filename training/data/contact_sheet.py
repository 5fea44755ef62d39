"""A contact sheet of a photo folder, one row per class: a wrong folder or label shows at a glance."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib
from PIL import Image, ImageDraw, ImageFont, ImageOps

from reports.names import shorten_name
from storage import atomic_path
from training.data.checked import decode_checked
from training.data.photos import Photo, PhotoSet

THUMBNAIL_PX = 96
GAP_PX = 4
LABEL_HEIGHT_PX = 20
LABEL_SIZE_PX = 13
PHOTOS_PER_CLASS = 12
# A row of 12 photos is 1204 pixels wide; 80 of the widest letters of this size leave space for the count.
CAPTION_WIDTH = 80
# Image viewers refuse taller pictures.
CLASSES_PER_SHEET = 100
BACKGROUND, INK = "#ffffff", "#222222"


def write_contact_sheets(photos: PhotoSet, path: Path) -> list[Path]:
    """Write PNGs with up to 12 photos per class, evenly spaced in folder order, and return their paths.

    The first is `path`; beyond 100 classes, more sheets follow, numbered from 2. Raises OSError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    paths = []
    for number, first in enumerate(range(0, len(photos.class_names), CLASSES_PER_SHEET), start=1):
        labels = range(first, min(first + CLASSES_PER_SHEET, len(photos.class_names)))
        numbered = path if number == 1 else path.with_stem(f"{path.stem}-{number}")
        with atomic_path(numbered) as temporary:
            _draw(photos, labels).save(temporary, format="PNG")
        paths.append(numbered)
    return paths


def _draw(photos: PhotoSet, labels: Sequence[int]) -> Image.Image:
    row_height = LABEL_HEIGHT_PX + THUMBNAIL_PX + GAP_PX
    width = GAP_PX + PHOTOS_PER_CLASS * (THUMBNAIL_PX + GAP_PX)
    sheet = Image.new("RGB", (width, GAP_PX + row_height * len(labels)), BACKGROUND)
    draw, font = ImageDraw.Draw(sheet), caption_font()
    for row, label in enumerate(labels):
        members = [photo for photo in photos.photos if photo.label == label]
        top = GAP_PX + row * row_height
        caption = f"{shorten_name(photos.class_names[label], CAPTION_WIDTH)}  ({len(members)})"
        draw.text((GAP_PX, top), caption, fill=INK, font=font)
        for column, photo in enumerate(_evenly_spaced(members, PHOTOS_PER_CLASS)):
            left = GAP_PX + column * (THUMBNAIL_PX + GAP_PX)
            sheet.paste(thumbnail(photo.path), (left, top + LABEL_HEIGHT_PX))
    return sheet


def caption_font() -> ImageFont.FreeTypeFont:
    """Return the font of captions."""
    # DejaVu, which comes with matplotlib, covers more scripts than Pillow's default font.
    return ImageFont.truetype(
        str(Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")), LABEL_SIZE_PX
    )


def _evenly_spaced(members: Sequence[Photo], count: int) -> list[Photo]:
    chosen = min(count, len(members))
    return [members[index * len(members) // chosen] for index in range(chosen)]


def thumbnail(path: Path, side_px: int = THUMBNAIL_PX) -> Image.Image:
    """Return the square in the middle of the photo. Raises as `decode_checked`."""
    photo = decode_checked(path, shorter_side_px=side_px)
    return ImageOps.fit(photo, (side_px, side_px))
