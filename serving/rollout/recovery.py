"""Undoing or ending what a promotion was at when it, or the server, was killed."""

from pathlib import Path

from serving.client.management import ManagementApi
from serving.rollout import journal
from serving.rollout.drain import unload
from serving.rollout.live_record import Deployment, read_record
from serving.rollout.readiness import Report
from serving.settings import ServerSettings


def finish_half_done(
    settings: ServerSettings, management: ManagementApi, *, report: Report
) -> None:
    """Make TorchServe agree with the record, which a killed promotion wrote last: it goes back, or on.

    Raises:
        RequestError: the server does not answer.
    """
    clear_leftovers(settings.model_store)
    record = read_record(settings.model_store)
    for name, deployment in record.items():
        live = deployment.live.version
        if live in management.versions(name) and management.default_version(name) != live:
            management.set_default(name, live)
            report(f"{name} {live} is live again: a promotion was cut off before it was recorded")
    intent = journal.read_intent(settings.model_store)
    if intent is None:
        return
    for version in _leftovers(intent, record.get(intent.model)):
        if version in management.versions(intent.model):
            unload(settings, management, intent.model, version, report=report)
    journal.end(settings.model_store)
    report(f"a promotion of {intent.model} {intent.version} that was cut off is cleared up")


def _leftovers(intent: journal.Intent, deployment: Deployment | None) -> list[str]:
    """Return the versions that nobody needs: what falls out of a promotion that was recorded, or its newcomer."""
    recorded = (
        {entry.version for entry in (deployment.live, *deployment.kept)} if deployment else set()
    )
    if intent.version in recorded:
        candidates: tuple[str, ...] = intent.evicted
    else:
        candidates = () if intent.was_loaded else (intent.version,)
    return [version for version in candidates if version not in recorded]


def clear_leftovers(model_store: Path) -> None:
    """Remove what a copy that was cut off has left in the store."""
    for path in model_store.glob(".*.part"):
        path.unlink(missing_ok=True)
