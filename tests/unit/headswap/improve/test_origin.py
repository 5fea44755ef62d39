"""The run of the live version: found by its weights, wherever it lies, and never another one."""

import json
from hashlib import sha256
from pathlib import Path

import pytest

from headswap.errors import ArgumentError
from headswap.improve.origin import LiveVersion, find_run
from training.config import TrainConfig
from training.errors import RunError

LIVE = LiveVersion(
    name="clothing", version="1.0", archive=Path("clothing-1.0.mar"), class_names=("hat", "shoe"),
    weights_sha256=sha256(b"live").hexdigest(), data_fingerprint="f1", training_run="first",
    precision="float32", model_config=b"",
)  # fmt: skip


def make_run(folder: Path, weights: bytes, *, data: Path, fingerprint: str = "f1") -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(TrainConfig(data=data).to_dict()))
    (folder / "data.json").write_text(json.dumps({"fingerprint": fingerprint}))
    (folder / "best.safetensors").write_bytes(weights)
    return folder


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    (tmp_path / "photos").mkdir()
    return tmp_path / "photos"


@pytest.mark.parametrize(
    "place", ["runs/renamed", "runs/compare/b/run", "captured/improvements/1.0/run"]
)
def test_it_is_found_by_its_weights(tmp_path: Path, photos: Path, place: str) -> None:
    # One of the same photos, one with the same weights of other photos, and a damaged one.
    make_run(tmp_path / "runs/a", b"other", data=photos)
    make_run(tmp_path / "runs/b", b"live", data=photos, fingerprint="f2")
    (make_run(tmp_path / "runs/c", b"live", data=photos) / "data.json").write_text("{")
    (tmp_path / "runs/compare").mkdir(exist_ok=True)
    expected = make_run(tmp_path / place, b"live", data=photos)
    places = [tmp_path / "nowhere", tmp_path / "runs", tmp_path / "captured/improvements"]
    assert find_run(LIVE, None, places).folder == expected
    assert find_run(LIVE, expected, []).folder == expected


def test_where_there_is_none_the_run_is_named(tmp_path: Path, photos: Path) -> None:
    make_run(tmp_path / "runs/first", b"other", data=photos)
    with pytest.raises(
        ArgumentError, match=r"no run in .*runs has the weights of clothing 1\.0.*'first'"
    ):
        find_run(LIVE, None, [tmp_path / "runs"])


def test_another_run_is_refused(tmp_path: Path, photos: Path) -> None:
    other = make_run(tmp_path / "other", b"other", data=photos)
    with pytest.raises(ArgumentError, match="is not the run that clothing"):
        find_run(LIVE, other, [])
    with pytest.raises(RunError, match="not a run folder"):
        find_run(LIVE, photos, [])


def test_photos_that_are_gone_are_named_with_the_way_out(tmp_path: Path) -> None:
    run = make_run(tmp_path / "runs/first", b"live", data=tmp_path / "moved")
    with pytest.raises(ArgumentError, match=r"headswap evaluate .*first --data FOLDER"):
        find_run(LIVE, None, [run.parent])
