"""Undoing or completing a promotion that was killed, or whose server was."""

import contextlib
import time
from pathlib import Path

from serving.rollout import journal
from serving.rollout.drain import unload
from serving.rollout.live_record import Deployment, read_record
from serving.rollout.session import Report, ServerSession
from storage.atomic import TEMPORARY_SUFFIX

# A writer that is alive writes more often than this, even to a slow network drive.
LEFTOVER_AFTER_S = 600


def recover(session: ServerSession, *, report: Report) -> None:
    """Make TorchServe agree with the live record, the last thing that a promotion writes before it cleans up.

    A promotion that was killed before it wrote the record is undone, one killed after that is completed.

    Raises:
        RequestError: the server does not answer.
    """
    model_store, management = session.settings.model_store, session.management
    clear_leftovers(model_store)
    record = read_record(model_store)
    for model, deployment in record.items():
        live = deployment.live.version
        if live in management.versions(model) and management.default_version(model) != live:
            management.set_default(model, live)
            report(f"{model} {live} is live again: a promotion was killed before it was recorded")
    intent = journal.read_intent(model_store)
    if intent is None:
        return
    for version in _unneeded_versions(intent, record.get(intent.model)):
        if version in management.versions(intent.model):
            unload(session, intent.model, version, report=report)
    journal.end(model_store)
    report(f"cleaned up after a promotion of {intent.model} {intent.version} that was killed")


def _unneeded_versions(intent: journal.Intent, deployment: Deployment | None) -> list[str]:
    """Return what may still be loaded in vain: the versions a recorded promotion evicts, else its candidate."""
    recorded = {entry.version for entry in deployment.entries} if deployment else set()
    if intent.version in recorded:
        unneeded: tuple[str, ...] = intent.evicted
    else:
        unneeded = () if intent.was_loaded else (intent.version,)
    return [version for version in unneeded if version not in recorded]


def clear_leftovers(model_store: Path) -> None:
    """Remove the incomplete files that interrupted copies have left in the store, once they are old enough.

    Younger ones may be what `headswap export`, `configure` or `sign` is writing now.
    """
    for path in model_store.glob(f".*{TEMPORARY_SUFFIX}"):
        with contextlib.suppress(FileNotFoundError):
            # Every write changes the ctime, and no copy takes it from the original, as it may the modification time.
            if time.time() - path.stat().st_ctime >= LEFTOVER_AFTER_S:
                path.unlink()
