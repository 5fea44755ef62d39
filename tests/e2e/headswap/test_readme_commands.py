"""The README's commands, run in its order in an empty folder with a server that they start themselves.

Only what a test must change is changed: the ports, and for training a small network, embedded weights and one epoch.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SAMPLE = ROOT / "sample_data" / "clothing"
SMALL_NETWORK = "--weights embedded --architecture resnet18 --head-epochs 1 --image-size-px 64"
SMALL = f"{SMALL_NETWORK} --freeze body"
SMALL_COMPARISON = (
    "--models resnet18 --weights embedded none --freeze body --seeds 1 "
    "--head-epochs 1 --epochs 1 --image-size-px 64"
)
DEADLINE_S = 120.0


def readme_commands() -> list[str]:
    text = (ROOT / "README.md").read_text()
    blocks = re.findall(r"^```\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    lines = [line.split("  #")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line.startswith(("headswap ", "torchrun ", "curl "))]


@pytest.fixture
def home(tmp_path: Path, config_writer: Callable[[Path], Path]) -> Path:
    """Return a folder as a newcomer has it: configuration, photos by class, a photo, a folder of photos."""
    config_writer(tmp_path / "config.properties")
    for split in ("train", "val", "test"):
        for folder in (SAMPLE / split).iterdir():
            target = tmp_path / "photos" / split / folder.name
            target.mkdir(parents=True)
            for photo in sorted(folder.glob("*.jpg"))[:8]:
                shutil.copyfile(photo, target / photo.name)
    photo = next((SAMPLE / "test" / "shoes").glob("*.jpg"))
    (tmp_path / "more-photos").mkdir()
    for other in sorted((SAMPLE / "train" / "shoes").glob("*.jpg"))[8:]:
        shutil.copyfile(other, tmp_path / "more-photos" / other.name)
    (tmp_path / "folder").mkdir()
    for copy in (tmp_path / "photo.jpg", tmp_path / "folder" / "one.jpg"):
        shutil.copyfile(photo, copy)
    return tmp_path


def made_small(command: str) -> str:
    """Return the command with flags that make it take seconds; each training has a folder of its own."""
    if command.startswith("torchrun"):
        # A port of its own choice, and two processes where there may be one GPU or none.
        command = command.replace("torchrun", "torchrun --standalone")
        return f"{command.replace('runs/first', 'runs/several')} {SMALL} --device cpu"
    if "--unlabeled" in command:
        return f"{command.replace('runs/first', 'runs/unlabeled')} {SMALL_NETWORK} --epochs 1"
    if command.startswith("headswap train"):
        return f"{command} {SMALL}"
    if command.startswith("headswap compare"):
        return f"headswap compare --data photos {SMALL_COMPARISON}"
    return command


def test_readme_commands_work_in_order(home: Path) -> None:
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    port = re.search(
        r"inference_address=http://127.0.0.1:(\d+)", (home / "config.properties").read_text()
    )
    assert port is not None

    def run(command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, shell=True, cwd=home, env=environment, capture_output=True, text=True,
            timeout=DEADLINE_S, check=False,
        )  # fmt: skip

    server: subprocess.Popen[bytes] | None = None
    try:
        for command in readme_commands():
            command = command.replace("127.0.0.1:8080", f"127.0.0.1:{port.group(1)}")
            if command.startswith("headswap export runs/second"):
                for step in (f"headswap train --data photos --out runs/second {SMALL} --seed 1",
                             "headswap evaluate runs/second"):  # fmt: skip
                    assert run(step).returncode == 0
            command = made_small(command)
            if command == "headswap serve":
                server = subprocess.Popen(["headswap", "serve"], cwd=home, env=environment)
                deadline = time.monotonic() + DEADLINE_S
                while run("headswap ready").returncode != 0:
                    assert server.poll() is None
                    assert time.monotonic() < deadline
                continue
            told = run(command)
            assert told.returncode == 0, (command, told.stderr)
            if command.startswith("curl"):
                assert '"predictions"' in told.stdout
        assert server is not None
        server.send_signal(signal.SIGINT)
        assert server.wait(DEADLINE_S) == 0
    finally:
        if server is not None and server.poll() is None:
            server.kill()
            server.wait()
