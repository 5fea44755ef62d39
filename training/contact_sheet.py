"""A picture of a photo folder: one row a class, so that a wrong folder or label is seen at a glance."""

import os
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageOps

from handlers.decoding import decode_photo
from training.photos import Photo, PhotoSet

THUMBNAIL_PX = 96
GAP_PX = 4
LABEL_HEIGHT_PX = 18
PHOTOS_PER_CLASS = 12
BACKGROUND, INK = "#ffffff", "#222222"


def write_contact_sheet(photos: PhotoSet, path: Path) -> None:
    """Write a PNG with up to 12 photos of each class, evenly picked over the folder's order."""
    row_height = LABEL_HEIGHT_PX + THUMBNAIL_PX + GAP_PX
    width = GAP_PX + PHOTOS_PER_CLASS * (THUMBNAIL_PX + GAP_PX)
    sheet = Image.new("RGB", (width, GAP_PX + row_height * len(photos.class_names)), BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    for label, name in enumerate(photos.class_names):
        members = [photo for photo in photos.photos if photo.label == label]
        top = GAP_PX + label * row_height
        draw.text((GAP_PX, top), f"{name}  ({len(members)})", fill=INK)
        for column, photo in enumerate(_evenly(members, PHOTOS_PER_CLASS)):
            left = GAP_PX + column * (THUMBNAIL_PX + GAP_PX)
            sheet.paste(_thumbnail(photo.path), (left, top + LABEL_HEIGHT_PX))
    beside = path.with_name(f".{path.name}.part")
    sheet.save(beside, format="PNG")
    os.replace(beside, path)


def _evenly(members: Sequence[Photo], count: int) -> list[Photo]:
    chosen = min(count, len(members))
    return [members[index * len(members) // chosen] for index in range(chosen)]


def _thumbnail(path: Path) -> Image.Image:
    photo = decode_photo(path.read_bytes(), shorter_side_px=THUMBNAIL_PX)
    return ImageOps.fit(photo, (THUMBNAIL_PX, THUMBNAIL_PX))
