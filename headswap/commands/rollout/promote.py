"""Validate an archive and make it live without losing a request.

Example:
    headswap promote model_store/clothing-2.0.mar
    headswap promote model_store/clothing-2.0.mar --gate-data photos/test --max-drop 0.01 --bake 60

The old version serves until the new one is loaded, reproduces the predictions of its probe photos and passes every
check that the flags below ask for. Then the old version stays loaded for headswap rollback.
"""

from dataclasses import dataclass, field
from pathlib import Path

from headswap.options import ArchivePath, ServerOptions, TrustOptions
from headswap.output import stdout
from headswap.promotion_log import PromotionLog


@dataclass(frozen=True, kw_only=True)
class Command:
    archive: ArchivePath
    """The archive to promote."""
    gate_data: Path | None = None
    """Labelled photos, a folder per class, to evaluate the new version on before it goes live."""
    gate_labels: Path | None = None
    """CSV file of path,label[,split] that lists the photos of --gate-data, instead of class folders."""
    min_accuracy: float | None = None
    """Refuse it if its accuracy on --gate-data, 0 to 1, is lower."""
    max_drop: float | None = None
    """Refuse it if its accuracy on --gate-data is more than this, 0 to 1, below the live version's."""
    max_p99_ms: float | None = None
    """Refuse it if the p99 latency of 200 requests, one at a time, is higher, in milliseconds."""
    shadow: int = 0
    """Send this many photos of --gate-data to both versions and print where their predictions differ."""
    bake: float = 0.0
    """Watch it for this many seconds once it is live, and roll back at the first fault."""
    keep: int = 1
    """Number of previous versions that stay loaded for a rollback."""
    why: str | None = None
    """The reason, for `headswap status` to show; by default the archive's path."""
    allow_class_change: bool = False
    """Promote even if the class names differ from the live version's."""
    allow_outside_store: bool = False
    """Accept an archive from outside the model store; it is copied into the store first."""
    trust: TrustOptions = field(default_factory=TrustOptions)
    server: ServerOptions = field(default_factory=ServerOptions)


def run(command: Command) -> int:
    from serving.rollout.gates import Gates
    from serving.rollout.promotion import PromotionOptions, promote
    from serving.rollout.trust import refuse_outside

    if not command.allow_outside_store:
        refuse_outside(command.archive, command.server.model_store)
    options = PromotionOptions(
        allow_class_change=command.allow_class_change,
        trust=command.trust.trust(),
        gates=Gates(
            data=command.gate_data,
            labels=command.gate_labels,
            min_accuracy=command.min_accuracy,
            max_drop=command.max_drop,
            max_p99_ms=command.max_p99_ms,
            shadow=command.shadow,
        ),
        bake_s=command.bake,
        keep=command.keep,
        why=command.why,
    )
    with (
        command.server.session() as session,
        PromotionLog(session.settings, "promote", subject=str(command.archive)) as report,
    ):
        result = promote(session, command.archive, report=report, options=options)
    undo = " To undo: headswap rollback" if result.previous and command.keep else ""
    stdout.print(f"{result.model} {result.live} is live after {result.seconds:.1f} s.{undo}")
    return 0
