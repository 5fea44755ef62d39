"""Trees of files that begin like photos: nothing here is decoded."""

from collections.abc import Callable
from pathlib import Path

import pytest

JPEG = b"\xff\xd8\xff\xe0" + bytes(40)
Maker = Callable[..., Path]


def put(path: Path, data: bytes = JPEG) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


@pytest.fixture
def photos_in(tmp_path: Path) -> Maker:
    """Return a function that puts two photos into each named folder, and returns the folder of all."""

    def make(*folders: str, count: int = 2) -> Path:
        for folder in folders:
            for number in range(count):
                put(tmp_path / "photos" / folder / f"{number}.jpg")
        return tmp_path / "photos"

    return make
