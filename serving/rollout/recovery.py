"""Undoing or completing a promotion that was killed, or whose server was."""

from serving.rollout import journal
from serving.rollout.live_record import Deployment
from serving.rollout.session import Report, RolloutSession


def recover(session: RolloutSession, *, report: Report) -> None:
    """Make the server agree with the live record, the last thing that a promotion writes before it cleans up.

    A promotion that was killed before it wrote the record is undone, one killed after that is completed.

    Raises:
        RequestError: the server does not answer.
    """
    store, management = session.store, session.management
    store.clear_leftovers()
    record = store.read_record()
    for model, deployment in record.items():
        live = deployment.live.version
        if live in management.versions(model) and management.default_version(model) != live:
            management.set_default(model, live)
            report(f"{model} {live} is live again: a promotion was killed before it was recorded")
    intent = store.read_intent()
    if intent is None:
        return
    for version in _unneeded_versions(intent, record.get(intent.model)):
        if version in management.versions(intent.model):
            session.unload(intent.model, version, report=report)
    store.end()
    report(f"cleaned up after a promotion of {intent.model} {intent.version} that was killed")


def _unneeded_versions(intent: journal.Intent, deployment: Deployment | None) -> list[str]:
    """Return what may still be loaded in vain: the versions a recorded promotion evicts, else its candidate."""
    recorded = {entry.version for entry in deployment.entries} if deployment else set()
    if intent.version in recorded:
        unneeded: tuple[str, ...] = intent.evicted
    else:
        unneeded = () if intent.was_loaded else (intent.version,)
    return [version for version in unneeded if version not in recorded]
