"""Getting a version into the store and into TorchServe, proving it there, and switching to it."""

import contextlib
import os
import shutil
from pathlib import Path

from serving.archive.reader import Archive, read_archive, read_copy
from serving.client import GrpcClient, HttpClient
from serving.client.management import ManagementApi
from serving.errors import (
    InputError,
    NotReadyError,
    PromotionError,
    RequestError,
    ServingError,
)
from serving.rollout.gates import Gates, check_gates
from serving.rollout.live_record import Entry
from serving.rollout.readiness import Report, check_probes, check_workers
from serving.rollout.trust import copy_signature
from serving.settings import ServerSettings


def install(archive: Archive, model_store: Path) -> Archive:
    """Return the archive as it lies in the model store, copied beside and renamed if it was elsewhere.

    Raises:
        InputError: the store has another archive of that name and version. PromotionError: it cannot be copied.
    """
    target = model_store / archive.file_name
    if target.exists():
        if read_archive(target).sha256 != archive.sha256:
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


def load(
    settings: ServerSettings,
    management: ManagementApi,
    archive: Archive,
    *,
    live: Entry | None,
    gates: Gates,
    report: Report,
) -> None:
    """Leave the version loaded, ready and right, or as it was. Raises PromotionError, InputError."""
    was_loaded = archive.version in management.versions(archive.name)
    try:
        if not was_loaded:
            management.register(archive.path.name, workers=settings.worker_count)
        check_workers(settings, archive)
        report(f"{archive.name} {archive.version} is loaded")
        with HttpClient(settings) as http, GrpcClient(settings) as grpc:
            worst = max(check_probes(one, archive, version=archive.version) for one in (http, grpc))
        report(f"its probes differ by at most {worst:.2g}")
        check_gates(settings, archive, live, gates, report=report)
    except BaseException as error:
        if not was_loaded:
            # Registered or not, it serves nobody: the default still is another version.
            with contextlib.suppress(RequestError):
                management.unregister(archive.name, archive.version)
        if isinstance(error, RequestError | NotReadyError | PromotionError):
            raise PromotionError(
                f"{archive.name} {archive.version} was refused, nothing has changed: {error}"
            ) from None
        raise


def switch(
    settings: ServerSettings, management: ManagementApi, archive: Archive, *, report: Report
) -> str:
    """Send requests without a version to this one and return which had them; or put that one back.

    Raises:
        PromotionError: the version did not take over.
    """
    before = management.default_version(archive.name)
    try:
        management.set_default(archive.name, archive.version)
        with HttpClient(settings) as client:
            check_probes(client, archive, version=None)
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
