"""What a user gives an archive: its name, its version and a model-config.yaml, checked before anything is packed.

Name and version become parts of URLs and file names. TorchServe silently ignores settings that it does not know.
"""

import re
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import yaml

from handlers.contract import MODEL_CONFIG_FILE
from handlers.errors import HandlerSettingsError
from handlers.images.limits import DecodeLimits
from handlers.settings import FRONTEND_DEFAULTS, HandlerSettings
from training.errors import TrainingInputError

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._]*(-[A-Za-z0-9._]+)*")
VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._]*")
# A GPU computes several photos in little more time than one.
GPU_BATCH_SIZE = 4
# TorchServe's settings that are whole numbers of 1 or more.
COUNTS = frozenset({"minWorkers", "maxWorkers", "jobQueueSize", *FRONTEND_DEFAULTS})
OTHERS = frozenset({"deviceType", "deviceIds", "clientTimeoutInMills", "handler"})


def check_name(name: str) -> None:
    """Check that a model may have this name.

    Raises:
        TrainingInputError: it may not.
    """
    _check_identifier("--name", name, NAME, "letters, digits, dots, underscores and hyphens")


def check_version(version: str) -> None:
    """Check that an archive may have this version.

    Raises:
        TrainingInputError: it may not.
    """
    _check_identifier("--version", version, VERSION, "letters, digits, dots and underscores")


def _check_identifier(flag: str, value: str, pattern: re.Pattern[str], allowed: str) -> None:
    if not pattern.fullmatch(value) or ".." in value:
        raise TrainingInputError(
            f"{flag} {value!r} is not allowed; use {allowed}, and begin with a letter or digit."
        )


def default_model_config() -> dict[str, Any]:
    """Return settings for hosts like this one: most archives are exported where they are served."""
    # Imported here because the command line starts without torch.
    import torch

    batches = {"batchSize": GPU_BATCH_SIZE} if torch.cuda.is_available() else {}
    return {**FRONTEND_DEFAULTS, **batches}


def with_limits(model_config: Mapping[str, Any], limits: DecodeLimits) -> dict[str, Any]:
    """Return the settings with the limits that a run was trained with, where these differ from the defaults.

    Limits that the settings name already are kept.
    """
    chosen = {
        field.name: getattr(limits, field.name)
        for field in fields(limits)
        if getattr(limits, field.name) != field.default
    }
    section = {**chosen, **(model_config.get("handler") or {})}
    return {**model_config, "handler": section} if section else dict(model_config)


def read_model_config(path: Path) -> dict[str, Any]:
    """Return the settings of the file, with defaults for those it leaves out.

    Raises:
        TrainingInputError: the file cannot be read or is not YAML, a setting is unknown, or a value is not allowed.
    """
    try:
        config = yaml.safe_load(path.read_bytes()) or {}
    except OSError as error:
        raise TrainingInputError(f"{path} cannot be read: {error.strerror or error}.") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise TrainingInputError(f"{path} is not valid YAML: {reason}.") from None
    if not isinstance(config, dict):
        raise TrainingInputError(f"{path} must hold settings such as `batchSize: 1`, one per line.")
    _check_settings(path, config)
    return {**(FRONTEND_DEFAULTS if "batchSize" in config else default_model_config()), **config}


def _check_settings(path: Path, config: Mapping[str, Any]) -> None:
    unknown = sorted(str(key) for key in config if key not in COUNTS | OTHERS)
    if unknown:
        known = ", ".join(sorted(COUNTS | OTHERS))
        raise TrainingInputError(
            f"{path} has unknown settings: {', '.join(unknown)[:200]}; the settings are {known}."
        )
    for key in sorted(COUNTS & set(config)):
        value = config[key]
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise TrainingInputError(
                f"{path}: {key} must be a whole number of 1 or more, not {value!r:.100}."
            )
    fewest, most = config.get("minWorkers"), config.get("maxWorkers")
    # TorchServe ignores both if only one is given or the first is larger.
    if (fewest is None) != (most is None) or (fewest is not None and fewest > most):
        raise TrainingInputError(
            f"{path}: minWorkers is {fewest} and maxWorkers is {most}; give both or neither, and minWorkers must not "
            "be larger than maxWorkers."
        )
    try:
        HandlerSettings.from_model_config(config)
    except HandlerSettingsError as error:
        reason = str(error).removeprefix(f"{MODEL_CONFIG_FILE}: ")
        raise TrainingInputError(f"{path}: {reason}") from None
