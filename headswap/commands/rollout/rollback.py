"""Put the previous version back live, at once: it is still loaded.

Example:
    headswap rollback
    headswap rollback clothing
"""

from dataclasses import dataclass, field

import tyro

from headswap.options import ServerOptions
from headswap.output import stdout
from headswap.promotion_log import PromotionLog


@dataclass(frozen=True, kw_only=True)
class Command:
    model: tyro.conf.Positional[str | None] = None
    """The model; needed only where several are live."""
    why: str | None = None
    """The reason that `headswap status` shows."""
    server: ServerOptions = field(default_factory=ServerOptions)


def run(command: Command) -> int:
    from serving.rollout.promotion import rollback

    settings = command.server.settings()
    with PromotionLog(settings, "rollback", subject=command.model) as report:
        swap = rollback(settings, command.model, report=report, why=command.why)
    stdout.print(f"{swap.model} {swap.live} is live again, {swap.seconds:.1f} s")
    return 0
