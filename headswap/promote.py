"""Put an archive live, after it has proved itself, without losing a request.

Example:
    headswap promote model_store/clothing-2.0.mar

The old version goes on serving until the new one is loaded and has answered its probes, and stays
loaded for headswap rollback.
"""

from dataclasses import dataclass, field
from pathlib import Path

import tyro

from headswap.console import stdout
from headswap.timeline import Timeline
from headswap.trust_flags import TrustFlags
from headswap.where import Where


@dataclass(frozen=True, kw_only=True)
class Command:
    archive: tyro.conf.Positional[Path]
    """The archive that `headswap export` made."""
    allow_class_change: bool = False
    """Promote although the classes differ from the live version's."""
    allow_outside_store: bool = False
    """Copy the archive into the model store first, where it lies elsewhere."""
    trust: TrustFlags = field(default_factory=TrustFlags)
    where: Where = field(default_factory=Where)


def run(command: Command) -> int:
    from serving.promotion import promote
    from serving.trust import refuse_outside

    settings = command.where.settings()
    if not command.allow_outside_store:
        refuse_outside(command.archive, settings.model_store)
    swap = promote(
        settings,
        command.archive,
        report=Timeline(),
        allow_class_change=command.allow_class_change,
        trust=command.trust.trust(),
    )
    stdout.print(f"{swap.model} {swap.live} is live, {swap.seconds:.1f} s. Back: headswap rollback")
    return 0
