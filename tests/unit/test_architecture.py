"""The rooms of docs/architecture.md: who may import whom."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = {"handlers", "training", "serving", "reports", "tuning", "headswap"}
MAY_IMPORT = {
    "handlers": {"handlers"},
    "training": {"training", "handlers", "reports"},
    "serving": {"serving"},
    "reports": {"reports"},
    "tuning": {"tuning", "handlers", "serving", "reports"},
    "headswap": ROOMS,
}


def imported_rooms(file: Path) -> set[str]:
    names: list[str] = []
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.append(node.module)
    return {name.split(".")[0] for name in names} & ROOMS


@pytest.mark.parametrize("room", sorted(ROOMS))
def test_room_opens_only_its_own_doors(room: str) -> None:
    files = [file for file in (ROOT / room).rglob("*.py") if "generated" not in file.parts]
    assert files
    trespassers = {
        str(file.relative_to(ROOT)): imported_rooms(file) - MAY_IMPORT[room]
        for file in files
        if imported_rooms(file) - MAY_IMPORT[room]
    }
    assert trespassers == {}


def test_finds_an_import_when_there_is_one(tmp_path: Path) -> None:
    file = tmp_path / "module.py"
    file.write_text(
        "def f():\n    from serving.client import HttpClient\n    import training.fit.trainer\n"
    )
    assert imported_rooms(file) == {"serving", "training"}
