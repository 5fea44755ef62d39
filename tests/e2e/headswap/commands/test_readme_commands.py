"""The commands and Python of the README, docs/api.md and docs/training.md, run in an empty folder.

Those of the README and of docs/api.md run in their order, on the server that the README's `headswap serve` starts.
Changed is only what a test must change: the ports, the seconds of a watch, and for training a small network, embedded
weights, one epoch and other run folders. What docs/training.md repeats runs once; the second run, which the README
leaves to its reader, is one that other tests have trained as well.
"""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[4]
SAMPLE = ROOT / "sample_data" / "clothing"
SMALL_NETWORK = "--weights embedded --architecture resnet18 --head-epochs 1 --image-size-px 64"
SMALL = f"{SMALL_NETWORK} --freeze backbone"
SMALL_COMPARISON = (
    "--models resnet18 --weights embedded none --freeze backbone --seeds 1 "
    "--head-epochs 1 --epochs 1 --image-size-px 64"
)
# By the path that curl is given.
ANSWERS = {
    "/predictions/": '"predictions":[{"label"',
    "/v1/models/": '"predictions":[{"predictions"',
    "/v2/models/": '"outputs"',
}
DEADLINE_S = 120.0


def blocks(page: str) -> list[tuple[str, str]]:
    """Return the language and text of each fenced block."""
    text = (ROOT / page).read_text()
    return re.findall(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def commands_of(page: str) -> Iterator[str]:
    for language, block in blocks(page):
        if language == "python":
            yield shlex.join([sys.executable, "-c", block])
        elif language == "":
            lines = [line.split("  #")[0].strip() for line in block.splitlines()]
            yield from (
                line for line in lines if line.startswith(("headswap ", "torchrun ", "curl "))
            )


class Shell:
    """A user's shell, in a folder with the configuration, photos by class, one photo, and folders of photos."""

    def __init__(self, home: Path) -> None:
        self.home = home
        config = (home / "config.properties").read_text()
        self.ports = {
            "127.0.0.1:8080": f"127.0.0.1:{_port(config, r'^inference_address=http://127.0.0.1:(.+)$')}",
            "127.0.0.1:7070": f"127.0.0.1:{_port(config, r'^grpc_inference_port=(.+)$')}",
        }
        self.server: subprocess.Popen[bytes] | None = None
        self.environment = {
            **os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        }  # fmt: skip

    def try_once(self, command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, shell=True, cwd=self.home, env=self.environment, capture_output=True, text=True,
            timeout=DEADLINE_S, check=False,
        )  # fmt: skip

    def run(self, command: str) -> str:
        for written, tested in self.ports.items():
            command = command.replace(written, tested)
        result = self.try_once(command)
        assert result.returncode == 0, (command, result.stdout, result.stderr)
        return result.stdout

    def serve(self) -> None:
        self.server = subprocess.Popen(["headswap", "serve"], cwd=self.home, env=self.environment)
        deadline = time.monotonic() + DEADLINE_S
        while self.try_once("headswap ready").returncode != 0:
            assert self.server.poll() is None
            assert time.monotonic() < deadline
        self.environment["HEADSWAP_TOKEN"] = self.run("headswap token").strip()

    def stop(self) -> None:
        """End the server as Ctrl-C does, and hold it to exit code 0."""
        assert self.server is not None
        self.server.send_signal(signal.SIGINT)
        assert self.server.wait(DEADLINE_S) == 0


def _port(config: str, pattern: str) -> str:
    match = re.search(pattern, config, re.MULTILINE)
    assert match is not None
    return match.group(1)


@pytest.fixture
def shell(
    tmp_path: Path, config_writer: Callable[[Path], Path], runs: dict[str, Path]
) -> Iterator[Shell]:
    config_writer(tmp_path / "config.properties")
    shutil.copytree(runs["2.0"], tmp_path / "runs" / "second")
    for split in ("train", "val", "test"):
        for folder in (SAMPLE / split).iterdir():
            target = tmp_path / "photos" / split / folder.name
            target.mkdir(parents=True)
            for photo in sorted(folder.glob("*.jpg"))[:8]:
                shutil.copyfile(photo, target / photo.name)
    (tmp_path / "more-photos").mkdir()
    for photo in sorted((SAMPLE / "train" / "shoes").glob("*.jpg"))[8:]:
        shutil.copyfile(photo, tmp_path / "more-photos" / photo.name)
    (tmp_path / "folder").mkdir()
    for copy in (tmp_path / "photo.jpg", tmp_path / "folder" / "one.jpg"):
        shutil.copyfile(SAMPLE / "test" / "shoes" / "000.jpg", copy)
    shell = Shell(tmp_path)
    yield shell
    if shell.server is not None and shell.server.poll() is None:
        shell.server.kill()
        shell.server.wait()


def made_small(command: str) -> str:
    """Return the command with flags that make it take seconds; each training has a folder of its own."""
    if command.startswith("torchrun"):
        # A port of its own choice, and two processes where there may be one GPU or none.
        command = command.replace("torchrun", "torchrun --standalone")
        return re.sub(r"--out \S+", "--out runs/several", command) + f" {SMALL} --device cpu"
    if "--unlabeled" in command:
        return (
            re.sub(r"--out \S+", "--out runs/unlabeled", command) + f" {SMALL_NETWORK} --epochs 1"
        )
    if command.startswith(("headswap train", "headswap lr-find")):
        return f"{command} {SMALL}"
    if command.startswith("headswap compare"):
        return f"headswap compare --data photos {SMALL_COMPARISON}"
    return command.replace("--bake 10", "--bake 1")


def test_the_commands_of_readme_and_api_work_in_order(shell: Shell) -> None:
    for written in [*commands_of("README.md"), *commands_of("docs/api.md")]:
        command = made_small(written)
        if command == "headswap serve":
            shell.serve()
            continue
        output = shell.run(command)
        if "/predictions/" in command:
            assert '"predictions"' in output
    assert (shell.home / "heat.png").read_bytes().startswith(b"\x89PNG")
    shell.stop()


def test_the_commands_of_the_training_page_work(shell: Shell) -> None:
    """An audit, its corrections and their undoing run in order; of the others none needs another's results.

    So two run at once, each on one core: most of their time is one thread's.
    """
    written = dict.fromkeys(commands_of("docs/training.md"))
    audits = [line for line in written if line.startswith("headswap data audit")]
    assert len(audits) == 3
    for line in audits:
        shell.run(line)
    shell.environment["OMP_NUM_THREADS"] = "1"
    repeated = {*audits, *commands_of("README.md")}
    commands = [made_small(line) for line in written if line not in repeated]
    assert len(commands) > 3
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(shell.run, commands))
