"""The capture folder on the disk: each photo once, within its limits, whoever writes and whatever fails."""

import errno
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from handlers.capture.folder import CaptureFolder, PhotoTooLargeError
from handlers.capture.settings import CaptureSettings

ANSWER = {"predictions": [{"label": "hat", "index": 0, "probability": 0.5}]}


def settings(folder: Path, **limits: float) -> CaptureSettings:
    return CaptureSettings(folder=str(folder), **limits)


def names(folder: Path) -> set[str]:
    return {path.name for path in (folder / "photos").iterdir()}


def listed(folder: Path) -> list[str]:
    lines = (folder / "answers.jsonl").read_text().splitlines()
    return [json.loads(line)["photo"] for line in lines]


def test_a_photo_is_kept_once_under_its_sha256(tmp_path: Path) -> None:
    folder = CaptureFolder(settings(tmp_path))
    assert folder.add(b"abc", "jpg", ANSWER)
    assert not folder.add(b"abc", "jpg", ANSWER)
    name = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad.jpg"
    assert names(tmp_path) == {name}
    assert listed(tmp_path) == [name]


def test_beyond_the_limit_the_oldest_go_with_their_lines(tmp_path: Path) -> None:
    folder = CaptureFolder(settings(tmp_path, max_mb=1))
    now_s = time.time()
    for number in range(12):
        folder.add(bytes([number]) * 100_000, "jpg", ANSWER)
        for path in (tmp_path / "photos").iterdir():
            written_s = now_s - 100 + path.read_bytes()[0]
            os.utime(path, (written_s, written_s))
    kept = sorted(path.read_bytes()[0] for path in (tmp_path / "photos").iterdir())
    assert kept == list(range(2, 12))
    assert set(listed(tmp_path)) == names(tmp_path)


def test_a_labelled_photo_outlives_the_one_that_goes(tmp_path: Path) -> None:
    folder = CaptureFolder(settings(tmp_path, keep_days=1))
    folder.add(b"old", "jpg", ANSWER)
    (path,) = (tmp_path / "photos").iterdir()
    (tmp_path / "labelled/hat").mkdir(parents=True)
    os.link(path, tmp_path / "labelled/hat" / path.name)
    os.utime(path, (time.time() - 2 * 86_400,) * 2)
    folder.add(b"new", "jpg", ANSWER)
    CaptureFolder(settings(tmp_path, keep_days=1))
    assert [p.read_bytes() for p in (tmp_path / "photos").iterdir()] == [b"new"]
    assert (tmp_path / "labelled/hat" / path.name).read_bytes() == b"old"
    assert len(listed(tmp_path)) == 1


def test_a_photo_larger_than_the_limit_removes_no_other(tmp_path: Path) -> None:
    folder = CaptureFolder(settings(tmp_path, max_mb=1))
    folder.add(b"small", "jpg", ANSWER)
    with pytest.raises(PhotoTooLargeError):
        folder.add(b"x" * 1_000_001, "jpg", ANSWER)
    assert len(names(tmp_path)) == 1


def test_a_full_disk_leaves_the_folder_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = CaptureFolder(settings(tmp_path))
    folder.add(b"first", "jpg", ANSWER)
    before = (names(tmp_path), (tmp_path / "answers.jsonl").read_bytes())

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", fail)
        with pytest.raises(OSError, match="No space"):
            folder.add(b"second", "jpg", ANSWER)
    assert names(tmp_path) == before[0]
    # The line of a photo that never came is passed by, and the next one is whole.
    assert folder.add(b"second", "jpg", ANSWER)
    assert len(names(tmp_path)) == 2


def test_what_a_killed_worker_left_half_written_goes_and_is_counted_for_nothing(
    tmp_path: Path,
) -> None:
    CaptureFolder(settings(tmp_path))
    part = tmp_path / "photos/.x.jpg.123.part"
    part.write_bytes(b"half")
    os.utime(part, (1e9, 1e9))
    (tmp_path / ".usage").write_text("")
    folder = CaptureFolder(settings(tmp_path))
    folder.add(b"abc", "jpg", ANSWER)
    assert not part.exists()
    assert (tmp_path / ".usage").read_text() == "3"


WRITER = """
import sys
from handlers.capture.folder import CaptureFolder
from handlers.capture.settings import CaptureSettings
folder = CaptureFolder(CaptureSettings(folder=sys.argv[1], max_mb=1))
for number in range(int(sys.argv[2]), int(sys.argv[2]) + 30):
    folder.add(bytes([number]) * 60_000, "jpg", {"number": number})
"""


def test_several_workers_write_at_once_within_one_limit_and_no_line_is_torn(tmp_path: Path) -> None:
    # Their photos overlap: 0..29, 15..44, 30..59.
    workers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), str(start)])
        for start in (0, 15, 30)
    ]
    assert [worker.wait(timeout=60) for worker in workers] == [0, 0, 0]
    photos = list((tmp_path / "photos").iterdir())
    size_bytes = sum(path.stat().st_size for path in photos)
    assert 500_000 < size_bytes <= 1_000_000
    assert (tmp_path / ".usage").read_text() == str(size_bytes)
    assert set(listed(tmp_path)) >= {path.name for path in photos}


@pytest.mark.parametrize(
    "wrong",
    [
        {"share": 1.1},
        {"share": float("nan")},
        {"below": -0.1},
        {"max_mb": 0},
        {"keep_days": 0},
        {"keep_days": float("nan")},
    ],
)
def test_a_setting_out_of_its_range_is_named(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=f"--capture-{next(iter(wrong)).replace('_', '-')}"):
        CaptureSettings(folder="/x", **wrong)


def test_settings_reach_the_worker_by_the_environment() -> None:
    given = CaptureSettings(folder="/a b/ü", share=0.5, unknown=True, max_mb=7)
    assert CaptureSettings.from_environment(given.to_environment()) == given
    assert CaptureSettings.from_environment({"HEADSWAP_CAPTURE": ""}) is None
    for text in ("1", "{", '{"folder": 1, "colour": 2}', '{"folder": "/x", "share": "much"}'):
        with pytest.raises(ValueError, match=r"."):
            CaptureSettings.from_environment({"HEADSWAP_CAPTURE": text})
