"""The demo's server has ports, a store and a state folder of its own; only what a demo wrote is ever deleted."""

import json
import os
from pathlib import Path

import pytest

from headswap.commands import demo
from headswap.demo_folder import RESULTS, DemoFolder
from headswap.errors import ArgumentError
from serving.settings import load_settings
from training.config import TrainConfig
from training.fit.pretrained import EMBEDDED

ROOT = Path(__file__).parents[3]
CONFIG = ROOT / "config.properties"


def test_the_server_has_folders_and_ports_of_its_own(tmp_path: Path) -> None:
    settings = DemoFolder(tmp_path / "demo").create(CONFIG)
    user = load_settings(config=CONFIG, model_store=Path("model_store"), state=Path(".headswap"))
    assert set(settings.ports().values()).isdisjoint(user.ports().values())
    assert settings.model_store == tmp_path / "demo" / "model_store"
    assert settings.state == tmp_path / "demo" / "state"
    assert settings.properties["max_request_size"] == user.properties["max_request_size"]
    assert Path(settings.properties["metrics_config"]) == ROOT / "serving" / "metrics.yaml"


def test_both_runs_start_from_included_weights_and_are_cleared_by_the_next_demo() -> None:
    first, second = demo._first_config(Path("demo")), demo._second_config(Path("demo"))
    assert first.architecture == TrainConfig(data=Path("photos")).architecture
    for config in (first, second):
        assert config.weights == "embedded"
        assert config.architecture in EMBEDDED
    assert {first.out.name, second.out.name, "summary.json"} == set(RESULTS)


def test_tls_is_left_out(tmp_path: Path) -> None:
    for name in ("server.pem", "server.key"):
        (tmp_path / name).touch()
    config = tmp_path / "config.properties"
    config.write_text("certificate_file=server.pem\nprivate_key_file=server.key\n")
    settings = DemoFolder(tmp_path / "demo").create(config)
    assert settings.certificate_file is None
    assert settings.inference_url.startswith("http://127.0.0.1:")


def test_an_earlier_demo_is_replaced(tmp_path: Path) -> None:
    folder = DemoFolder(tmp_path)
    folder.create(CONFIG)
    (tmp_path / "resnet18").mkdir()
    (tmp_path / "model_store" / "live.json").write_text("{}")
    (tmp_path / "notes.txt").write_text("the user's own")
    folder.create(CONFIG)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "config.properties", "model_store", "notes.txt",
    ]  # fmt: skip
    assert list((tmp_path / "model_store").iterdir()) == []


@pytest.mark.parametrize("name", ["config.properties", "model_store/clothing-1.0.mar"])
def test_a_folder_with_a_server_of_the_user_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("the user's own")
    with pytest.raises(ArgumentError, match="give another --out"):
        DemoFolder(tmp_path).create(CONFIG)
    assert path.read_text() == "the user's own"


def test_a_demo_that_still_runs_is_left_alone(tmp_path: Path) -> None:
    folder = DemoFolder(tmp_path)
    state = folder.create(CONFIG).state
    state.mkdir()
    (state / "server.json").write_text(json.dumps({"serve_pid": os.getpid()}))
    with pytest.raises(ArgumentError, match="still running"):
        folder.create(CONFIG)


def test_the_environment_names_the_folders_from_anywhere(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert DemoFolder(Path("my demo")).environment() == (
        f"export HEADSWAP_CONFIG='{tmp_path}/my demo/config.properties' "
        f"HEADSWAP_MODEL_STORE='{tmp_path}/my demo/model_store' HEADSWAP_STATE='{tmp_path}/my demo/state'"
    )


def test_a_path_too_long_for_the_workers_sockets_is_refused_before_training(tmp_path: Path) -> None:
    out = tmp_path / ("d" * 107)
    with pytest.raises(ArgumentError, match=r"bytes too long.*107 bytes; give a shorter --out\.$"):
        DemoFolder(out).create(CONFIG)
    assert not out.exists()
