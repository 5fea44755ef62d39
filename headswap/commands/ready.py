"""Exit 0 if every live version just classified known photos as training did, else 1 and say why.

Example:
    headswap ready
"""

from dataclasses import dataclass, field

from headswap.output import stdout
from headswap.where import ServerOptions


@dataclass(frozen=True, kw_only=True)
class Command:
    where: ServerOptions = field(default_factory=ServerOptions)


def run(command: Command) -> int:
    from serving.rollout.readiness import check_live

    for sentence in check_live(command.where.settings()):
        stdout.print(sentence)
    return 0
