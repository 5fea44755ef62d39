"""Train the next version on the labels of captured photos, and make it live if it is better.

Example:
    headswap improve captured --run runs/first --dry-run
    headswap improve captured --run runs/first --bake 60

It trains from the live version's weights, measures the new version on the run's old test photos and on a share of the
new ones, exports it, and promotes it with a gate. Interrupted at any step, the same command continues.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from headswap.errors import ArgumentError
from headswap.options import ServerOptions, TrustOptions
from headswap.output import stdout
from headswap.promotion_log import PromotionLog

if TYPE_CHECKING:
    from serving.rollout.live_record import Entry


@dataclass(frozen=True, kw_only=True)
class Command:
    captured: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="FOLDER")]]
    """The folder of `headswap serve --capture`, with labels."""
    run: Annotated[Path, tyro.conf.arg(metavar="RUN")]
    """The run that the live version was exported from: its settings and its photos are used again."""
    name: Annotated[str | None, tyro.conf.arg(metavar="MODEL")] = None
    """The model to improve; by default the only one that is live."""
    version: Annotated[str | None, tyro.conf.arg(metavar="VERSION")] = None
    """Of the new archive; by default the live one with its last number one higher."""
    new_share: float = 0.2
    """Share of the new labels that is not trained on: the new version has to be better on it."""
    max_drop: float = 0.0
    """By how much its accuracy on the old test photos, 0 to 1, may be lower than the live version's."""
    bake: float = 60.0
    """Watch it for this many seconds once it is live, and roll back at the first fault."""
    dry_run: bool = False
    """Say what it would do, and do nothing."""
    trust: TrustOptions = field(default_factory=TrustOptions)
    server: ServerOptions = field(default_factory=ServerOptions)


def run(command: Command) -> int:
    from headswap.improve.improve import find_or_begin, next_version, run_improvement
    from headswap.improve.steps import Improvement, NotBetterError
    from serving.errors import PromotionError
    from serving.rollout.live_record import open_entry

    if not 0 < command.new_share < 1:
        raise ArgumentError(f"--new-share must be between 0 and 1, not {command.new_share}.")
    name, live = _find_live(command)
    archive = open_entry(command.server.model_store, live, model=name)
    settings = command.server.settings()
    with PromotionLog(settings, "improve", subject=str(command.captured)) as report:
        version = command.version or next_version(live.version, _is_taken(command, name))
        journal = find_or_begin(command.captured, live=live.version, version=version, report=report)
        improvement = Improvement(
            folder=journal.folder.absolute(),
            captured=command.captured.absolute(),
            run=command.run,
            name=name,
            live=archive.path,
            version=journal.version,
            model_store=command.server.model_store,
            share=command.new_share,
            max_drop=command.max_drop,
            bake_s=command.bake,
            trust=command.trust.trust(),
            open_session=command.server.session,
            report=report,
        )
        if command.dry_run:
            for step in improvement.steps():
                is_done = " (done before)" if step.name in journal.done else ""
                stdout.print(f"{step.name}: {step.plan}{is_done}")
            return 0
        run_improvement(
            journal, improvement.steps(), report=report, refusals=(NotBetterError, PromotionError)
        )
    stdout.print(f"{name} {journal.version} is live. To undo: headswap rollback")
    return 0


def _find_live(command: Command) -> "tuple[str, Entry]":
    from serving.rollout.live_record import read_record

    record = read_record(command.server.model_store)
    name = command.name or (next(iter(record)) if len(record) == 1 else None)
    if name is None or name not in record:
        live = ", ".join(record) or "none"
        raise ArgumentError(f"--name must be that of a live model; live are: {live}.")
    return name, record[name].live


def _is_taken(command: Command, name: str) -> Callable[[str], bool]:
    from handlers.contract import archive_file_name

    store = command.server.model_store
    return lambda version: (store / archive_file_name(name, version)).exists()
