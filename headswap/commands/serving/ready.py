"""Check that every live version classifies its probe photos as it did when it was exported.

Example:
    headswap ready
    headswap ready --state upgrade/.headswap      another server's

The exit code is 0 if all do; otherwise it is 1 and the error says why. For health checks and readiness probes.
"""

from dataclasses import dataclass, field

from headswap.options import ServerOptions
from headswap.output import stdout


@dataclass(frozen=True, kw_only=True)
class Command:
    server: ServerOptions = field(default_factory=ServerOptions)


def run(command: Command) -> int:
    from serving.rollout.readiness import check_live

    with command.server.session() as session:
        for sentence in check_live(session):
            stdout.print(sentence)
    return 0
