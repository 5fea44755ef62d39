"""Find how fast a network may learn: raise the learning rate step by step and see where the loss turns.

Example:
    headswap lr-find --data photos --out runs/first
    headswap train --data photos --out runs/first --learning-rate 0.001

Takes the flags of headswap train. --out then holds learning-rate.svg and .json, beside which the run
may be trained. It takes about as long as ten epochs.
"""

from headswap.commands.training.train import take_preset
from headswap.output import stderr, stdout
from training.config import TrainConfig

__all__ = ["Command", "run", "take_preset"]

Command = TrainConfig


def run(command: TrainConfig) -> int:
    from training.data.source import read_data
    from training.distributed import refuse_several
    from training.fit.lr_finder import find_learning_rate, write_rate_range

    refuse_several("lr-find")
    found = find_learning_rate(command, read_data(command), say=stderr.print)
    plot = write_rate_range(found, command.out)
    flag = "--head-learning-rate" if command.freeze == "body" else "--learning-rate"
    stdout.print(f"{plot}\nNext: headswap train with {flag} {found.suggestion:g}")
    return 0
