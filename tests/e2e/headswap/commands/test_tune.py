"""The tuner on a real server, with hardly any time; the configuration that it writes is then served."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from headswap.cli import main
from serving.client import GrpcClient, HttpClient
from serving.client.tokens import read_token
from serving.settings import ServerSettings

SAMPLE = Path(__file__).parents[4] / "sample_data" / "clothing" / "test"


def described(settings: ServerSettings, version: str) -> dict:
    token = read_token(settings.key_file, "management")
    response = requests.get(
        f"{settings.management_url}/models/clothing/{version}",
        headers={"Authorization": f"Bearer {token}"},
        timeout=10,
    )
    return response.json()[0]


def test_a_configuration_is_found_written_and_served(
    archives: dict[str, Path],
    steady: ServerSettings,
    tmp_path: Path,
    photos: list[bytes],
    config_writer: Callable[[Path], Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    config, out = config_writer(tmp_path / "config.properties"), tmp_path / "tuned"
    code = main([
        "tune", str(archives["1.0"]), "--photos", str(SAMPLE / "hat"), "--seconds", "8",
        "--price-per-hour", "1", "--out", str(out), "--config", str(config),
    ])  # fmt: skip
    assert code == 0, capsys.readouterr().err
    result = json.loads((out / "tuning.json").read_text())
    level = result["chosen"]["levels"][-1]
    assert level["photos_per_s"] > 0
    assert level["failed"] == 0
    assert result["chosen"]["memory_mb"] > 100
    assert [loop["failed"] for loop in result["open_loop"]] == [0, 0]
    assert "cost of a million photos at 1 an hour" in (out / "report.html").read_text()

    text = (out / "model-config.yaml").read_text()
    # Unlike any default, so that the values can only come from this file.
    (out / "model-config.yaml").write_text(
        re.sub(r"batchSize: \d+", "batchSize: 3", text).replace("Workers: 2", "Workers: 1")
    )
    code = main([
        "configure", str(archives["1.0"]), "--model-config", str(out / "model-config.yaml"),
        "--version", "1.1", "--model-store", str(tmp_path / "store"),
    ])  # fmt: skip
    assert code == 0, capsys.readouterr().err
    tuned = tmp_path / "store" / "clothing-1.1.mar"
    shutil.copyfile(tuned, steady.model_store / tuned.name)
    with GrpcClient(steady) as grpc, HttpClient(steady) as client:
        grpc.management.register(tuned.name, workers=2)
        try:
            served = described(steady, "1.1")
            answer = client.predict("clothing", photos[0], version="1.1")
            before = client.predict("clothing", photos[0], version="1.0")
        finally:
            grpc.management.unregister("clothing", "1.1")
            (steady.model_store / tuned.name).unlink()
    assert (served["batchSize"], served["maxBatchDelay"]) == (3, 1)
    assert len(served["workers"]) == served["minWorkers"] == 1
    assert answer.version == "1.1"
    assert answer.top.probability == pytest.approx(before.top.probability, abs=1e-4)
