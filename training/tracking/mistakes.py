"""A picture of the photos that a network gets wrong, those it is surest of first."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw

from handlers.errors import PhotoError
from reports.names import shorten_name
from training.data.contact_sheet import (
    BACKGROUND,
    GAP_PX,
    INK,
    LABEL_HEIGHT_PX,
    caption_font,
    thumbnail,
)

SHOWN = 12
COLUMNS = 4
SIDE_PX = 176
# Of the widest letters.
NAME_WIDTH = 16


@dataclass(frozen=True, kw_only=True)
class Mistake:
    path: Path
    true: str
    predicted: str
    probability: float


def draw_mistakes(mistakes: Sequence[Mistake]) -> Image.Image | None:
    """Return the 12 surest, each with the predicted and the true class; None if there is none, or no photo left."""
    surest = sorted(mistakes, key=lambda mistake: -mistake.probability)
    shown = [
        (mistake, photo)
        for mistake in surest[:SHOWN]
        if (photo := _thumbnail(mistake.path)) is not None
    ]
    if not shown:
        return None
    cell_height = SIDE_PX + 2 * LABEL_HEIGHT_PX + GAP_PX
    size = (GAP_PX + COLUMNS * (SIDE_PX + GAP_PX), GAP_PX + -(-len(shown) // COLUMNS) * cell_height)
    sheet = Image.new("RGB", size, BACKGROUND)
    draw, font = ImageDraw.Draw(sheet), caption_font()
    for number, (mistake, photo) in enumerate(shown):
        row, column = divmod(number, COLUMNS)
        left, top = GAP_PX + column * (SIDE_PX + GAP_PX), GAP_PX + row * cell_height
        sheet.paste(photo, (left, top))
        predicted = f"{shorten_name(mistake.predicted, NAME_WIDTH)} {mistake.probability:.2f}"
        true = f"is {shorten_name(mistake.true, NAME_WIDTH)}"
        for line, text in enumerate((predicted, true)):
            place = (left, top + SIDE_PX + line * LABEL_HEIGHT_PX)
            draw.text(place, text, fill=INK, font=font)
    return sheet


def _thumbnail(path: Path) -> Image.Image | None:
    try:
        return thumbnail(path, SIDE_PX)
    except (PhotoError, OSError):
        return None
