"""Exit 0 if every live version just classified known photos as training did, else 1 and say why.

Example:
    headswap ready
"""

from dataclasses import dataclass, field

from headswap.options import ServerOptions
from headswap.output import stdout


@dataclass(frozen=True, kw_only=True)
class Command:
    server: ServerOptions = field(default_factory=ServerOptions)


def run(command: Command) -> int:
    from serving.rollout.readiness import check_live

    for sentence in check_live(command.server.settings()):
        stdout.print(sentence)
    return 0
