"""Unload a version that is no longer live, once its pending requests are answered.

Example:
    headswap retire clothing 1.0
"""

from dataclasses import dataclass, field

import tyro

from headswap.options import ModelName, ServerOptions, VersionNumber
from headswap.promotion_log import PromotionLog


@dataclass(frozen=True, kw_only=True)
class Command:
    model: ModelName
    """The model's name."""
    version: tyro.conf.Positional[VersionNumber]
    """The version to unload."""
    server: ServerOptions = field(default_factory=ServerOptions)


def run(command: Command) -> int:
    from serving.rollout.retirement import retire

    subject = f"{command.model} {command.version}"
    with (
        command.server.session() as session,
        PromotionLog(session.settings, "retire", subject=subject) as report,
    ):
        retire(session, command.model, command.version, report=report)
    return 0
