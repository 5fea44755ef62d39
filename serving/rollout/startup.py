"""What happens to a model store when TorchServe starts: what is live is chosen, leftovers are removed, and once it is
ready the versions kept for a rollback are loaded.
"""

import contextlib
from collections.abc import Sequence
from pathlib import Path

from serving.archive.reader import Archive, read_archive
from serving.errors import BusyError, InputError, RequestError
from serving.rollout import journal
from serving.rollout.leftovers import clear_leftovers
from serving.rollout.live_record import (
    Deployment,
    Entry,
    entry_of,
    locked,
    open_entry,
    read_record,
    write_record,
)
from serving.rollout.session import ServerSession
from serving.rollout.store import install
from serving.rollout.trust import STRICT, Trust


def choose_live(model_store: Path, archives: Sequence[Path], *, trust: Trust = STRICT) -> None:
    """Make the given archives live; if none are given and nothing ever was live, each model's only archive.

    Raises:
        InputError: there is nothing to serve, or a model has several versions and none was given.
        ArchiveError: an archive, or one in the live record, cannot be read or may not run here.
    """
    with locked(model_store):
        before = read_record(model_store)
        record = dict(before)
        chosen = [install(trust.accept(read_archive(path)), model_store) for path in archives]
        if not chosen and not record:
            chosen = [trust.accept(archive) for archive in _only_archives(model_store)]
        for archive in chosen:
            deployment = record.get(archive.name)
            if deployment is None or deployment.live.version != archive.version:
                why = "named at serve" if archives else "only version in the store"
                entry = entry_of(archive, why=why)
                record[archive.name] = (
                    deployment.succeeded_by(entry, keep=1) if deployment else Deployment(live=entry)
                )
        trust.check_record(model_store, record)
        if record != before:
            _write(model_store, record)


def _write(model_store: Path, record: dict[str, Deployment]) -> None:
    try:
        write_record(model_store, record)
    except OSError as error:
        raise InputError(
            f"{model_store} cannot be written ({error.strerror or error}), so what is live cannot be recorded there; "
            "give --model-store a folder that this user may write to, with space for live.json."
        ) from None


def discard_interrupted_promotion(model_store: Path) -> None:
    """Remove the files of an interrupted promotion. TorchServe is not running, so it has no version to unload.

    In a read-only store they stay, which hinders nothing.
    """
    with contextlib.suppress(BusyError, OSError), locked(model_store):
        clear_leftovers(model_store)
        journal.end(model_store)


def load_kept(session: ServerSession) -> list[str]:
    """Load the versions kept for a rollback into a ready server; return a sentence for each that cannot be.

    It raises nothing, because the live versions serve without them.
    """
    model_store = session.settings.model_store
    try:
        record = read_record(model_store)
    except InputError as error:
        return [f"the versions kept for a rollback are not loaded: {error}"]
    problems = []
    for model, deployment in record.items():
        for entry in deployment.kept:
            try:
                _load(session, model, entry)
            except (RequestError, InputError) as error:
                problems.append(
                    f"{model} {entry.version}, kept for a rollback, is not loaded: {error}"
                )
    return problems


def _load(session: ServerSession, model: str, entry: Entry) -> None:
    if entry.version in session.management.versions(model):
        return
    archive = open_entry(session.settings.model_store, entry, model=model, rehash=True)
    session.management.register(archive.path.name, workers=session.settings.worker_count)


def _only_archives(model_store: Path) -> list[Archive]:
    """Return the archive of each model in the store. Raises InputError if there are none, or several of a model."""
    by_model: dict[str, list[Archive]] = {}
    for path in sorted(model_store.glob("*.mar")):
        archive = read_archive(path)
        versions = by_model.setdefault(archive.name, [])
        # A copy under another name is the same archive.
        if archive.sha256 not in [each.sha256 for each in versions]:
            versions.append(archive)
    if not by_model:
        raise InputError(
            f"the model store {model_store} holds no archive; create one with headswap export."
        )
    for name, versions in by_model.items():
        if len(versions) > 1:
            paths = ", ".join(str(archive.path) for archive in versions)
            raise InputError(
                f"{name} has {len(versions)} versions and none was ever live; name the one to serve: {paths}."
            )
    return [versions[0] for versions in by_model.values()]
