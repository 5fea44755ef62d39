"""Unloading a version that is not live, without losing a request."""

from serving.errors import InputError
from serving.rollout.recovery import recover
from serving.rollout.session import Report, RolloutSession


def retire(session: RolloutSession, model: str, version: str, *, report: Report) -> None:
    """Unload a version that is not live, once every request it has accepted is answered.

    Raises:
        InputError: it is live, or not loaded. BusyError: another promotion is running.
        PromotionError: a batch takes too long, or clients keep asking for the version; it serves on.
    """
    with session.store.locked():
        recover(session, report=report)
        record = session.store.read_record()
        deployment = record.get(model)
        if deployment is not None and deployment.live.version == version:
            raise InputError(f"{model} {version} is live; promote another version first.")
        loaded = session.management.versions(model)
        if version not in loaded:
            raise InputError(
                f"{model} {version} is not loaded; the loaded versions are: {', '.join(loaded) or 'none'}."
            )
        session.unload(model, version, report=report)
        if deployment is not None:
            record[model] = deployment.without(version)
            session.store.write_record(record)
