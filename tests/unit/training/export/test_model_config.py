"""A user's model-config.yaml: checked, because TorchServe is silent about what it does not know."""

import pytest
import yaml

from handlers.settings import FRONTEND_DEFAULTS
from training.errors import InputError
from training.export.model_config import GPU_BATCH_SIZE, default_model_config, read_model_config


def write(tmp_path, config):
    path = tmp_path / "model-config.yaml"
    path.write_text(config if isinstance(config, str) else yaml.safe_dump(config))
    return path


def test_what_is_not_said_is_the_default(tmp_path):
    config = read_model_config(write(tmp_path, {"batchSize": 8, "handler": {"engine": "eager"}}))
    assert config == {**FRONTEND_DEFAULTS, "batchSize": 8, "handler": {"engine": "eager"}}
    assert read_model_config(write(tmp_path, "")) == FRONTEND_DEFAULTS


@pytest.mark.parametrize(("has_gpu", "batch_size"), [(True, GPU_BATCH_SIZE), (False, 1)])
def test_a_gpu_gets_larger_batches(tmp_path, monkeypatch, has_gpu, batch_size):
    monkeypatch.setattr("torch.cuda.is_available", lambda: has_gpu)
    assert default_model_config() == {**FRONTEND_DEFAULTS, "batchSize": batch_size}
    assert read_model_config(write(tmp_path, {"batchSize": 7}))["batchSize"] == 7


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({"batch_size": 8}, "has no setting batch_size"),
        ({"batchSize": 0}, "batchSize is 0"),
        ({"batchSize": True}, "batchSize is True"),
        ({"maxBatchDelay": 1.5}, "maxBatchDelay is 1.5"),
        ({"minWorkers": 2}, "minWorkers is 2 and maxWorkers None"),
        ({"minWorkers": 3, "maxWorkers": 2}, "minWorkers is 3"),
        ({"handler": {"threads": 2}}, "handler has no setting threads"),
        ({"handler": {"precision": "int4"}}, "handler.precision is 'int4'"),
        ("- a list", "no mapping"),
        ("a: [", "no YAML"),
        (b"\xff\xfe\x00".decode("latin-1"), "no "),
    ],
)
def test_what_would_be_ignored_or_fail_later_is_refused(tmp_path, config, told):
    with pytest.raises(InputError, match=told):
        read_model_config(write(tmp_path, config))


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        read_model_config(tmp_path / "nothing.yaml")
