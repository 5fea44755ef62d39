"""A version goes live only after it has proved itself; until the switch nothing changes for anyone.

install -> register, synchronous -> workers ready -> probes through its own endpoint -> set-default -> confirm ->
record. Any failure before set-default unloads the newcomer; after it, the old default is put back.
"""

import contextlib
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from serving.archive import Archive, read_archive, read_copy, sha256_of
from serving.client import GrpcClient, HttpClient
from serving.errors import InputError, NotReadyError, PromotionError, RequestError, ServingError
from serving.live_record import (
    Entry,
    Standing,
    entry_of,
    locked,
    open_entry,
    read_record,
    write_record,
)
from serving.management import Management
from serving.readiness import Report, check_probes, check_workers
from serving.settings import ServerSettings
from serving.trust import STRICT, Trust, copy_signature

DRAIN_TIMEOUT_S = 60.0
# A request that left the queue is answered within this: above the p99.9 of a loaded two-core host.
DRAIN_GRACE_S = 2.0
POLL_S = 0.25


@dataclass(frozen=True, kw_only=True)
class Swap:
    """What was done, and the seconds of the whole and until the switch."""

    model: str
    live: str
    previous: str | None
    seconds: float


def promote(
    settings: ServerSettings,
    archive_path: Path,
    *,
    report: Report,
    allow_class_change: bool = False,
    trust: Trust = STRICT,
) -> Swap:
    """Put the archive live and return what happened; the version before stays loaded for a rollback.

    Raises:
        ArchiveError, InputError: it cannot be promoted. BusyError: another promotion is under way.
        PromotionError: it failed a check; the old version goes on serving.
    """
    began = time.monotonic()
    candidate = trust.accept(read_archive(archive_path))
    with locked(settings.model_store):
        record = read_record(settings.model_store)
        standing = record.get(candidate.name)
        _refuse_misfit(settings, candidate, standing, allow_class_change=allow_class_change)
        management = Management(settings)
        finish_half_done(settings, management, report=report)
        archive = install(candidate, settings.model_store)
        report(f"{archive.name} {archive.version} is in {settings.model_store}")
        _load(settings, management, archive, report)
        _switch(settings, management, archive, report)
        live = standing.live if standing else None
        record[archive.name] = Standing(
            live=entry_of(archive, why=f"promoted from {archive_path}"), previous=live
        )
        _record_or_go_back(settings, management, archive.name, record, before=live)
        seconds = time.monotonic() - began
        previous = standing.previous if standing else None
        if previous is not None and previous.version != archive.version:
            _retire_quietly(settings, management, archive.name, previous.version, report)
    return Swap(
        model=archive.name,
        live=archive.version,
        previous=live.version if live else None,
        seconds=seconds,
    )


def rollback(settings: ServerSettings, model: str | None, *, report: Report) -> Swap:
    """Put the previous version back live, at once, and return what happened.

    Raises:
        InputError: no such model, or no version before this one. PromotionError: it does not answer rightly.
    """
    began = time.monotonic()
    with locked(settings.model_store):
        record = read_record(settings.model_store)
        name = _choose_model(record, model)
        standing = record[name]
        if standing.previous is None:
            raise InputError(
                f"{name} {standing.live.version} is the first version that was live; there is none to go back to."
            )
        archive = open_entry(settings.model_store, standing.previous)
        management = Management(settings)
        _load(settings, management, archive, report)
        _switch(settings, management, archive, report)
        record[name] = Standing(
            live=entry_of(archive, why=f"rolled back from {standing.live.version}"),
            previous=standing.live,
        )
        _record_or_go_back(settings, management, name, record, before=standing.live)
    return Swap(
        model=name,
        live=archive.version,
        previous=standing.live.version,
        seconds=time.monotonic() - began,
    )


def retire(settings: ServerSettings, model: str, version: str, *, report: Report) -> None:
    """Unload a version that is not live, once its queue is empty and what left the queue is answered.

    Raises:
        InputError: it is live. PromotionError: requests keep coming to it.
    """
    with locked(settings.model_store):
        record = read_record(settings.model_store)
        standing = record.get(model)
        if standing is not None and standing.live.version == version:
            raise InputError(f"{model} {version} is live; promote another version first.")
        _drain(settings, Management(settings), model, version, report)
        if (
            standing is not None
            and standing.previous is not None
            and standing.previous.version == version
        ):
            record[model] = Standing(live=standing.live, previous=None)
            write_record(settings.model_store, record)


def install(archive: Archive, model_store: Path) -> Archive:
    """Return the archive as it lies in the model store, copied beside and renamed if it was elsewhere.

    Raises:
        InputError: the store has another archive of that name and version.
    """
    target = model_store / archive.file_name
    if target.exists():
        if sha256_of(target) != archive.sha256:
            raise InputError(
                f"{target} is another archive of the same version; export this one under a new --version."
            )
        return read_archive(target)
    beside = target.with_name(f".{target.name}.part")
    try:
        shutil.copyfile(archive.path, beside)
        copy_signature(archive.path, target)
        os.replace(beside, target)
    except OSError as error:
        raise PromotionError(
            f"{archive.path} could not be copied to {target}: {error.strerror}."
        ) from None
    finally:
        beside.unlink(missing_ok=True)
    return read_copy(target, archive)


