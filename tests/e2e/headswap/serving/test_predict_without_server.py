"""`headswap predict --archive` answers as a server with the archive does: every format, every error, byte for byte."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from serving.settings import ServerSettings
from tests.e2e.headswap.conftest import SAMPLE


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with whole photos, one under a name that is not UTF-8, and every kind of broken one."""
    folder = tmp_path_factory.mktemp("mixed")
    whole = sorted((SAMPLE / "test").glob("*/*.jpg"))[::20]
    for number, photo in enumerate(whole):
        (folder / f"{number}.jpg").symlink_to(photo)
    data = whole[0].read_bytes()
    contents = {
        b"empty.jpg": b"",
        b"text.jpg": b"not a photo at all",
        b"json.png": b'{"instances": 3}',
        b"cut.jpg": data[: len(data) // 2],
        b"caf\xe9 \n.jpg": data,
    }
    for name, content in contents.items():
        Path(os.fsdecode(bytes(folder) + b"/" + name)).write_bytes(content)
    (folder / "unreadable.jpg").symlink_to("/proc/self/mem")
    return folder


def run(folder: Path, *options: str) -> tuple[int, bytes, bytes]:
    headswap = str(Path(sys.executable).with_name("headswap"))
    done = subprocess.run(
        [headswap, "predict", str(folder), "--top-k", "9", *options], capture_output=True
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("output", [[], ["--json"], ["--csv"]], ids=["text", "json", "csv"])
def test_it_prints_what_the_server_answers(
    steady: ServerSettings, archives: dict[str, Path], folder: Path, output: list[str]
) -> None:
    store, state = str(steady.model_store), str(steady.state)
    # One at a time: in a batch of TorchServe's the sixth decimal may differ.
    server = ["--model-store", store, "--state", state, "--config", str(steady.config)]
    expected = run(folder, *output, *server, "--in-flight", "1")
    assert expected[0] == 1
    assert expected[1].count(b"0.") > 10
    assert run(folder, *output, "--archive", str(archives["1.0"])) == expected


def test_it_explains_as_the_server_does(
    steady: ServerSettings, archives: dict[str, Path], folder: Path, tmp_path: Path
) -> None:
    server = ["--model-store", str(steady.model_store), "--state", str(steady.state)]
    server += ["--config", str(steady.config)]
    run(folder, "--explain", str(tmp_path / "served"), *server)
    run(folder, "--explain", str(tmp_path / "here"), "--archive", str(archives["1.0"]))
    served, here = (
        {file.name: file.read_bytes() for file in (tmp_path / name).iterdir()}
        for name in ("served", "here")
    )
    assert len(served) > 5
    assert here == served
