"""Where a server's archives and its live record are kept: for TorchServe the model store, a folder on its machine.

`Store` is what promotions, rollbacks and status need of it, whatever the server; a cluster has one of its own
(cluster/store.py).
"""

import shutil
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from serving.archive.reader import Archive, read_copy, read_stored
from serving.errors import InputError, PromotionError
from serving.rollout import journal
from serving.rollout.leftovers import clear_leftovers
from serving.rollout.live_record import (
    FILE_NAME,
    Deployment,
    Entry,
    locked,
    open_entry,
    read_record,
    write_record,
)
from serving.rollout.trust import copy_signature
from storage.atomic import atomic_path


class Store(Protocol):
    """`str()` of it names it in a sentence."""

    @property
    def record_name(self) -> str:
        """Return how a sentence names the live record."""

    def locked(self) -> AbstractContextManager[None]:
        """Hold the store while what is live changes. Raises BusyError: another command holds it."""

    def read_record(self) -> dict[str, Deployment]:
        """Return the deployment of every model by name. Raises InputError: the record is damaged."""

    def write_record(self, record: dict[str, Deployment]) -> None:
        """Replace the record durably. Raises OSError, and the old one stays."""

    def install(self, archive: Archive) -> Archive:
        """Return the archive as the store has it; it is copied there first if it is not.

        Raises:
            InputError: the store has another archive of that name and version. PromotionError: it cannot be copied.
            ArchiveError: it has changed since it was checked.
        """

    def open_entry(self, entry: Entry, *, model: str) -> Archive:
        """Return the archive of a model's entry. Raises ArchiveError: it is gone, or is not what was promoted."""

    def read_intent(self) -> journal.Intent | None:
        """Return the promotion that was begun and not ended; None if there is none."""

    def begin(self, intent: journal.Intent) -> None:
        """Write durably what is about to be done. Raises OSError."""

    def end(self) -> None:
        """Forget the intent: it was carried out, or undone."""

    def clear_leftovers(self) -> None:
        """Remove the incomplete files that interrupted copies have left."""


class FolderStore:
    """The model store: NAME-VERSION.mar files, live.json, and the intent of a promotion that is running."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __str__(self) -> str:
        return str(self.folder)

    @property
    def record_name(self) -> str:
        return f"{FILE_NAME} in {self.folder}"

    def locked(self) -> AbstractContextManager[None]:
        return locked(self.folder)

    def read_record(self) -> dict[str, Deployment]:
        return read_record(self.folder)

    def write_record(self, record: dict[str, Deployment]) -> None:
        write_record(self.folder, record)

    def install(self, archive: Archive) -> Archive:
        return install(archive, self.folder)

    def open_entry(self, entry: Entry, *, model: str) -> Archive:
        return open_entry(self.folder, entry, model=model)

    def read_intent(self) -> journal.Intent | None:
        return journal.read_intent(self.folder)

    def begin(self, intent: journal.Intent) -> None:
        journal.begin(self.folder, intent)

    def end(self) -> None:
        journal.end(self.folder)

    def clear_leftovers(self) -> None:
        clear_leftovers(self.folder)


def install(archive: Archive, model_store: Path) -> Archive:
    """Return the archive in the model store; it is copied there if it lies elsewhere, with its signature.

    Raises:
        InputError: the store has another archive of that name and version. PromotionError: it cannot be copied.
        ArchiveError: it has changed since it was checked.
    """
    target = model_store / archive.file_name
    if target.exists():
        stored = read_stored(target, rehash=True)
        if stored.sha256 != archive.sha256:
            raise InputError(
                f"{target} is another archive of the same version; export this one under a new --version."
            )
        return stored
    try:
        with atomic_path(target) as temporary:
            shutil.copyfile(archive.path, temporary)
            copy_signature(archive.path, target)
    except OSError as error:
        raise PromotionError(
            f"{archive.path} could not be copied to {target}: {error.strerror}."
        ) from None
    return read_copy(target, archive)
