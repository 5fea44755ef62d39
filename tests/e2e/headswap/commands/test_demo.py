"""`headswap demo` beside a running server: it works, and nothing of the user's changes."""

import json
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from headswap.cli import main
from headswap.commands import demo
from serving.client import HttpClient
from serving.rollout.readiness import check_live
from serving.rollout.session import ServerSession
from serving.settings import ServerSettings


@pytest.fixture
def small_demo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have the demo train a small network and send few requests; restore the signal handler it replaces."""
    full = demo._first_config

    def small(out: Path):
        return replace(
            full(out), architecture="resnet18", freeze="backbone", head_epochs=6, image_size_px=96
        )

    monkeypatch.setattr(demo, "_first_config", small)
    monkeypatch.setattr(demo, "REQUESTS_BEFORE", 20)
    monkeypatch.setattr(demo, "REQUESTS_AFTER", 40)
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.mark.usefixtures("small_demo")
def test_the_demo_leaves_archives_record_and_server_of_the_user_alone(
    steady: ServerSettings, photos: list[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The names that the demo's own archives have; 1.0 is live, so live.json names it.
    planted = steady.model_store / "clothing-2.0.mar"
    planted.write_bytes(b"an archive of the user")
    before = contents(steady.model_store)
    assert {"clothing-1.0.mar", "clothing-2.0.mar", "live.json"} <= before.keys()
    for name in ("config", "model_store", "state"):
        monkeypatch.setenv(f"HEADSWAP_{name.upper()}", str(getattr(steady, name)))
    try:
        exit_code = main(["demo", "--out", str(tmp_path / "demo")])
        assert contents(steady.model_store) == before
        assert exit_code == 0
    finally:
        planted.unlink(missing_ok=True)
    with ServerSession(steady) as session:
        check_live(session)
    with HttpClient(steady) as client:
        assert client.predict("clothing", photos[0]).version == "1.0"
    summary = json.loads((tmp_path / "demo" / "summary.json").read_text())
    assert summary["promote"]["failed"] == summary["rollback"]["failed"] == 0
    assert summary["http_top1"] == summary["grpc_top1"]
    live = json.loads((tmp_path / "demo" / "model_store" / "live.json").read_text())
    assert live["models"]["clothing"]["live"]["version"] == "1.0"
