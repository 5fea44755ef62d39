"""Find a good learning rate: raise it step by step until the loss stops falling (learning rate range test).

Example:
    headswap lr-find --data photos --out runs/first
    headswap train --data photos --out runs/first --learning-rate 0.001

Takes the flags of headswap train and about as long as ten epochs. --out then holds learning-rate.svg and .json;
headswap train may use the same --out.
"""

from headswap.commands.training.train import take_preset
from headswap.output import stderr, stdout
from training.config import TrainConfig

__all__ = ["Command", "run", "take_preset"]

Command = TrainConfig


def run(command: TrainConfig) -> int:
    from training.data.source import read_data
    from training.distributed import require_single_process
    from training.fit.lr_finder import find_learning_rate, write_learning_rate_curve

    require_single_process("lr-find")
    curve = find_learning_rate(command, read_data(command), log=stderr.print)
    plot = write_learning_rate_curve(curve, command.out)
    flag = "--head-learning-rate" if command.freeze == "backbone" else "--learning-rate"
    stdout.print(f"{plot}\nNext: headswap train with {flag} {curve.suggestion:g}")
    return 0
