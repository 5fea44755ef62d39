"""A version goes live only after it has proved itself; until the switch nothing changes for anyone.

install -> register, synchronous -> workers ready -> probes through its own endpoint -> gates -> set-default ->
confirm -> record -> unload what falls out -> watch for a while. Any failure before set-default unloads the newcomer;
after it, the old default is put back. Killed anywhere, the next command finds journal.py's note and goes back or on.
"""

import contextlib
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

from serving.archive.reader import Archive, read_archive
from serving.client.grpc_management import manage
from serving.client.management import ManagementApi
from serving.errors import InputError, PromotionError, RequestError, ServingError
from serving.rollout import journal
from serving.rollout.bake import watch
from serving.rollout.drain import unload
from serving.rollout.gates import Gates
from serving.rollout.live_record import (
    Deployment,
    entry_of,
    locked,
    open_entry,
    read_record,
    write_record,
)
from serving.rollout.loading import install, load, switch
from serving.rollout.readiness import Report
from serving.rollout.recovery import finish_half_done
from serving.rollout.trust import STRICT, Trust
from serving.settings import ServerSettings


@dataclass(frozen=True, kw_only=True)
class PromotionOptions:
    """On what terms a version goes live."""

    allow_class_change: bool = False
    trust: Trust = STRICT
    gates: Gates = field(default_factory=Gates)
    bake_s: float = 0.0
    """How long it is watched afterwards; its p99 against `gates.max_p99_ms`."""
    keep: int = 1
    """How many versions before it stay loaded for a rollback."""
    why: str | None = None
    """What the record gives as the reason; by default where the archive came from."""

    def __post_init__(self) -> None:
        for name in ("bake_s", "keep"):
            if getattr(self, name) < 0:
                raise InputError(f"{name} is {getattr(self, name)}; 0 or more is.")


@dataclass(frozen=True, kw_only=True)
class PromotionResult:
    """What was done, and the seconds until it was recorded."""

    model: str
    live: str
    previous: str | None
    seconds: float


def promote(
    settings: ServerSettings,
    archive_path: Path,
    *,
    report: Report,
    terms: PromotionOptions | None = None,
) -> PromotionResult:
    """Put the archive live and return what happened; the version before stays loaded for a rollback.

    Raises:
        ArchiveError, InputError: it cannot be promoted. BusyError: another promotion is under way.
        PromotionError: it failed a check, or failed while it was watched; the old version serves.
    """
    began = time.monotonic()
    terms = terms or PromotionOptions()
    candidate = terms.trust.accept(read_archive(archive_path))
    with locked(settings.model_store), manage(settings) as management:
        finish_half_done(settings, management, report=report)
        record = read_record(settings.model_store)
        deployment = record.get(candidate.name)
        _refuse_misfit(settings, candidate, deployment, terms)
        archive = install(candidate, settings.model_store)
        report(f"{archive.name} {archive.version} is in {settings.model_store}")
        entry = entry_of(archive, why=terms.why or f"promoted from {archive_path}")
        successor = (
            deployment.succeeded_by(entry, keep=terms.keep)
            if deployment
            else Deployment(live=entry)
        )
        intent = _intend(management, archive, deployment, successor)
        journal.begin(settings.model_store, intent)
        live = deployment.live if deployment else None
        try:
            load(settings, management, archive, live=live, gates=terms.gates, report=report)
            before = switch(settings, management, archive, report=report)
            record[archive.name] = successor
            _record_or_go_back(settings, management, archive.name, record, before=before)
        except ServingError:
            _forget_if_undone(settings, management, intent)
            raise
        seconds = time.monotonic() - began
        for version in intent.evicted:
            _unload_quietly(settings, management, archive.name, version, report)
        journal.end(settings.model_store)
    if terms.bake_s:
        _bake(settings, archive, terms, report)
    return PromotionResult(
        model=archive.name,
        live=archive.version,
        previous=live.version if live else None,
        seconds=seconds,
    )


def rollback(
    settings: ServerSettings, model: str | None, *, report: Report, why: str | None = None
) -> PromotionResult:
    """Put the previous version back live, at once, and return what happened.

    Raises:
        InputError: no such model, or no version before this one. PromotionError: it does not answer rightly.
    """
    began = time.monotonic()
    with locked(settings.model_store), manage(settings) as management:
        finish_half_done(settings, management, report=report)
        record = read_record(settings.model_store)
        name = choose_model(record, model)
        deployment = record[name]
        if deployment.previous is None:
            raise InputError(
                f"{name} {deployment.live.version} has no version before it to go back to; promote one instead."
            )
        archive = open_entry(settings.model_store, deployment.previous)
        load(settings, management, archive, live=deployment.live, gates=Gates(), report=report)
        before = switch(settings, management, archive, report=report)
        back = replace(
            deployment.previous,
            since=entry_of(archive, why="").since,
            why=why or f"rolled back from {deployment.live.version}",
        )
        record[name] = deployment.succeeded_by(back, keep=len(deployment.kept))
        _record_or_go_back(settings, management, name, record, before=before)
    return PromotionResult(
        model=name,
        live=archive.version,
        previous=deployment.live.version,
        seconds=time.monotonic() - began,
    )


