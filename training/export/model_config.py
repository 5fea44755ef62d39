"""A model-config.yaml from a user, checked before it travels: TorchServe ignores what it does not know in silence."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from handlers.errors import SettingsError
from handlers.settings import FRONTEND_DEFAULTS, HandlerSettings
from training.errors import InputError

# A GPU computes several photos in little more time than one.
GPU_BATCH_SIZE = 4
LEAST = 1
# TorchServe's keys that are whole numbers; each must be 1 or more.
COUNTS = frozenset({"minWorkers", "maxWorkers", "jobQueueSize", *FRONTEND_DEFAULTS})
OTHERS = frozenset({"deviceType", "deviceIds", "clientTimeoutInMills", "handler"})


def default_model_config() -> dict[str, Any]:
    """Return what suits hosts like this one: archives are mostly exported where they are served."""
    # Here: the command line starts without torch.
    import torch

    batches = {"batchSize": GPU_BATCH_SIZE} if torch.cuda.is_available() else {}
    return {**FRONTEND_DEFAULTS, **batches}


def read_model_config(path: Path) -> dict[str, Any]:
    """Return the settings of the file on top of the defaults.

    Raises:
        InputError: no such file, no YAML, a key that does not exist, a value that is not allowed.
    """
    try:
        config = yaml.safe_load(path.read_bytes()) or {}
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is no YAML: {' '.join(str(error).split())[:200]}.") from None
    if not isinstance(config, dict):
        raise InputError(f"{path} is no mapping of settings such as batchSize: 1.")
    _check(path, config)
    return {**(FRONTEND_DEFAULTS if "batchSize" in config else default_model_config()), **config}


def _check(path: Path, config: Mapping[str, Any]) -> None:
    unknown = sorted(str(key) for key in config if key not in COUNTS | OTHERS)
    if unknown:
        known = ", ".join(sorted(COUNTS | OTHERS))
        raise InputError(f"{path} has no setting {', '.join(unknown)[:200]}; there are {known}.")
    for key in sorted(COUNTS & set(config)):
        value = config[key]
        if isinstance(value, bool) or not isinstance(value, int) or value < LEAST:
            raise InputError(
                f"{path}: {key} is {value!r:.100}; it must be a whole number of 1 or more."
            )
    fewest, most = config.get("minWorkers"), config.get("maxWorkers")
    # TorchServe drops both when they do not fit together.
    if (fewest is None) != (most is None) or (fewest is not None and fewest > most):
        raise InputError(
            f"{path}: minWorkers is {fewest} and maxWorkers {most}; give both, or neither, and no more of the first."
        )
    try:
        HandlerSettings.from_model_config(config)
    except SettingsError as error:
        raise InputError(f"{path}: {error}") from None
