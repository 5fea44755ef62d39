"""Validate an archive and make it live without losing a request.

Example:
    headswap promote model_store/clothing-2.0.mar
    headswap promote model_store/clothing-2.0.mar --gate-data photos/test --max-drop 0.01 --bake 60
    headswap promote clothing-2.0.mar --cluster auto --percent 5 --bake 300

The old version serves until the new one is loaded, reproduces the predictions of its probe photos and passes every
check that the flags below ask for. Then the old version stays loaded for headswap rollback.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from headswap.cluster_options import ClusterAddress, open_rollout
from headswap.errors import ArgumentError
from headswap.options import ArchivePath, ServerOptions, TrustOptions
from headswap.output import stdout
from headswap.promotion_log import PromotionLog

if TYPE_CHECKING:
    from cluster.rollout.trial import TrialOptions
    from serving.rollout.promotion import Trial
    from serving.rollout.session import Report, RolloutSession


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
    percent: float = 0.0
    """With --cluster: let it answer this share of the requests during --bake, before it goes live, and compare errors,
    p99 and predictions with the live version's; the same correlation id always gets the same version."""
    min_agreement: float = 0.8
    """With --percent: refuse it if it predicts the live version's class for fewer of the photos, 0 to 1."""
    keep: int = 1
    """Number of previous versions that stay loaded for a rollback."""
    why: str | None = None
    """The reason, for `headswap status` to show; by default the archive's path."""
    allow_class_change: bool = False
    """Promote even if the class names differ from the live version's."""
    allow_outside_store: bool = False
    """Accept an archive from outside the model store; it is copied into the store first."""
    trust: TrustOptions = field(default_factory=TrustOptions)
    cluster: ClusterAddress = None
    """A Ray cluster instead of the server on this machine: `auto` on one of its machines, or HOST:6379."""
    server: ServerOptions = field(default_factory=ServerOptions)


def run(command: Command) -> int:
    from serving.rollout.gates import Gates
    from serving.rollout.promotion import PromotionOptions, promote
    from serving.rollout.trust import refuse_outside

    trial_options = _trial_options(command)
    # A cluster has no folder that others might write to: it gets the archive that was checked.
    if command.cluster is None and not command.allow_outside_store:
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
        # With --percent the time is that of the trial.
        bake_s=0.0 if command.percent else command.bake,
        keep=command.keep,
        why=command.why,
    )
    with (
        open_rollout(command.server, command.cluster) as session,
        PromotionLog(command.server, "promote", subject=str(command.archive)) as report,
    ):
        trial = _trial(trial_options, session, report) if trial_options else None
        result = promote(session, command.archive, report=report, options=options, trial=trial)
    undo = f" To undo: {_undo(command)}" if result.previous and command.keep else ""
    stdout.print(f"{result.model} {result.live} is live after {result.seconds:.1f} s.{undo}")
    return 0


def _trial_options(command: Command) -> "TrialOptions | None":
    """Return how the candidate is tried out; None: it is not. Raises ArgumentError, InputError."""
    if not command.percent:
        return None
    if command.cluster is None:
        raise ArgumentError(
            "--percent needs --cluster: TorchServe sends all requests of a model to one version."
        )
    from cluster.rollout.trial import TrialOptions

    return TrialOptions(
        percent=command.percent,
        seconds=command.bake,
        max_p99_ms=command.max_p99_ms,
        min_agreement=command.min_agreement,
    )


def _trial(options: "TrialOptions", session: "RolloutSession", report: "Report") -> "Trial":
    from cluster.rollout.session import ClusterSession
    from cluster.rollout.trial import try_out

    assert isinstance(session, ClusterSession)
    return lambda archive, live: try_out(session, archive, live, options, report=report)


def _undo(command: Command) -> str:
    return "headswap rollback" + (f" --cluster {command.cluster}" if command.cluster else "")
