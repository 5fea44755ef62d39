"""Copy an archive under a new version with other serving settings, such as those that `headswap tune` found.

Example:
    headswap configure model_store/clothing-1.0.mar --model-config runs/tune/model-config.yaml --version 1.1

Weights, probes and code stay the same. The copy of a signed archive must be signed again.
"""

from dataclasses import dataclass
from pathlib import Path

from headswap.options import ArchivePath, VersionNumber, path_option
from headswap.output import stdout


@dataclass(frozen=True, kw_only=True)
class Command:
    archive: ArchivePath
    """The archive to copy."""
    model_config: Path
    """The settings, a model-config.yaml."""
    version: VersionNumber
    """The new archive's version, such as 1.1."""
    model_store: Path = path_option("HEADSWAP_MODEL_STORE", "model_store")
    """Folder for the new archive (or set HEADSWAP_MODEL_STORE)."""


def run(command: Command) -> int:
    from headswap.errors import ArgumentError
    from serving.archive.reader import read_archive
    from serving.archive.repack import repack
    from training.export.model_config import check_version, read_model_config

    check_version(command.version)
    archive = read_archive(command.archive)
    target = command.model_store / f"{archive.name}-{command.version}.mar"
    if target.exists():
        raise ArgumentError(f"{target} exists already; give another --version.")
    command.model_store.mkdir(parents=True, exist_ok=True)
    config = read_model_config(command.model_config)
    repack(archive, config, target, version=command.version)
    stdout.print(
        f"{target}\nNext: headswap serve, or on a running server: headswap promote {target}"
    )
    return 0