def finish_half_done(settings: ServerSettings, management: Management, *, report: Report) -> None:
    """Make TorchServe agree with the record: what a killed promotion switched without recording goes back."""
    for name, standing in read_record(settings.model_store).items():
        versions = management.versions(name)
        if (
            standing.live.version in versions
            and management.default_version(name) != standing.live.version
        ):
            management.set_default(name, standing.live.version)
            report(
                f"{name} {standing.live.version} is live again: a promotion was cut off before it was recorded"
            )


def _refuse_misfit(
    settings: ServerSettings,
    candidate: Archive,
    standing: Standing | None,
    *,
    allow_class_change: bool,
) -> None:
    if standing is None:
        return
    if standing.live.version == candidate.version:
        raise InputError(f"{candidate.name} {candidate.version} is live already.")
    live = open_entry(settings.model_store, standing.live)
    if live.class_names != candidate.class_names and not allow_class_change:
        raise InputError(
            f"{candidate.name} {candidate.version} answers {', '.join(candidate.class_names)}, the live version "
            f"{', '.join(live.class_names)}; clients may rely on those. Give --allow-class-change if it is meant."
        )


def _load(
    settings: ServerSettings, management: Management, archive: Archive, report: Report
) -> None:
    """Leave the version loaded, ready and right, or unloaded. Raises PromotionError."""
    was_loaded = archive.version in management.versions(archive.name)
    try:
        if not was_loaded:
            management.register(archive.path.name, workers=settings.worker_count)
        check_workers(settings, archive)
        report(f"{archive.name} {archive.version} is loaded")
        with HttpClient(settings) as http, GrpcClient(settings) as grpc:
            worst = max(check_probes(one, archive, version=archive.version) for one in (http, grpc))
        report(f"its probes differ by at most {worst:.2g} ({archive.tolerance} is tolerated)")
    except (RequestError, NotReadyError) as error:
        if not was_loaded:
            # Registered or not, it serves nobody: the default still is another version.
            with contextlib.suppress(RequestError):
                management.unregister(archive.name, archive.version)
        raise PromotionError(
            f"{archive.name} {archive.version} was refused, nothing has changed: {error}"
        ) from None


def _switch(
    settings: ServerSettings, management: Management, archive: Archive, report: Report
) -> None:
    """Send requests without a version to this one, or put the old one back. Raises PromotionError."""
    before = management.default_version(archive.name)
    try:
        management.set_default(archive.name, archive.version)
        with HttpClient(settings) as client:
            check_probes(client, archive, version=None)
    except ServingError as error:
        with contextlib.suppress(RequestError):
            management.set_default(archive.name, before)
        raise PromotionError(
            f"{archive.name} {archive.version} did not take over; {before} serves again: {error}"
        ) from None
    report(f"{archive.name} {archive.version} is live")


def _record_or_go_back(
    settings: ServerSettings,
    management: Management,
    model: str,
    record: dict[str, Standing],
    *,
    before: Entry | None,
) -> None:
    """Write the record, or put back what was live: a restart must find what serves. Raises PromotionError."""
    try:
        write_record(settings.model_store, record)
    except OSError as error:
        if before is not None:
            management.set_default(model, before.version)
        raise PromotionError(
            f"live.json in {settings.model_store} could not be written ({error.strerror}); "
            f"{before.version if before else 'nothing'} serves again."
        ) from None


def _retire_quietly(
    settings: ServerSettings, management: Management, model: str, version: str, report: Report
) -> None:
    """Unload a version nobody can roll back to any more; one that is still asked for stays, and is named."""
    try:
        _drain(settings, management, model, version, report)
    except (PromotionError, RequestError) as error:
        report(f"{model} {version} stays loaded: {error}")


def _drain(
    settings: ServerSettings, management: Management, model: str, version: str, report: Report
) -> None:
    deadline = time.monotonic() + DRAIN_TIMEOUT_S
    quiet_since: float | None = None
    while time.monotonic() < deadline:
        loaded = management.versions(model).get(version)
        if loaded is None:
            return
        if loaded.pending_requests:
            quiet_since = None
        elif quiet_since is None:
            quiet_since = time.monotonic()
        elif time.monotonic() - quiet_since >= DRAIN_GRACE_S:
            management.unregister(model, version)
            report(f"{model} {version} is retired")
            return
        time.sleep(POLL_S)
    raise PromotionError(
        f"requests kept coming to {model} {version} for {DRAIN_TIMEOUT_S:.0f} s; it was left loaded."
    )


def _choose_model(record: dict[str, Standing], model: str | None) -> str:
    if model is None and len(record) == 1:
        return next(iter(record))
    if model not in record:
        known = ", ".join(record) or "none"
        raise InputError(f"name a model that is live ({known}); {model!r} is not.")
    return model
