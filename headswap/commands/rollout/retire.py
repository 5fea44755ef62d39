"""Unload a version that is no longer live, once everything it was asked is answered.

Example:
    headswap retire clothing 1.0
"""

from dataclasses import dataclass, field

import tyro

from headswap.options import ServerOptions
from headswap.promotion_log import PromotionLog


@dataclass(frozen=True, kw_only=True)
class Command:
    model: tyro.conf.Positional[str]
    """The model's name."""
    version: tyro.conf.Positional[str]
    """The version to unload."""
    server: ServerOptions = field(default_factory=ServerOptions)


def run(command: Command) -> int:
    from serving.rollout.retirement import retire

    settings = command.server.settings()
    with PromotionLog(settings, "retire", subject=f"{command.model} {command.version}") as report:
        retire(settings, command.model, command.version, report=report)
    return 0
