"""Give an archive other settings, such as `headswap tune` found, under a version of its own.

Example:
    headswap configure model_store/clothing-1.0.mar --model-config runs/tune/model-config.yaml --version 1.1

Weights, probes and code stay what they are. A signed archive must be signed again.
"""

from dataclasses import dataclass
from pathlib import Path

import tyro

from headswap.options import path_option
from headswap.output import stdout


@dataclass(frozen=True, kw_only=True)
class Command:
    archive: tyro.conf.Positional[Path]
    """The archive that `headswap export` made."""
    model_config: Path
    """The settings, a model-config.yaml."""
    version: str
    """The new archive's version, such as 1.1."""
    model_store: Path = path_option("HEADSWAP_MODEL_STORE", "model_store")
    """Folder the new archive goes to (or HEADSWAP_MODEL_STORE)."""


def run(command: Command) -> int:
    from headswap.errors import ArgumentError
    from serving.archive.reader import read_archive
    from serving.archive.repack import repack
    from training.export.model_config import read_model_config
    from training.export.names import check_version

    check_version(command.version)
    archive = read_archive(command.archive)
    target = command.model_store / f"{archive.name}-{command.version}.mar"
    if target.exists():
        raise ArgumentError(f"{target} exists already; give a --version that is not taken.")
    command.model_store.mkdir(parents=True, exist_ok=True)
    config = read_model_config(command.model_config)
    repack(archive, config, target, version=command.version)
    stdout.print(
        f"{target}\nNext: headswap serve, or on a running server: headswap promote {target}"
    )
    return 0
