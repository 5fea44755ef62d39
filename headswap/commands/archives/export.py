"""Package a run as an archive that TorchServe serves.

Example:
    headswap export runs/first --name clothing --version 1.0
    headswap export runs/first --name clothing --version 1.1 --precision int8
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from headswap.options import RunPath, VersionNumber, path_option
from headswap.output import stdout


@dataclass(frozen=True, kw_only=True)
class Command:
    run: RunPath
    """A run folder that `headswap train` created and `headswap evaluate` evaluated."""
    name: Annotated[str, tyro.conf.arg(metavar="NAME")]
    """The model's name. It is part of the URL, /predictions/NAME."""
    version: VersionNumber
    """The archive's version, such as 1.0. Give each new archive of a model a new one."""
    model_store: Path = path_option("HEADSWAP_MODEL_STORE", "model_store")
    """Folder for the archive (or set HEADSWAP_MODEL_STORE)."""
    model_config: Path | None = None
    """A model-config.yaml, such as `headswap tune` writes; by default one that suits most hosts."""
    data: Path | None = None
    """Folder to which the photos have moved since the run was evaluated."""
    precision: Literal["float32", "int8"] = "float32"
    """int8 is faster on CPUs for some networks and less accurate for all; the loss of accuracy on the val photos is
    measured and printed. GPUs, and hosts without ONNX Runtime, serve such an archive in float32."""
    cpu_engine: Literal["auto", "onnx", "mnn"] = "auto"
    """Engine that serves the archive on CPUs. auto adds MNN where it is at least 5 % faster than ONNX Runtime on this
    machine, for one photo on one thread. `headswap tune` measures which is faster on another host."""
    overwrite: bool = False
    """Replace an archive of the same name and version, unless it is live or kept for a rollback."""


def run(command: Command) -> int:
    from serving.rollout.live_record import refuse_overwrite
    from training.export.archive import export_archive
    from training.export.model_config import default_model_config, read_model_config

    path = command.model_config
    config = default_model_config() if path is None else read_model_config(path)
    refuse_overwrite(command.model_store, command.name, command.version)
    archive = export_archive(
        command.run,
        name=command.name,
        version=command.version,
        model_store=command.model_store,
        data=command.data,
        overwrite=command.overwrite,
        model_config=config,
        precision=command.precision,
        cpu_engine=command.cpu_engine,
        report=stdout.print,
    )
    stdout.print(
        f"{archive}\nNext: headswap serve, or on a running server: headswap promote {archive}"
    )
    return 0
