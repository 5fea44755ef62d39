"""Unloading a version that is not live, losing nothing."""

from serving.client.grpc_management import manage
from serving.errors import InputError
from serving.rollout.drain import unload
from serving.rollout.live_record import locked, read_record, write_record
from serving.rollout.readiness import Report
from serving.rollout.recovery import finish_half_done
from serving.settings import ServerSettings


def retire(settings: ServerSettings, model: str, version: str, *, report: Report) -> None:
    """Unload a version that is not live, once everything it was asked is answered.

    Raises:
        InputError: it is live, or not loaded. PromotionError: it is computing for too long, or clients keep asking.
    """
    with locked(settings.model_store), manage(settings) as management:
        finish_half_done(settings, management, report=report)
        record = read_record(settings.model_store)
        deployment = record.get(model)
        if deployment is not None and deployment.live.version == version:
            raise InputError(f"{model} {version} is live; promote another version first.")
        loaded = management.versions(model)
        if version not in loaded:
            raise InputError(
                f"{model} {version} is not loaded; these are: {', '.join(loaded) or 'none'}."
            )
        unload(settings, management, model, version, report=report)
        if deployment is not None:
            record[model] = deployment.without(version)
            write_record(settings.model_store, record)
