"""Train the next version on the labels of captured photos, and make it live if it is better.

Example:
    headswap improve captured --dry-run
    headswap improve captured --bake 60

It trains from the live version's weights, on the photos of the run that this was exported from and on the new ones,
measures the new version on the run's old test photos and on a share of the new ones, exports it, and promotes it with a
gate. Interrupted at any step, the same command continues.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from headswap.errors import ArgumentError
from headswap.options import ServerOptions, TrustOptions
from headswap.output import Timeline, stdout
from headswap.promotion_log import PromotionLog

if TYPE_CHECKING:
    from headswap.improve.journal import Journal
    from headswap.improve.origin import LiveVersion
    from headswap.improve.steps import Improvement
    from serving.rollout.live_record import Deployment


@dataclass(frozen=True, kw_only=True)
class Command:
    captured: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="FOLDER")]]
    """The folder of `headswap serve --capture`, with labels."""
    run: Annotated[Path | None, tyro.conf.arg(metavar="RUN")] = None
    """The run that the live version was exported from; by default it is looked for in runs/ and in FOLDER."""
    new_classes: bool = False
    """Make classes of the labels that the live version lacks classes of the next one."""
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
    from headswap.improve.improve import only_one

    _check(command)
    log: AbstractContextManager[Callable[[str], None]] = (
        nullcontext(Timeline())
        if command.dry_run
        else PromotionLog(command.server.settings(), "improve", subject=str(command.captured))
    )
    with nullcontext() if command.dry_run else only_one(command.captured), log as report:
        return _run(command, report)


def _run(command: Command, report: Callable[[str], None]) -> int:
    from headswap.improve.errors import NotBetterError
    from headswap.improve.improve import run_improvement
    from serving.errors import PromotionError

    name, deployment = _find_live(command)
    journal = _continued(command, deployment, report) or _begun(command, name, deployment)
    improvement = _improvement(command, name, deployment, journal, report)
    if "labels" not in journal.done:
        improvement.new_labels.check(new_classes=command.new_classes)
    if command.dry_run:
        for step in improvement.steps():
            is_done = " (done before)" if step.name in journal.done else ""
            stdout.print(f"{step.name}: {step.plan}{is_done}")
        return 0
    with command.server.session() as session:
        # Better now than after the training.
        session.management.versions(name)
    run_improvement(
        journal, improvement.steps(), report=report, refusals=(NotBetterError, PromotionError)
    )
    stdout.print(f"{name} {journal.version} is live. To undo: headswap rollback")
    return 0


def _check(command: Command) -> None:
    from training.export.model_config import check_version

    if not 0 < command.new_share < 1:
        raise ArgumentError(f"--new-share must be between 0 and 1, not {command.new_share}.")
    if not 0 <= command.max_drop <= 1:
        raise ArgumentError(f"--max-drop must be between 0 and 1, not {command.max_drop}.")
    if not 0 <= command.bake < 1e6:
        raise ArgumentError(f"--bake must be 0 seconds or more, not {command.bake}.")
    if command.version is not None:
        check_version(command.version)
    if not command.captured.is_dir():
        raise ArgumentError(
            f"{str(command.captured)!r} is not a folder; give that of `headswap serve --capture FOLDER`."
        )


def _find_live(command: Command) -> "tuple[str, Deployment]":
    from serving.rollout.live_record import read_record

    record = read_record(command.server.model_store)
    name = command.name or (next(iter(record)) if len(record) == 1 else None)
    if name is None or name not in record:
        live = ", ".join(record) or "none"
        raise ArgumentError(f"--name must be that of a live model; live are: {live}.")
    return name, record[name]


def _continued(
    command: Command, deployment: "Deployment", report: Callable[[str], None]
) -> "Journal | None":
    """Return the journal of the improvement that is not over; one whose start is no longer live is ended."""
    from capture.labels import LabelBook
    from headswap.improve.improve import end, find_open, is_of
    from headswap.improve.snapshot import labels_key

    journal, live = find_open(command.captured), deployment.live.version
    if journal is None:
        return None
    if not is_of(journal, live):
        outcome = f"{live} was made live meanwhile"
        report(f"{journal.folder} began from {journal.live}, and {outcome}: begins again")
        if not command.dry_run:
            end(journal, outcome)
        return None
    if command.run is not None and command.run.resolve() != Path(journal.run):
        raise ArgumentError(
            f"{journal.folder} began with --run {journal.run}; give that, or remove the folder to begin again."
        )
    begin_again = ", which you can remove to begin again" if live == journal.live else ""
    report(f"continues {journal.folder}{begin_again}")
    if "labels" not in journal.done:
        journal.labels = labels_key(LabelBook(command.captured).read())
    return journal


def _begun(command: Command, name: str, deployment: "Deployment") -> "Journal":
    from headswap.improve.improve import FOLDER, begin, next_version
    from headswap.improve.origin import find_run

    store = command.server.model_store
    is_taken = _is_taken(command, name)
    version = command.version or next_version(deployment.live.version, is_taken)
    journal = begin(
        command.captured,
        live=deployment.live.version,
        version=version,
        run="",
        share=command.new_share,
    )
    if is_taken(version):
        raise ArgumentError(
            f"--version {version} is taken: {store} holds that archive already; give another."
        )
    here, beside = Path("runs"), store.absolute().parent / "runs"
    places = [here, *([] if here.absolute() == beside else [beside]), command.captured / FOLDER]
    live = _read_live(command, name, deployment, deployment.live.version)
    journal.run = str(find_run(live, command.run, places).folder.resolve())
    return journal


def _is_taken(command: Command, name: str) -> Callable[[str], bool]:
    from handlers.contract import archive_file_name
    from headswap.improve.improve import FOLDER

    store, tried = command.server.model_store, command.captured / FOLDER
    return lambda version: (
        (store / archive_file_name(name, version)).exists() or (tried / version).exists()
    )


def _read_live(
    command: Command, name: str, deployment: "Deployment", version: str
) -> "LiveVersion":
    """Return that version, or the live one where no archive of that is recorded any longer."""
    from headswap.improve.origin import read_live
    from serving.rollout.live_record import open_entry

    entries = {entry.version: entry for entry in deployment.entries}
    entry = entries.get(version, deployment.live)
    return read_live(open_entry(command.server.model_store, entry, model=name))


def _improvement(
    command: Command,
    name: str,
    deployment: "Deployment",
    journal: "Journal",
    report: Callable[[str], None],
) -> "Improvement":
    from headswap.improve.new_labels import NewLabels
    from headswap.improve.steps import Improvement
    from training.run import Run

    captured, run = command.captured.absolute(), Run(folder=Path(journal.run))
    live = _read_live(command, name, deployment, journal.live)
    return Improvement(
        folder=journal.folder.absolute(),
        captured=captured,
        run=run,
        live=live,
        version=journal.version,
        model_store=command.server.model_store,
        new_labels=NewLabels(captured, run, live, journal.share),
        counts=journal.done.get("labels"),
        max_drop=command.max_drop,
        bake_s=command.bake,
        trust=command.trust.trust(),
        open_session=command.server.session,
        report=report,
    )
