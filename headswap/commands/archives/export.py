"""Pack a run into an archive that TorchServe serves.

Example:
    headswap export runs/first --name clothing --version 1.0
    headswap export runs/first --name clothing --version 1.1 --precision int8
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from headswap.options import path_option
from headswap.output import stdout


@dataclass(frozen=True, kw_only=True)
class Command:
    run: tyro.conf.Positional[Path]
    """The run folder that `headswap train` made and `headswap evaluate` judged."""
    name: str
    """The model's name: it stands in the URL, /predictions/NAME."""
    version: str
    """The version, such as 1.0. Give the next one a new number."""
    model_store: Path = path_option("HEADSWAP_MODEL_STORE", "model_store")
    """Folder the archive goes to (or HEADSWAP_MODEL_STORE)."""
    model_config: Path | None = None
    """A model-config.yaml, such as `headswap tune` writes; by default one that suits most hosts."""
    precision: Literal["float32", "int8"] = "float32"
    """int8 (CPUs only): faster for some networks, less exact for all; what it costs is measured on the val photos
    and printed. GPUs, and hosts without ONNX Runtime, serve such an archive in float32."""
    cpu_engine: Literal["auto", "onnx", "mnn"] = "auto"
    """What serves it on CPUs. auto: MNN where it is at least 5 % faster than ONNX Runtime on this machine, one photo on
    one thread; its file then comes along. Which is faster on another host `headswap tune` tells."""
    overwrite: bool = False
    """Replace an archive of the same name and version that is neither live nor kept for a rollback."""


def run(command: Command) -> int:
    from serving.rollout.live_record import refuse_overwrite
    from training.export.archive import export_archive
    from training.export.model_config import default_model_config, read_model_config

    wanted = command.model_config
    config = default_model_config() if wanted is None else read_model_config(wanted)
    refuse_overwrite(command.model_store, command.name, command.version)
    archive = export_archive(
        command.run,
        name=command.name,
        version=command.version,
        model_store=command.model_store,
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
