"""The folder of answers: what is missing is known from the parts alone, and nothing else may be in the folder."""

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch.errors import ExtraError, OutputError
from batch.output import OutputFolder, RunOptions, open_output
from batch.processes import Outcome
from serving.archive.reader import Archive
from tests.unit.photo_folder.conftest import put

ARCHIVE = Archive(
    path=Path("a.mar"), name="clothing", version="1.0", class_names=("cat", "dog"), probe_sets=(), sha256="0" * 64,
)  # fmt: skip
ANSWER = {
    "model": {"name": "clothing", "version": "1.0"},
    "predictions": [
        {"label": "dog", "index": 1, "probability": 0.75},
        {"label": "cat", "index": 0, "probability": 0.25},
    ],
    "outcome": "unknown",
    "unknown_score": 1.5,
}
ANSWERED: Outcome = (200, json.dumps(ANSWER).encode(), None)
REJECTED: Outcome = (
    413,
    json.dumps({"error": {"status": 413, "code": "image_too_large", "message": "large"}}).encode(),
    None,
)


def options_of(photos: Path, *, per_file: int = 3) -> RunOptions:
    return RunOptions.of(ARCHIVE, [str(photos)], top_k=5, photos_per_file=per_file)


def opened(
    folder: Path, photos: Path, *, per_file: int = 3
) -> AbstractContextManager[OutputFolder]:
    return open_output(folder, options_of(photos, per_file=per_file), note=print)


@contextmanager
def ready(folder: Path, photos: Path) -> Iterator[OutputFolder]:
    with opened(folder, photos) as output:
        yield output


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for number in range(7):
        put(tmp_path / "photos" / f"{number}.jpg")
    return tmp_path / "photos"


def write_all(output: OutputFolder) -> None:
    for chunk in output.missing():
        output.write(chunk, [ANSWERED] * len(chunk[1]))


def test_rows_hold_what_csv_has_and_the_code(photos: Path, tmp_path: Path) -> None:
    with opened(tmp_path / "out", photos) as output:
        chunk = next(output.missing())
        output.write(chunk, [ANSWERED, REJECTED, PermissionError(13, "Permission denied", "x")])
    good, bad, unread = pyarrow.parquet.read_table(tmp_path / "out").to_pylist()
    # A model of two classes has no third column, whatever --top-k says.
    assert good == {
        "path": str(photos / "0.jpg"), "model": "clothing", "version": "1.0",
        "label_1": "dog", "probability_1": 0.75, "label_2": "cat", "probability_2": 0.25,
        "outcome": "unknown", "unknown_score": 1.5, "error_code": None, "error": None,
    }  # fmt: skip
    assert (bad["label_1"], bad["error_code"], bad["error"]) == (None, "image_too_large", "large")
    assert unread["error_code"] == "unreadable_file"
    assert "Permission denied" in unread["error"]
    assert {row["version"] for row in (good, bad, unread)} == {"1.0"}


@given(present=st.sets(st.integers(0, 2)))
def test_exactly_the_missing_parts_are_made(
    present: set[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("run")
    for number in range(7):
        put(root / "photos" / f"{number}.jpg")
    with opened(root / "out", root / "photos") as output:
        write_all(output)
        for number in {0, 1, 2} - present:
            (output.path / f"part-{number:08}.parquet").unlink()
    with opened(root / "out", root / "photos") as output:
        assert {number for number, _ in output.missing()} == {0, 1, 2} - present
        write_all(output)
    paths = pyarrow.parquet.read_table(root / "out")["path"].to_pylist()
    assert paths == [str(root / "photos" / f"{number}.jpg") for number in range(7)]


def test_a_damaged_part_is_made_again(photos: Path, tmp_path: Path) -> None:
    with opened(tmp_path / "out", photos) as output:
        write_all(output)
        part = output.path / "part-00000001.parquet"
        part.write_bytes(part.read_bytes()[:40])
        assert [number for number, _ in output.missing()] == [1]


def test_what_a_killed_run_was_writing_is_removed(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    for name in ("._photos.jsonl.0123abcd.part", ".part-00000000.parquet.0123abcd.part"):
        (out / name).write_text("half")
    with opened(out, photos) as output:
        write_all(output)
    assert [file.name for file in out.iterdir() if file.name.startswith(".")] == []


def test_photos_added_later_wait_for_another_folder(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with opened(tmp_path / "out", photos) as output:
        write_all(output)
    put(photos / "later.jpg")
    with opened(tmp_path / "out", photos) as output:
        assert list(output.missing()) == []
        assert output.count_done() == output.listing.count == 7
    assert "goes on with the 7 photos that were listed on" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"archive_sha256": "1" * 64}, "archive_sha256 '0000"),
        ({"version": "2.0"}, "version '1.0', not '2.0'"),
        ({"top_k": 1}, "top_k 2, not 1"),
        ({"photos_per_file": 9}, "photos_per_file 3, not 9"),
        ({"sources": ("/other",)}, "sources"),
    ],
)
def test_another_archive_or_option_is_refused(
    photos: Path, tmp_path: Path, change: dict[str, object], said: str
) -> None:
    options = options_of(photos)
    with open_output(tmp_path / "out", options, note=print):
        pass
    changed = replace(options, **change)  # type: ignore[arg-type]
    with (
        pytest.raises(OutputError, match=f"{said}.*another --out"),
        open_output(tmp_path / "out", changed, note=print),
    ):
        pass


def test_a_folder_of_the_users_is_left_alone(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.odt").write_text("mine")
    with (
        pytest.raises(OutputError, match="'thesis.odt'.*new or empty"),
        opened(tmp_path / "out", photos),
    ):
        pass
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["thesis.odt"]


def test_a_folder_in_use_is_refused(photos: Path, tmp_path: Path) -> None:
    with (
        opened(tmp_path / "out", photos),
        pytest.raises(OutputError, match="in use by another"),
        opened(tmp_path / "out", photos),
    ):
        pass


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"model": 1}'])
def test_a_damaged_record_is_refused(photos: Path, tmp_path: Path, content: str) -> None:
    with opened(tmp_path / "out", photos):
        pass
    (tmp_path / "out" / "_run.json").write_text(content)
    with pytest.raises(OutputError, match="damaged"), opened(tmp_path / "out", photos):
        pass


def test_a_folder_that_cannot_be_written_is_one_sentence(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(OutputError, match="--out .* cannot be written: Not a directory"),
        opened(tmp_path / "file" / "out", photos),
    ):
        pass


@pytest.mark.parametrize(
    ("sources", "per_file", "said"), [(["-"], 1, "standard input"), (["a"], 0, "--photos-per-file")]
)
def test_invalid_options_are_refused(sources: list[str], per_file: int, said: str) -> None:
    with pytest.raises(OutputError, match=said):
        RunOptions.of(ARCHIVE, sources, top_k=1, photos_per_file=per_file)


def test_without_pyarrow_a_sentence_says_how_to_get_it(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with (
        pytest.raises(ExtraError, match="--out needs the package 'pyarrow': pip install"),
        opened(tmp_path / "out", photos),
    ):
        pass
