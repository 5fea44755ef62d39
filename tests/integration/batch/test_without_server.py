"""`headswap predict --archive`: the archive's own code, whatever a photo is or does, and no process left behind."""

import json
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import psutil
import pyarrow.parquet
import pytest

from batch import processes
from headswap.cli import main
from tests.integration.batch.conftest import photo, write_archive

HEADSWAP = str(Path(sys.executable).with_name("headswap"))
DEADLINE_S = 60.0
# A photo of this width ends the process that classifies it.
DEADLY_WIDTH_PX = 77
DEADLY_CODE = f"""
_load = CpuLoader._load
def _deadly_load(self, photo, timings):
    from PIL import Image
    import io, os, signal
    if Image.open(io.BytesIO(photo.data)).width == {DEADLY_WIDTH_PX}:
        os.kill(os.getpid(), signal.SIGKILL)
    return _load(self, photo, timings)
CpuLoader._load = _deadly_load
"""


def lines_of(capsys: pytest.CaptureFixture[str]) -> dict[str, dict]:
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return {Path(line["photo"]).name: line for line in lines}


def test_each_photo_gets_its_answer_or_its_own_error(
    archive: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        main(["predict", str(photos), "--archive", str(archive), "--json", "--workers", "2"]) == 1
    )
    lines = lines_of(capsys)
    assert len(lines) == 23
    labels = [lines[f"{number:02}.jpg"]["scores"][0]["label"] for number in range(20)]
    assert labels == (["red", "green", "blue"] * 7)[:20]
    codes = {name: line["error"]["code"] for name, line in lines.items() if "error" in line}
    assert codes == {
        "empty.jpg": "empty_body", "text.jpg": "undecodable_image", "huge.jpg": "image_too_large",
    }  # fmt: skip
    assert "1099511627776 bytes" in lines["huge.jpg"]["error"]["message"]


def test_a_photo_that_ends_the_process_hurts_no_other(
    tmp_path: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    patches = {"handlers/images/loaders.py": DEADLY_CODE}
    deadly = write_archive(tmp_path / "deadly-1.0.mar", patches=patches)
    (photos / "05b.jpg").write_bytes(photo((9, 9, 9), (DEADLY_WIDTH_PX, 30)))
    options = ["--archive", str(deadly), "--json", "--workers", "1"]
    assert main(["predict", str(photos), *options]) == 2
    assert "handlers/images/loaders.py differs" in capsys.readouterr().err
    assert main(["predict", str(photos), *options, "--allow-custom-handler"]) == 1
    lines = lines_of(capsys)
    assert lines["05b.jpg"]["error"]["code"] == "internal"
    assert sum("scores" in line for line in lines.values()) == 20


def test_an_archive_whose_probes_differ_is_refused(
    tmp_path: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    patches = {
        "handlers/probes.py": "\n_difference = lambda *_: (_ for _ in ()).throw(ProbeError('wrong'))\n"
    }
    broken = write_archive(tmp_path / "broken-1.0.mar", patches=patches)
    options = ["--archive", str(broken), "--allow-custom-handler"]
    assert main(["predict", str(photos), *options]) == 2
    assert capsys.readouterr().err.endswith("headswap: wrong\n")


def test_a_worker_that_takes_too_long_is_one_sentence(
    archive: Path,
    photos: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(processes, "LOAD_TIMEOUT_S", 0.01)
    assert main(["predict", str(photos), "--archive", str(archive)]) == 1
    assert "has not loaded the archive within 0.01 s; fewer --workers" in capsys.readouterr().err


def is_running(process: subprocess.Popen[bytes]) -> bool:
    """Return whether it still runs a little later: a loop without a pause would take its cores."""
    try:
        process.wait(0.02)
    except subprocess.TimeoutExpired:
        return True
    return False


def test_killed_at_any_moment_it_goes_on_where_it_was(
    archive: Path, photos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    options = [str(photos), "--archive", str(archive), "--out", str(out), "--photos-per-file", "2"]
    options += ["--workers", "1"]
    written: list[dict[str, int]] = []
    # As soon as the photos are listed; then after the first part, and after five.
    for parts in (0, 1, 5):
        process = subprocess.Popen([HEADSWAP, "predict", *options], stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + DEADLINE_S
        while not (out / "_run.json").exists() or len(list(out.glob("part-*"))) < parts:
            assert time.monotonic() < deadline
            assert is_running(process)
        process.kill()
        process.wait()
        written.append({file.name: file.stat().st_mtime_ns for file in out.glob("part-*")})
    assert main(["predict", *options]) == 1
    written.append({file.name: file.stat().st_mtime_ns for file in out.glob("part-*")})
    assert len(written[-1]) == 12
    # No part that was there is made again.
    for earlier, later in zip(written, written[1:], strict=False):
        assert earlier.items() <= later.items()
    paths = Counter(pyarrow.parquet.read_table(out)["path"].to_pylist())
    assert paths == Counter(str(path) for path in photos.rglob("*.jpg"))


def test_workers_end_with_a_killed_command(archive: Path, photos: Path, tmp_path: Path) -> None:
    process = subprocess.Popen(
        [HEADSWAP, "predict", "-", "--archive", str(archive)],
        stdin=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + DEADLINE_S
        while not (workers := psutil.Process(process.pid).children(recursive=True)):
            assert time.monotonic() < deadline
            assert is_running(process)
    finally:
        process.kill()
        process.communicate()
    gone, alive = psutil.wait_procs(workers, timeout=DEADLINE_S)
    assert alive == []


def test_an_object_store_is_classified_as_a_folder_is(
    archive: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (photos / "sub" / "50% #1?.jpg").write_bytes(photo((220, 30, 30)))
    assert main(["predict", str(photos), "--archive", str(archive), "--csv"]) == 1
    folder = capsys.readouterr().out
    assert main(["predict", f"file://{photos}", "--archive", str(archive), "--csv"]) == 1
    assert capsys.readouterr().out.replace(f"file://{photos}", str(photos)) == folder
    assert "50% #1?.jpg,colours,1.0,red" in folder


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--archive", "ARCHIVE", "--address", "http://host"], "--address cannot be given"),
        (["--archive", "ARCHIVE", "--model", "m"], "--model cannot be given"),
        (["--archive", "ARCHIVE", "--out", "o", "--csv"], "--out writes Parquet"),
        (["--archive", "ARCHIVE", "--workers", "0"], "--workers must be 1 or more"),
        (["--archive", "absent.mar"], "there is no archive 'absent.mar'"),
        (["--archive", "ARCHIVE", "--cluster", "auto"], "--cluster needs --out"),
        (["--out", "o"], "--out needs --archive"),
        (["--cluster", "auto"], "--cluster needs --archive"),
    ],
)
def test_options_that_do_not_fit_are_one_line_and_exit_with_2(
    archive: Path, photos: Path, options: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [str(archive) if option == "ARCHIVE" else option for option in options]
    assert main(["predict", str(photos), *given]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert said in error


def test_without_ray_a_sentence_says_how_to_get_it(
    archive: Path,
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.delitem(sys.modules, "cluster.batch.folders", raising=False)
    options = ["--archive", str(archive), "--out", str(tmp_path / "out"), "--cluster", "auto"]
    assert main(["predict", str(photos), *options]) == 2
    assert "needs the package 'ray': pip install 'headswap[host,ray]'" in capsys.readouterr().err
