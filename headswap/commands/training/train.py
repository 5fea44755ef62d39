"""Fine-tune a pretrained network on a folder of labelled photos.

Example:
    headswap train --data photos --out runs/first
    headswap train --preset quick --data photos --architecture resnet18 --weights imagenet
    torchrun --nproc-per-node 2 -m headswap train --data photos    (two GPUs, or two halves of a CPU)

--data holds one folder per class, or train/, val/ and test/ with one folder per class in each. --preset quick (minutes
on a CPU) or --preset best (for a GPU) sets the defaults of all other flags. Learning rates are per optimizer step,
sizes in pixels; --out then holds the weights, metrics.jsonl, and after headswap evaluate a report.
"""

import os
from collections.abc import Sequence

from headswap.errors import ArgumentError
from headswap.output import stdout
from training.config import PRESETS, TrainConfig, current_setting

Command = TrainConfig


def take_preset(argv: Sequence[str]) -> tuple[TrainConfig | None, list[str]]:
    """Return the preset's config, None without --preset, and argv without the flag.

    Raises:
        ArgumentError: there is no such preset.
    """
    split = _joined_logs(_current_flags(argv))
    if "--preset" not in split:
        return None, split
    index = split.index("--preset")
    name = split[index + 1] if index + 1 < len(split) else ""
    if name not in PRESETS:
        raise ArgumentError(f"--preset must be {' or '.join(PRESETS)}, not {name!r}.")
    return PRESETS[name](), split[:index] + split[index + 2 :]


def _joined_logs(argv: Sequence[str]) -> list[str]:
    """Return argv with one --log, which has the values of all: tyro would take the last one alone."""
    rest: list[str] = []
    targets: list[str] = []
    is_target = False
    for part in argv:
        is_target = part == "--log" or (is_target and not part.startswith("--"))
        (targets if is_target else rest).append(part)
    values = [part for part in targets if part != "--log"]
    return [*rest, "--log", *values] if targets else rest


def _current_flags(argv: Sequence[str]) -> list[str]:
    """Return argv with --flag=value split in two, and what earlier versions called a flag or value by today's name."""
    split = [part for argument in argv for part in _split_value(argument)]
    current: list[str] = []
    setting = ""
    for part in split:
        if part.startswith("--"):
            setting = part.removeprefix("--").replace("-", "_")
            current.append(f"--{current_setting(setting, None)[0].replace('_', '-')}")
        else:
            current.append(str(current_setting(setting, part)[1]))
    return current


def _split_value(argument: str) -> list[str]:
    return argument.split("=", 1) if argument.startswith("--") else [argument]


def run(command: TrainConfig) -> int:
    from training.distributed import read_torchrun_environment
    from training.errors import RankZeroFailedError
    from training.fit.trainer import train

    try:
        run_folder = train(command)
    except RankZeroFailedError as error:
        return error.exit_code
    if read_torchrun_environment(os.environ).is_rank_zero:
        stdout.print(f"{run_folder}\nNext: headswap evaluate {run_folder}")
    return 0
