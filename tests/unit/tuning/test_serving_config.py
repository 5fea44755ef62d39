"""Configurations become a model-config.yaml and are read back; which ones are worth trying on which host."""

import pytest
import yaml

from handlers.settings import FRONTEND_DEFAULTS, HandlerSettings
from serving.archive.reader import read_archive
from serving.archive.repack import read_model_config, repack, to_yaml
from serving.errors import InputError
from tuning import space
from tuning.result import TuningGoal
from tuning.serving_config import ServingConfig, read_serving_config
from tuning.space import Host, make_space
from tuning.trial_server import trial_settings
from tuning.tune import current_config

TUNED = ServingConfig(workers=3, threads=2, batch_size=16, max_delay_ms=10, engine="onnx")


def test_a_configuration_survives_a_round_trip_through_a_model_config():
    model_config = yaml.safe_load(to_yaml(TUNED.to_model_config({})))
    assert read_serving_config(model_config, workers=9) == TUNED
    assert model_config["maxWorkers"] == 3


def test_what_is_not_tuned_is_kept():
    base = {"responseTimeout": 7, "handler": {"max_bytes": 5, "engine": "eager"}}
    config = TUNED.to_model_config(base)
    assert config["responseTimeout"] == 7
    assert config["startupTimeout"] == FRONTEND_DEFAULTS["startupTimeout"]
    assert HandlerSettings.from_model_config(config).max_bytes == 5
    assert config["handler"]["engine"] == "onnx"


def test_an_archive_that_configures_nothing_is_served_with_the_hosts_workers(
    archive_maker, settings_of
):
    archive = read_archive(archive_maker())
    host = Host(cores=2, gpus=0, engines=("onnx", "eager"))
    settings = settings_of("default_workers_per_model=5")
    config = current_config(archive, settings, host)
    assert (config.workers, config.engine) == (5, "onnx")
    host = Host(cores=2, gpus=0, engines=("eager",))
    assert current_config(archive, settings, host).engine == "eager"


def test_a_gpu_starts_in_half_precision_and_tries_others(archive_maker, settings_of):
    host = Host(cores=16, gpus=2, engines=("onnx", "eager"))
    archive = read_archive(archive_maker())
    config = current_config(archive, settings_of(), host)
    assert config.precision == "float16"
    axes = {axis.name: axis.choices for axis in make_space(host).axes}
    assert {choice["precision"] for choice in axes["precision"]} == {"float16", "bfloat16", "float32"}  # fmt: skip
    assert min(choice["workers"] for choice in axes["workers"]) == 2
    assert "engine" not in axes


@pytest.mark.parametrize("cores", [1, 2, 3, 4, 16, 96])
def test_workers_and_threads_fit_the_cores(cores):
    host = Host(cores=cores, gpus=0, engines=("onnx", "eager"))
    made = make_space(host)
    pairs = [(choice["workers"], choice["threads"]) for choice in made.axes[0].choices]
    assert (cores, 1) in pairs
    assert len(set(pairs)) == len(pairs) <= 12
    assert all(1 <= workers * threads <= 2 * cores for workers, threads in pairs)
    assert list(made.connections) == sorted(set(made.connections))


@pytest.mark.parametrize(
    ("files", "installed", "engines"),
    [
        (("model.mnn", "model.onnx"), ("MNN", "onnxruntime"), ("mnn", "onnx", "eager")),
        (("model.mnn", "model.onnx"), ("onnxruntime",), ("onnx", "eager")),
        (("model.onnx",), ("MNN", "onnxruntime"), ("onnx", "eager")),
        (("model.mnn",), (), ("eager",)),
    ],
)
def test_only_engines_that_can_serve_the_archive_are_tried(monkeypatch, files, installed, engines):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setattr(
        space.importlib.util, "find_spec", lambda name: object() if name in installed else None
    )
    host = space.read_host(files)
    assert host.engines == engines
    assert tuple(choice["engine"] for choice in make_space(host).axes[1].choices) == engines


def test_gpus_are_counted_as_the_server_counts_them(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    assert space.read_host(()).gpus == 2
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert space.read_host(()).gpus == 0


def test_a_trial_server_listens_on_loopback_and_keeps_the_users_other_settings(
    settings_of, tmp_path
):
    settings = settings_of(
        "inference_address=http://0.0.0.0:8443", "default_workers_per_model=9",
        "max_request_size=123", "job_queue_size=1", listen="0.0.0.0",
    )  # fmt: skip
    trial = trial_settings(settings, tmp_path / "trial")
    assert trial.properties["max_request_size"] == "123"
    assert int(trial.properties["job_queue_size"]) > 1000
    assert "default_workers_per_model" not in trial.properties
    assert trial.inference_url.startswith("http://127.0.0.1:")
    assert len(set(trial.ports().values())) == 5
    assert not set(trial.ports().values()) & {8443, 8080, 8081, 8082, 7070, 7071}
    assert "0.0.0.0" not in trial.render("")


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["seconds", "max_p99_ms", "price_per_hour"])
def test_goals_must_be_above_0(name, value):
    with pytest.raises(InputError, match=f"--{name.replace('_', '-')} must be above 0"):
        TuningGoal(**{name: value})


def test_a_repacked_archive_differs_in_configuration_and_version_alone(archive_maker, tmp_path):
    archive = read_archive(archive_maker())
    target = tmp_path / "tiny-1.1.mar"
    copy = repack(archive, {"batchSize": 8}, target, version="1.1")
    assert (copy.name, copy.version, copy.probes) == ("tiny", "1.1", archive.probes)
    assert read_model_config(target) == {"batchSize": 8}
    assert read_model_config(archive.path) == {}
    again = repack(copy, {"batchSize": 9}, tmp_path / "again.mar")
    assert (again.version, read_model_config(again.path)) == ("1.1", {"batchSize": 9})
    assert sorted(path.name for path in tmp_path.glob("*.part")) == []
