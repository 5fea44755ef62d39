"""`headswap serve` as a process: readiness, ports in use, signals, no process left behind."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from serving.rollout.startup import choose_live
from serving.server.server import Server
from serving.settings import ServerSettings
from tests.e2e.headswap.helpers import wait_until_ready

DEADLINE_S = 90.0


def command(settings: ServerSettings, *arguments: str) -> list[str]:
    server = ["--config", str(settings.config), "--model-store", str(settings.model_store)]
    return [sys.executable, "-m", "headswap", *arguments, *server, "--state", str(settings.state)]


def run(settings: ServerSettings, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(settings, *arguments),
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )


def start(settings: ServerSettings, archive: Path) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(command(settings, "serve", str(archive)))
    wait_until_ready(settings, process)
    assert run(settings, "ready").returncode == 0
    return process


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_no_process_is_left_behind(
    settings: ServerSettings, archives: dict[str, Path], number: signal.Signals
) -> None:
    process = start(settings, archives["1.0"])
    descendants = psutil.Process(process.pid).children(recursive=True)
    assert len(descendants) >= 2
    os.kill(process.pid, number)
    assert process.wait(DEADLINE_S) == (0 if number != signal.SIGKILL else -signal.SIGKILL)
    _, alive = psutil.wait_procs(descendants, timeout=40)
    assert alive == []


def test_the_commands_on_a_running_server(
    settings: ServerSettings, archives: dict[str, Path], photos: list[bytes], tmp_path: Path
) -> None:
    process = start(settings, archives["1.0"])
    try:
        second = run(settings, "serve", str(archives["1.0"]))
        assert second.returncode == 2
        assert f"in use by another server (process {process.pid})" in second.stderr
        settings.key_file.unlink()
        wait_until_ready(settings, process)
        folder = tmp_path / "photos"
        folder.mkdir()
        (folder / "a.jpg").write_bytes(photos[0])
        (folder / "b.jpg").write_bytes(b"broken")
        predictions = run(settings, "predict", str(folder), "--json", "--top-k", "2")
        assert predictions.returncode == 1
        assert len(predictions.stdout.splitlines()) == 2
        assert "b.jpg" in predictions.stderr
        assert (
            run(settings, "predict", str(folder / "a.jpg"), "--transport", "grpc").returncode == 0
        )
        status = run(settings, "status", "--json")
        assert '"state": "live"' in status.stdout
        assert len(run(settings, "token").stdout.split()) == 1
        java = [p for p in psutil.Process(process.pid).children() if "java" in p.name()]
        java[0].kill()
        assert process.wait(DEADLINE_S) == 1
    finally:
        process.kill()
        process.wait()


def test_a_renamed_archive_is_served_after_a_restart(
    settings: ServerSettings, archives: dict[str, Path]
) -> None:
    choose_live(settings.model_store, [archives["1.0"]])
    stored = settings.model_store / archives["1.0"].name
    stored.rename(stored.with_name("clothes (1).mar"))
    with Server(settings) as server:
        server.start()
        server.wait_ready()
        assert server.session.http.management.default_version("clothing") == "1.0"


def test_an_empty_model_store_is_rejected(settings: ServerSettings) -> None:
    settings.model_store.mkdir()
    completed = run(settings, "serve")
    assert completed.returncode == 2
    assert completed.stderr.count("\n") == 1
    assert "holds no archive" in completed.stderr


def test_token_needs_a_running_server(settings: ServerSettings) -> None:
    completed = run(settings, "token")
    assert completed.returncode == 2
    assert "no server is running" in completed.stderr
