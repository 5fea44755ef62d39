"""Which cells the accuracy benchmark measures and in which order, what its table says, and what a draw holds."""

import itertools
from pathlib import Path

import pytest
from PIL import Image

from benchmarks.peers.recipes import RECIPES
from benchmarks.training import accuracy_table, photo_sets
from benchmarks.training.accuracy import ROWS, SETTINGS, Cell, Command, cells, config_of
from benchmarks.training.accuracy_table import HEAD_ALONE, HEADSWAP, table, tables
from benchmarks.training.photo_sets import TEST_SHARE, draw


def cell(
    recipe: str, seed: int, accuracy: float, photo_set: str = "hats", epochs: int = 6
) -> dict[str, object]:
    return {
        "photo_set": photo_set, "photos_per_class": 10, "seed": seed, "recipe": recipe,
        "architecture": "efficientnet_lite1", "image_size_px": 96, "epochs": epochs,
        "accuracy": accuracy, "test_n": 100,
    }  # fmt: skip


def test_every_row_has_every_recipe_once_before_a_second_draw() -> None:
    command = Command(seeds=2)
    first = list(itertools.islice(cells(command), len(ROWS) * len(command.recipes)))
    assert {cell.seed for cell in first} == {0}
    assert len({cell.key for cell in cells(command)}) == 2 * len(first)
    assert {cell.recipe for cell in first[: len(command.recipes)]} == {*SETTINGS, *RECIPES}
    assert set(command.recipes) == set(accuracy_table.RECIPES)


def test_the_lead_is_the_mean_over_rows_of_differences_draw_by_draw() -> None:
    cells = [
        cell(HEADSWAP, 0, 0.5), cell(HEAD_ALONE, 0, 0.4),
        cell(HEADSWAP, 1, 0.9), cell(HEAD_ALONE, 1, 0.8),
        # Has no partner: it counts for its mean, but for no lead.
        cell(HEAD_ALONE, 2, 0.1),
        cell(HEADSWAP, 0, 0.7, "caps"), cell(HEAD_ALONE, 0, 0.7, "caps"),
    ]  # fmt: skip
    text = table(cells)
    assert "| hats, 10 a class | **70.0 ± 28.3** | 43.3 ± 35.1 |" in text
    assert "| caps, 10 a class | **70.0** | **70.0** |" in text
    assert "| headswap's lead, points | | +5.0 ± 5.0 (2) |" in text


def test_one_row_and_one_draw_have_no_error() -> None:
    text = table([cell(HEADSWAP, 0, 0.5), cell(HEAD_ALONE, 0, 0.4)])
    assert "| headswap's lead, points | | +10.0 (1) |" in text
    assert "one draw, 100 to 100 test photos" in text


def test_numbers_of_epochs_are_not_mixed() -> None:
    longer = cell(HEADSWAP, 0, 0.9, epochs=30)
    shorter = [cell(HEADSWAP, 0, 0.5), cell(HEAD_ALONE, 0, 0.4)]
    results = {"cells": {str(number): one for number, one in enumerate([longer, *shorter])}}
    assert tables(results) == f"{table(shorter)}\n{table([longer])}"
    assert "96 px, 30 epochs" in tables(results)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, count in (("cap", 20), ("hat", 30)):
        (tmp_path / "source" / name).mkdir(parents=True)
        for number in range(count):
            path = tmp_path / "source" / name / f"{number}.png"
            Image.new("RGBA", (32 + number, 40), (number, count, 0, 0)).save(path)
            # The same file again, which a set must not hold twice.
            path.with_stem(f"copy-{number}").write_bytes(path.read_bytes())
    photos = photo_sets.pictures(tmp_path / "source", {"cap": ("cap",), "hat": ("hat",)})
    photo_sets.convert(photos, tmp_path / "photos" / "heads")
    return tmp_path


def names(draw_folder: Path, split: str) -> set[str]:
    return {path.name for path in (draw_folder / split).glob("*/*")}


def test_photos_become_rgb_on_white_and_equal_files_one(folder: Path) -> None:
    paths = sorted((folder / "photos" / "heads").glob("*/*.jpg"))
    assert len(paths) == 50
    image = Image.open(paths[0])
    assert min(image.size) == photo_sets.SHORTER_SIDE_PX
    assert image.getpixel((5, 5)) == (255, 255, 255)


def test_a_draw_has_the_photos_asked_for_and_the_test_split_of_every_draw(folder: Path) -> None:
    first, second = (draw("heads", photos_per_class=5, seed=seed, folder=folder) for seed in (0, 1))
    assert len(names(first, "train")) == 10
    assert len(names(first, "val")) == 4
    assert len(names(first, "test")) == int(TEST_SHARE * 20) + int(TEST_SHARE * 30)
    assert names(first, "test") == names(second, "test")
    assert names(first, "train") != names(second, "train")
    assert not names(first, "train") & (names(first, "val") | names(first, "test"))
    everything = draw("heads", photos_per_class=0, seed=0, folder=folder)
    assert sum(len(names(everything, split)) for split in ("train", "val", "test")) == 50


def test_a_draw_that_a_class_has_too_few_photos_for_is_refused(folder: Path) -> None:
    with pytest.raises(ValueError, match="12 \\+ 2 are needed"):
        draw("heads", photos_per_class=12, seed=0, folder=folder)
    with pytest.raises(ValueError, match="there is no set 'feet'"):
        draw("feet", photos_per_class=1, seed=0, folder=folder)


def test_headswap_recipes_differ_in_their_settings_alone(folder: Path) -> None:
    def config(recipe: str) -> dict[str, object]:
        one = Cell(
            photo_set="heads", photos_per_class=5, seed=1, recipe=recipe,
            architecture="efficientnet_lite0", image_size_px=64, epochs=2,
        )  # fmt: skip
        return config_of(one, folder).to_dict()

    whole, head = config(HEADSWAP), config(HEAD_ALONE)
    assert {name for name in whole if whole[name] != head[name]} == {"freeze", "out"}
