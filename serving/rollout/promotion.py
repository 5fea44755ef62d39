"""A version goes live once it has passed every check; until the switch clients notice nothing.

A failure before the switch unloads the candidate, one after it makes the version before the default again. A promotion
that is killed is undone or completed by the next command (journal.py, recovery.py).
"""

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from serving.archive.reader import Archive, read_archive
from serving.errors import InputError, PromotionError, RequestError, ServingError
from serving.rollout import journal
from serving.rollout.bake import bake
from serving.rollout.gates import Gates
from serving.rollout.live_record import Deployment, Entry, entry_of
from serving.rollout.recovery import recover
from serving.rollout.session import Report, RolloutSession
from serving.rollout.steps import PromotionResult, load, record_switch, switch
from serving.rollout.trust import STRICT, Trust

Trial = Callable[[Archive, Entry], None]
"""Lets the loaded candidate answer some requests beside the live version. Raises PromotionError: it may not go on."""


@dataclass(frozen=True, kw_only=True)
class PromotionOptions:
    """What a version has to pass, and what happens to the versions before it."""

    allow_class_change: bool = False
    trust: Trust = STRICT
    gates: Gates = field(default_factory=Gates)
    bake_s: float = 0.0
    """How long it is watched once it is live; its p99 must stay within `gates.max_p99_ms`."""
    keep: int = 1
    """How many versions before it stay loaded for a rollback."""
    why: str | None = None
    """The reason that the record gives; by default where the archive came from."""

    def __post_init__(self) -> None:
        for name, flag in (("bake_s", "--bake"), ("keep", "--keep")):
            if getattr(self, name) < 0:
                raise InputError(f"{flag} must be 0 or more, not {getattr(self, name)}.")


def promote(
    session: RolloutSession,
    archive_path: Path,
    *,
    report: Report,
    options: PromotionOptions | None = None,
    trial: Trial | None = None,
) -> PromotionResult:
    """Make the archive's version live; the version before stays loaded for a rollback.

    `trial` comes after the gates and before the switch, where a version is live already.

    Raises:
        ArchiveError, InputError: the archive cannot be promoted. BusyError: another promotion is running.
        PromotionError: it failed a check, or its bake; the version before serves.
    """
    began = time.monotonic()
    options = options or PromotionOptions()
    store = session.store
    candidate = options.trust.accept(read_archive(archive_path))
    with store.locked():
        recover(session, report=report)
        record = store.read_record()
        deployment = record.get(candidate.name)
        if deployment is not None:
            _check_succession(session, candidate, deployment, options)
        archive = store.install(candidate)
        report(f"{archive.name} {archive.version} is in {store}")

        why = options.why or f"promoted from {archive_path}"
        live = deployment.live if deployment else None
        planned = _succeeded(deployment, archive, keep=options.keep, why=why)
        intent = _intent(session, archive, deployment, planned)
        store.begin(intent)
        try:
            load(session, archive, live=live, gates=options.gates, report=report)
            if trial is not None and live is not None:
                _try_out(session, archive, live, trial, intent=intent, report=report)
            before = switch(session, archive, report=report)
            # Anew, because loading takes seconds to minutes and its time is that of the switch.
            record[archive.name] = _succeeded(deployment, archive, keep=options.keep, why=why)
            record_switch(session, archive.name, record, before=before)
        except ServingError:
            _end_if_undone(session, intent)
            raise
        seconds = time.monotonic() - began

        for version in intent.evicted:
            _unload_or_report(session, archive.name, version, report=report)
        store.end()
    if options.bake_s:
        max_p99_ms = options.gates.max_p99_ms
        bake(session, archive, seconds=options.bake_s, max_p99_ms=max_p99_ms, report=report)
    return PromotionResult(
        model=archive.name,
        live=archive.version,
        previous=live.version if live else None,
        seconds=seconds,
    )


def _try_out(
    session: RolloutSession,
    archive: Archive,
    live: Entry,
    trial: Trial,
    *,
    intent: journal.Intent,
    report: Report,
) -> None:
    """Return if the candidate passes its trial; otherwise it is unloaded, unless it was loaded before."""
    try:
        trial(archive, live)
    except BaseException:
        if not intent.was_loaded:
            _unload_or_report(session, archive.name, archive.version, report=report)
        raise


def _check_succession(
    session: RolloutSession,
    candidate: Archive,
    deployment: Deployment,
    options: PromotionOptions,
) -> None:
    """Raise InputError if the candidate is live already, or has other classes although they must not change."""
    if deployment.live.version == candidate.version:
        raise InputError(f"{candidate.name} {candidate.version} is live already.")
    live = session.store.open_entry(deployment.live, model=candidate.name)
    if live.class_names != candidate.class_names and not options.allow_class_change:
        raise InputError(
            f"{candidate.name} {candidate.version} has the classes {', '.join(candidate.class_names)}, the live "
            f"version {', '.join(live.class_names)}, and clients may rely on those; give --allow-class-change if the "
            "change is meant."
        )


def _succeeded(
    deployment: Deployment | None, archive: Archive, *, keep: int, why: str
) -> Deployment:
    """Return the deployment with the archive live as of now."""
    entry = entry_of(archive, why=why)
    return deployment.succeeded_by(entry, keep=keep) if deployment else Deployment(live=entry)


def _intent(
    session: RolloutSession,
    archive: Archive,
    deployment: Deployment | None,
    successor: Deployment,
) -> journal.Intent:
    needed = {entry.version for entry in successor.entries}
    known = [entry.version for entry in deployment.entries] if deployment else []
    return journal.Intent(
        model=archive.name,
        version=archive.version,
        was_loaded=archive.version in session.management.versions(archive.name),
        evicted=tuple(version for version in known if version not in needed),
    )


def _end_if_undone(session: RolloutSession, intent: journal.Intent) -> None:
    # If the server does not answer, the next command finds the intent and looks again.
    with contextlib.suppress(RequestError):
        loaded = session.management.versions(intent.model)
        if intent.was_loaded or intent.version not in loaded:
            session.store.end()


def _unload_or_report(session: RolloutSession, model: str, version: str, *, report: Report) -> None:
    """Unload a version that no rollback needs; report it if it has to stay."""
    try:
        session.unload(model, version, report=report)
    except (PromotionError, RequestError) as error:
        report(f"{model} {version} stays loaded: {error}")
