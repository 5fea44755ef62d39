"""Back to the version that was live before: it is still loaded, so going back takes a moment."""

import time

from serving.errors import InputError
from serving.rollout.gates import Gates
from serving.rollout.live_record import Deployment, entry_of
from serving.rollout.recovery import recover
from serving.rollout.session import Report, RolloutSession
from serving.rollout.steps import PromotionResult, load, record_switch, switch


def rollback(
    session: RolloutSession, model: str | None, *, report: Report, why: str | None = None
) -> PromotionResult:
    """Make the previous version live again; `model` None is the only live one.

    Raises:
        InputError: there is no such model, or no version before this one. BusyError: another promotion is running.
        PromotionError: the previous version does not answer correctly; the live one serves on.
    """
    began = time.monotonic()
    with session.store.locked():
        recover(session, report=report)
        record = session.store.read_record()
        name = choose_model(record, model)
        deployment = record[name]
        if deployment.previous is None:
            raise InputError(
                f"{name} {deployment.live.version} has no version before it to go back to; promote one instead."
            )
        archive = session.store.open_entry(deployment.previous, model=name)
        load(session, archive, live=deployment.live, gates=Gates(), report=report)
        before = switch(session, archive, report=report)
        entry = entry_of(archive, why=why or f"rolled back from {deployment.live.version}")
        record[name] = deployment.succeeded_by(entry, keep=len(deployment.kept))
        record_switch(session, name, record, before=before)
    return PromotionResult(
        model=name,
        live=archive.version,
        previous=deployment.live.version,
        seconds=time.monotonic() - began,
    )


def choose_model(record: dict[str, Deployment], model: str | None) -> str:
    """Return the model that is meant; it needs no name where only one is live. Raises InputError."""
    if model is None and len(record) == 1:
        return next(iter(record))
    known = ", ".join(record) or "none"
    if model is None:
        raise InputError(f"give the name of a live model; the live models are: {known}.")
    if model not in record:
        raise InputError(f"no model {model!r} is live; the live models are: {known}.")
    return model
