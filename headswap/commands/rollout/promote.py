"""Put an archive live, after it has proved itself, without losing a request.

Example:
    headswap promote model_store/clothing-2.0.mar
    headswap promote model_store/clothing-2.0.mar --gate-data photos/test --max-drop 0.01 --bake 60

The old version goes on serving until the new one is loaded, has answered its probes and has passed
what else you ask of it. It stays loaded for headswap rollback.
"""

from dataclasses import dataclass, field
from pathlib import Path

import tyro

from headswap.options import ServerOptions, TrustOptions
from headswap.output import stdout
from headswap.promotion_log import PromotionLog


@dataclass(frozen=True, kw_only=True)
class Command:
    archive: tyro.conf.Positional[Path]
    """The archive that `headswap export` made."""
    gate_data: Path | None = None
    """Labelled photos, a folder per class, that the new version is judged by."""
    min_accuracy: float | None = None
    """Refuse it if it has a smaller share of them right, 0 to 1."""
    max_drop: float | None = None
    """Refuse it if its share is smaller than the live version's by more than this, 0 to 1."""
    max_p99_ms: float | None = None
    """Refuse it if 1 % of 200 requests, one at a time, take longer."""
    shadow: int = 0
    """Have so many of the photos answered by both versions and print where they differ."""
    bake: float = 0.0
    """Watch it for so many seconds once it is live, and roll back at the first fault."""
    keep: int = 1
    """How many versions before it stay loaded for a rollback."""
    why: str | None = None
    """The reason that `headswap status` shows; by default where the archive came from."""
    allow_class_change: bool = False
    """Promote although the classes differ from the live version's."""
    allow_outside_store: bool = False
    """Copy the archive into the model store first, where it lies elsewhere."""
    trust: TrustOptions = field(default_factory=TrustOptions)
    server: ServerOptions = field(default_factory=ServerOptions)


def run(command: Command) -> int:
    from serving.rollout.gates import Gates
    from serving.rollout.promotion import PromotionOptions, promote
    from serving.rollout.trust import refuse_outside

    settings = command.server.settings()
    if not command.allow_outside_store:
        refuse_outside(command.archive, settings.model_store)
    terms = PromotionOptions(
        allow_class_change=command.allow_class_change,
        trust=command.trust.trust(),
        gates=Gates(
            data=command.gate_data,
            min_accuracy=command.min_accuracy,
            max_drop=command.max_drop,
            max_p99_ms=command.max_p99_ms,
            shadow=command.shadow,
        ),
        bake_s=command.bake,
        keep=command.keep,
        why=command.why,
    )
    with PromotionLog(settings, "promote", subject=str(command.archive)) as report:
        swap = promote(settings, command.archive, report=report, terms=terms)
    back = " Back: headswap rollback" if swap.previous and command.keep else ""
    stdout.print(f"{swap.model} {swap.live} is live, {swap.seconds:.1f} s.{back}")
    return 0