def choose_model(record: dict[str, Deployment], model: str | None) -> str:
    """Return the model that is meant; where only one is live, it needs no name. Raises InputError."""
    if model is None and len(record) == 1:
        return next(iter(record))
    if model not in record:
        known = ", ".join(record) or "none"
        raise InputError(f"name a model that is live ({known}); {model!r} is not.")
    return model


def _refuse_misfit(
    settings: ServerSettings,
    candidate: Archive,
    deployment: Deployment | None,
    terms: PromotionOptions,
) -> None:
    if deployment is None:
        return
    if deployment.live.version == candidate.version:
        raise InputError(f"{candidate.name} {candidate.version} is live already.")
    live = open_entry(settings.model_store, deployment.live)
    if live.class_names != candidate.class_names and not terms.allow_class_change:
        raise InputError(
            f"{candidate.name} {candidate.version} answers {', '.join(candidate.class_names)}, the live version "
            f"{', '.join(live.class_names)}; clients may rely on those. Give --allow-class-change if it is meant."
        )


def _intend(
    management: ManagementApi,
    archive: Archive,
    deployment: Deployment | None,
    successor: Deployment,
) -> journal.Intent:
    loaded = management.versions(archive.name)
    stay = {entry.version for entry in (successor.live, *successor.kept)}
    known = [entry.version for entry in (deployment.live, *deployment.kept)] if deployment else []
    return journal.Intent(
        model=archive.name,
        version=archive.version,
        was_loaded=archive.version in loaded,
        evicted=tuple(version for version in known if version not in stay),
    )


def _forget_if_undone(
    settings: ServerSettings, management: ManagementApi, intent: journal.Intent
) -> None:
    # Where the server does not answer, the next command finds the note and looks again.
    with contextlib.suppress(RequestError):
        if intent.was_loaded or intent.version not in management.versions(intent.model):
            journal.end(settings.model_store)


def _record_or_go_back(
    settings: ServerSettings,
    management: ManagementApi,
    model: str,
    record: dict[str, Deployment],
    *,
    before: str,
) -> None:
    """Write the record, or put back what was live: a restart must find what serves. Raises PromotionError."""
    try:
        write_record(settings.model_store, record)
    except OSError as error:
        management.set_default(model, before)
        raise PromotionError(
            f"live.json in {settings.model_store} could not be written ({error.strerror}); {before} serves again."
        ) from None


def _unload_quietly(
    settings: ServerSettings, management: ManagementApi, model: str, version: str, report: Report
) -> None:
    """Unload a version nobody can roll back to any more; one that is still computing stays, and is named."""
    try:
        unload(settings, management, model, version, report=report)
    except (PromotionError, RequestError) as error:
        report(f"{model} {version} stays loaded: {error}")


def _bake(
    settings: ServerSettings, archive: Archive, terms: PromotionOptions, report: Report
) -> None:
    """Watch the new version, without keeping others from rolling back by hand. Raises PromotionError."""
    report(f"watching {archive.name} {archive.version} for {terms.bake_s:g} s")
    verdict = watch(settings, archive, seconds=terms.bake_s, max_p99_ms=terms.gates.max_p99_ms)
    if verdict.fault is None:
        report(f"{verdict.requests} requests in {verdict.seconds:.0f} s, and no fault")
        return
    deployment = read_record(settings.model_store)[archive.name]
    if deployment.live.version != archive.version:
        raise PromotionError(
            f"{archive.name} {archive.version} showed a fault ({verdict.fault}); {deployment.live.version} was put "
            "live meanwhile and serves."
        )
    if deployment.previous is None:
        raise PromotionError(
            f"{archive.name} {archive.version} shows a fault, and no version was live before it: {verdict.fault}"
        )
    back = rollback(
        settings,
        archive.name,
        report=report,
        why=f"{archive.version} failed its watch: {verdict.fault}",
    )
    raise PromotionError(
        f"{archive.name} {archive.version} failed after {verdict.seconds:.0f} s; {back.live} serves again: "
        f"{verdict.fault}"
    )
