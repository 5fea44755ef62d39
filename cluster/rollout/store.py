"""The archives and the live record of a cluster, as serving/rollout's `Store`; both are held by actors."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace

from cluster.archives import fetch, give
from cluster.errors import ArchiveTransferError
from cluster.live import LiveActor
from cluster.live_state import LOCK_LEASE_S
from serving.archive.reader import Archive, read_archive
from serving.errors import ArchiveError, BusyError, InputError, PromotionError
from serving.rollout.journal import Intent, parse_intent
from serving.rollout.live_record import Deployment, Entry, parse_record


class ClusterStore:
    """What the live actor and the archive store keep."""

    record_name = "the live record of the cluster"

    def __init__(self, live: LiveActor) -> None:
        self._live = live

    def __str__(self) -> str:
        return "the cluster"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock, renewed by a thread: a command that is killed loses it within LOCK_LEASE_S."""
        holder = os.urandom(8).hex()
        if not self._live.acquire(holder):
            raise BusyError(
                "another promotion or rollback is running on the cluster; wait until it is done and try again."
            )
        is_done = threading.Event()

        def renew() -> None:
            while not is_done.wait(LOCK_LEASE_S / 4):
                self._live.acquire(holder)

        renewing = threading.Thread(target=renew, daemon=True)
        renewing.start()
        try:
            yield
        finally:
            is_done.set()
            renewing.join()
            self._live.release(holder)

    def read_record(self) -> dict[str, Deployment]:
        """Return the deployment of every model by name."""
        return parse_record({"models": self._live.read("record")})

    def write_record(self, record: dict[str, Deployment]) -> None:
        """Replace the record durably. Raises OSError, and the old one stays."""
        content = {name: asdict(deployment) for name, deployment in record.items()}
        self._live.write("record", content)

    def install(self, archive: Archive) -> Archive:
        """Return the archive as it lies in this node's cache, once the cluster has it.

        Raises:
            InputError: the cluster has another archive of that name and version. PromotionError: it did not get there.
        """
        known = self._live.read("archives")
        if known.get(archive.file_name, archive.sha256) != archive.sha256:
            raise InputError(
                f"the cluster has another archive of {archive.name} {archive.version}; export this one under a new "
                "--version."
            )
        try:
            give(archive)
            path = fetch(archive.sha256)
        except (ArchiveTransferError, OSError) as error:
            raise PromotionError(
                f"{archive.path} could not be given to the cluster: {error}"
            ) from None
        self._live.write("archives", {**known, archive.file_name: archive.sha256})
        return replace(archive, path=path)

    def open_entry(self, entry: Entry, *, model: str) -> Archive:
        """Return the archive of a model's entry. Raises ArchiveError: the cluster no longer has it."""
        try:
            return read_archive(fetch(entry.sha256))
        except (ArchiveTransferError, OSError) as error:
            raise ArchiveError(
                f"the archive of {model} {entry.version} cannot be read: {error}"
            ) from None

    def read_intent(self) -> Intent | None:
        """Return the promotion that was begun and not ended; None if there is none."""
        return parse_intent(self._live.read("intent"))

    def begin(self, intent: Intent) -> None:
        """Write what is about to be done. Raises OSError."""
        self._live.write("intent", asdict(intent))

    def end(self) -> None:
        """Forget the intent: it was carried out, or undone."""
        self._live.write("intent", None)

    def clear_leftovers(self) -> None:
        """Do nothing: no copy is left incomplete under a name that counts."""
