"""A user's model-config.yaml is checked, because TorchServe silently ignores what it does not know."""

import pytest
import yaml

from handlers.settings import FRONTEND_DEFAULTS
from training.errors import TrainingInputError
from training.export.model_config import GPU_BATCH_SIZE, default_model_config, read_model_config


def write(tmp_path, config):
    path = tmp_path / "model-config.yaml"
    path.write_text(config if isinstance(config, str) else yaml.safe_dump(config))
    return path


def test_settings_left_out_are_the_defaults(tmp_path):
    config = read_model_config(write(tmp_path, {"batchSize": 8, "handler": {"engine": "eager"}}))
    assert config == {**FRONTEND_DEFAULTS, "batchSize": 8, "handler": {"engine": "eager"}}
    assert read_model_config(write(tmp_path, "")) == FRONTEND_DEFAULTS


@pytest.mark.parametrize(("has_gpu", "batch_size"), [(True, GPU_BATCH_SIZE), (False, 1)])
def test_a_gpu_gets_larger_batches(tmp_path, monkeypatch, has_gpu, batch_size):
    monkeypatch.setattr("torch.cuda.is_available", lambda: has_gpu)
    assert default_model_config() == {**FRONTEND_DEFAULTS, "batchSize": batch_size}
    assert read_model_config(write(tmp_path, {"batchSize": 7}))["batchSize"] == 7


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"batch_size": 8}, "unknown settings: batch_size"),
        ({"batchSize": 0}, "batchSize must be .* not 0"),
        ({"batchSize": True}, "batchSize must be .* not True"),
        ({"maxBatchDelay": 1.5}, "maxBatchDelay must be .* not 1.5"),
        ({"minWorkers": 2}, "minWorkers is 2 and maxWorkers is None"),
        ({"minWorkers": 3, "maxWorkers": 2}, "minWorkers is 3"),
        ({"handler": {"threads": 2}}, "handler has no setting threads"),
        ({"handler": {"precision": "int4"}}, "yaml: handler.precision must be .* not 'int4'"),
        ("- a list", "must hold settings"),
        ("a: [", "not valid YAML"),
        (b"\xff\xfe\x00".decode("latin-1"), "not valid YAML"),
    ],
)
def test_settings_that_would_be_ignored_or_fail_later_are_rejected(tmp_path, config, message):
    with pytest.raises(TrainingInputError, match=message):
        read_model_config(write(tmp_path, config))


def test_a_missing_file_is_rejected(tmp_path):
    with pytest.raises(TrainingInputError, match="cannot be read"):
        read_model_config(tmp_path / "nothing.yaml")
