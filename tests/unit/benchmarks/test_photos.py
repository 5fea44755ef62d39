"""The photos that are posted are found in their folder, as a user's are."""

from pathlib import Path

import pytest
from PIL import Image

from benchmarks import photos
from headswap.photo_paths import find_photos


@pytest.mark.parametrize(("form", "ending"), [("JPEG", ".jpg"), ("PNG", ".png"), ("WEBP", ".webp")])
def test_headswap_finds_them_by_their_endings(tmp_path, monkeypatch, form, ending) -> None:
    data = photos._encode(Image.new("RGB", (8, 8)), form)
    # One breaks off.
    monkeypatch.setitem(photos._KINDS, "mixed", lambda generator: iter([data, data[:-4]]))
    made = [Path(line) for line in photos.make(tmp_path, "mixed").read_text().splitlines()]
    assert {path.suffix for path in made} == {ending}
    assert [one.path for one in find_photos([str(made[0].parent)])] == made
