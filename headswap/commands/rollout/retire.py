"""Unload a version that is no longer live, once its pending requests are answered.

Example:
    headswap retire clothing 1.0
    headswap retire clothing 1.0 --cluster auto
"""

from dataclasses import dataclass, field

import tyro

from headswap.cluster_options import ClusterAddress, open_rollout
from headswap.options import ModelName, ServerOptions, VersionNumber
from headswap.promotion_log import PromotionLog


@dataclass(frozen=True, kw_only=True)
class Command:
    model: ModelName
    """The model's name."""
    version: tyro.conf.Positional[VersionNumber]
    """The version to unload."""
    cluster: ClusterAddress = None
    """A Ray cluster instead of the server on this machine: `auto` on one of its machines, or HOST:6379."""
    server: ServerOptions = field(default_factory=ServerOptions)


def run(command: Command) -> int:
    from serving.rollout.retirement import retire

    subject = f"{command.model} {command.version}"
    with (
        open_rollout(command.server, command.cluster) as session,
        PromotionLog(command.server, "retire", subject=subject) as report,
    ):
        retire(session, command.model, command.version, report=report)
    return 0
