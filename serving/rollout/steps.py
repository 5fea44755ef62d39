"""The steps that a promotion and a rollback share; each leaves things as they were if it fails."""

import contextlib
from dataclasses import dataclass

from serving.archive.reader import Archive
from serving.errors import (
    NotReadyError,
    PromotionError,
    RequestError,
    ServingError,
)
from serving.rollout.gates import Gates, check_gates
from serving.rollout.live_record import Deployment, Entry
from serving.rollout.readiness import check_probes, check_workers
from serving.rollout.session import Report, RolloutSession


@dataclass(frozen=True, kw_only=True)
class PromotionResult:
    """Which version is live now, which was before, and the seconds until that was recorded."""

    model: str
    live: str
    previous: str | None
    seconds: float


def load(
    session: RolloutSession,
    archive: Archive,
    *,
    live: Entry | None,
    gates: Gates,
    report: Report,
) -> None:
    """Load the version unless it is, and return once its workers, its probes and the gates are passed.

    Raises:
        PromotionError: it failed, and is unloaded again if it was not loaded before.
        InputError: the gates' photos cannot be used.
    """
    management = session.management
    was_loaded = archive.version in management.versions(archive.name)
    try:
        if not was_loaded:
            management.register(archive.path.name, workers=session.worker_count)
        check_workers(session, archive)
        report(f"{archive.name} {archive.version} is loaded")
        difference = max(
            check_probes(client, archive, version=archive.version) for client in session.clients
        )
        report(f"its probes differ by at most {difference:.2g}")
        check_gates(session.http, archive, live, gates, report=report)
    except BaseException as error:
        if not was_loaded:
            # Registered or not, no client depends on it: another version still is the default.
            with contextlib.suppress(RequestError):
                management.unregister(archive.name, archive.version)
        if isinstance(error, RequestError | NotReadyError | PromotionError):
            raise PromotionError(
                f"{archive.name} {archive.version} was refused, nothing has changed: {error}"
            ) from None
        raise


def switch(session: RolloutSession, archive: Archive, *, report: Report) -> str:
    """Make the version the default and return which one was.

    Raises:
        PromotionError: the version does not answer as the default; the one before is the default again.
    """
    management = session.management
    before = management.default_version(archive.name)
    try:
        management.set_default(archive.name, archive.version)
        check_probes(session.http, archive, version=None)
    except BaseException as error:
        with contextlib.suppress(RequestError):
            management.set_default(archive.name, before)
        if isinstance(error, ServingError):
            raise PromotionError(
                f"{archive.name} {archive.version} did not take over; {before} serves again: {error}"
            ) from None
        raise
    report(f"{archive.name} {archive.version} is live")
    return before


def record_switch(
    session: RolloutSession, model: str, record: dict[str, Deployment], *, before: str
) -> None:
    """Write the record, for a restart must find what serves; `before` is the version that was the default.

    Raises:
        PromotionError: it cannot be written; the version before is the default again.
    """
    try:
        session.store.write_record(record)
    except OSError as error:
        session.management.set_default(model, before)
        raise PromotionError(
            f"{session.store.record_name} could not be written ({error.strerror}); {before} serves again."
        ) from None
