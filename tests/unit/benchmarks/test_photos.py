"""headswap finds the photos that are posted in their folder, as it finds a user's."""

from pathlib import Path

import pytest
from PIL import Image

from benchmarks import photos
from headswap.photo_paths import find_photos


@pytest.mark.parametrize(
    ("image_format", "extension"), [("JPEG", ".jpg"), ("PNG", ".png"), ("WEBP", ".webp")]
)
def test_headswap_finds_them_by_their_extensions(
    tmp_path, monkeypatch, image_format, extension
) -> None:
    data = photos._encode(Image.new("RGB", (8, 8)), image_format)
    # The second is truncated.
    monkeypatch.setitem(photos._KINDS, "mixed", lambda generator: iter([data, data[:-4]]))
    made = [Path(line) for line in photos.make(tmp_path, "mixed").read_text().splitlines()]
    assert {path.suffix for path in made} == {extension}
    assert [photo.path for photo in find_photos([str(made[0].parent)])] == made
