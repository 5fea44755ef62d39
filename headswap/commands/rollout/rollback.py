"""Make the previous version live again, at once: it is still loaded.

Example:
    headswap rollback
    headswap rollback clothing
    headswap rollback --cluster auto
"""

from dataclasses import dataclass, field
from typing import Annotated

import tyro

from headswap.cluster_options import ClusterAddress, open_rollout
from headswap.options import ServerOptions
from headswap.output import stdout
from headswap.promotion_log import PromotionLog


@dataclass(frozen=True, kw_only=True)
class Command:
    model: tyro.conf.Positional[Annotated[str | None, tyro.conf.arg(metavar="[MODEL]")]] = None
    """The model; required only if several are live."""
    why: str | None = None
    """The reason, for `headswap status` to show."""
    cluster: ClusterAddress = None
    """A Ray cluster instead of the server on this machine: `auto` on one of its machines, or HOST:6379."""
    server: ServerOptions = field(default_factory=ServerOptions)


def run(command: Command) -> int:
    from serving.rollout.rollback import rollback

    with (
        open_rollout(command.server, command.cluster) as session,
        PromotionLog(command.server, "rollback", subject=command.model) as report,
    ):
        result = rollback(session, command.model, report=report, why=command.why)
    stdout.print(f"{result.model} {result.live} is live again after {result.seconds:.1f} s.")
    return 0
