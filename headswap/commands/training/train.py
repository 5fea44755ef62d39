"""Fine-tune a pretrained network on a folder of labelled photos.

Example:
    headswap train --data photos --out runs/first
    headswap train --preset quick --data photos --weights embedded
    torchrun --nproc-per-node 2 -m headswap train --data photos    (two GPUs, or two halves of a CPU)

The folder holds one folder per class, or train/, val/ and test/ with one per class in each.
--preset quick (a CPU, minutes) or best (a GPU) sets every flag that is not given.
"""

import os

from headswap.errors import ArgumentError
from headswap.output import stdout
from training.config import PRESETS, TrainConfig

Command = TrainConfig


def take_preset(words: list[str]) -> tuple[TrainConfig | None, list[str]]:
    """Return the preset's flags and the words without it.

    Raises:
        ArgumentError: there is no such preset.
    """
    # Also as one word, --preset=quick, as every other flag may be given.
    words = [part for word in words for part in _parts(word)]
    if "--preset" not in words:
        return None, words
    at = words.index("--preset")
    name = words[at + 1] if at + 1 < len(words) else ""
    if name not in PRESETS:
        raise ArgumentError(f"--preset {name!r} is unknown; the presets are {', '.join(PRESETS)}.")
    return PRESETS[name](), words[:at] + words[at + 2 :]


def _parts(word: str) -> list[str]:
    return word.split("=", 1) if word.startswith("--preset=") else [word]


def run(command: TrainConfig) -> int:
    from training.distributed import read_place
    from training.errors import EndedElsewhereError
    from training.fit.trainer import train

    try:
        run_folder = train(command)
    except EndedElsewhereError as error:
        return error.exit_code
    if read_place(os.environ).is_rank_zero:
        stdout.print(f"{run_folder}\nNext: headswap evaluate {run_folder}")
    return 0
