"""Probes are photos that every host can decode, if the run has any."""

import shutil
from pathlib import Path

from PIL import Image

from training.export.probes import choose_probes

HEIC = Path(__file__).parents[2] / "handlers" / "images" / "heic" / "orientation_1.heic"


def evaluation_of(folder: Path, names: list[str]) -> dict:
    for name in names:
        if name.endswith(".HEIC"):
            shutil.copy(HEIC, folder / name)
        else:
            Image.new("RGB", (8, 6)).save(folder / name)
    return {"photos": [{"path": str(folder / name)} for name in names]}


def test_heic_is_a_probe_only_where_there_is_nothing_else(tmp_path: Path) -> None:
    mixed = evaluation_of(tmp_path, ["a.HEIC", "b.jpg", "c.HEIC", "d.png"])
    assert [path.name for path in choose_probes(mixed)] == ["b.jpg", "d.png"]
    alone = evaluation_of(tmp_path, ["a.HEIC", "c.HEIC"])
    assert [path.name for path in choose_probes(alone)] == ["a.HEIC", "c.HEIC"]
