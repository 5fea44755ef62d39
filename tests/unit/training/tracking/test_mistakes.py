"""The picture of wrong photos: the surest first, the unreadable left out."""

from pathlib import Path

import numpy as np
from PIL import Image

from training.tracking.mistakes import COLUMNS, GAP_PX, SHOWN, SIDE_PX, Mistake, draw_mistakes


def mistake_of(path: Path, probability: float, value: int = 0) -> Mistake:
    Image.new("RGB", (300, 200), (value, value, value)).save(path)
    return Mistake(
        path=path, true="hat", predicted="a class of a long name", probability=probability
    )


def test_the_surest_come_first(tmp_path: Path) -> None:
    mistakes = [
        mistake_of(tmp_path / f"{number}.png", number / 100, 10 * number)
        for number in range(SHOWN + 5)
    ]
    sheet = draw_mistakes(mistakes)
    assert sheet is not None
    assert sheet.width == GAP_PX + COLUMNS * (SIDE_PX + GAP_PX)
    pixels = np.asarray(sheet)
    shown = [
        pixels[GAP_PX + 9, GAP_PX + column * (SIDE_PX + GAP_PX) + 9, 0] for column in range(COLUMNS)
    ]
    assert shown == [160, 150, 140, 130]


def test_photos_that_are_gone_or_broken_are_left_out(tmp_path: Path) -> None:
    there = mistake_of(tmp_path / "there.png", 0.5, 99)
    gone = mistake_of(tmp_path / "gone.png", 0.9)
    gone.path.unlink()
    broken = mistake_of(tmp_path / "broken.png", 0.8)
    broken.path.write_bytes(b"no photo")
    sheet = draw_mistakes([gone, there, broken])
    assert sheet is not None
    assert np.asarray(sheet)[GAP_PX + 9, GAP_PX + 9, 0] == 99
    assert draw_mistakes([gone, broken]) is None
    assert draw_mistakes([]) is None
