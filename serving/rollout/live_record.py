"""`live.json`: per model the live version and those kept for a rollback, so that a restart keeps what was promoted."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from serving.archive.reader import Archive, read_archive
from serving.errors import ArchiveError, BusyError, InputError

FILE_NAME = "live.json"
LOCK_NAME = ".promotion.lock"


@dataclass(frozen=True, kw_only=True)
class Entry:
    version: str
    archive: str
    """File name in the model store."""
    sha256: str
    since: str
    why: str


@dataclass(frozen=True, kw_only=True)
class Deployment:
    live: Entry
    kept: tuple[Entry, ...] = ()
    """Versions that stay loaded for a rollback, the last live one first."""

    @property
    def previous(self) -> Entry | None:
        return self.kept[0] if self.kept else None

    def succeeded_by(self, entry: Entry, *, keep: int) -> "Deployment":
        """Return the standing once `entry` is live, with `keep` versions before it."""
        before = [one for one in (self.live, *self.kept) if one.version != entry.version]
        return Deployment(live=entry, kept=tuple(before[:keep]))

    def without(self, version: str) -> "Deployment":
        return Deployment(
            live=self.live, kept=tuple(one for one in self.kept if one.version != version)
        )


def entry_of(archive: Archive, *, why: str) -> Entry:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return Entry(
        version=archive.version,
        archive=archive.file_name,
        sha256=archive.sha256,
        since=now,
        why=why,
    )


def read_record(model_store: Path) -> dict[str, Deployment]:
    """Return the standing of every model by name; empty when nothing was ever live.

    Raises:
        InputError: the file is damaged.
    """
    path = model_store / FILE_NAME
    if not path.exists():
        return {}
    try:
        models = json.loads(path.read_text())["models"]
        return {
            name: Deployment(
                live=Entry(**deployment["live"]),
                kept=tuple(Entry(**entry) for entry in deployment["kept"]),
            )
            for name, deployment in models.items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path} cannot be read ({error!r:.100}); restore it, or move it away and name the live archive to serve."
        ) from None


def write_record(model_store: Path, record: dict[str, Deployment]) -> None:
    path = model_store / FILE_NAME
    beside = path.with_name(f".{FILE_NAME}.part")
    models = {name: asdict(deployment) for name, deployment in record.items()}
    with beside.open("w") as file:
        json.dump({"models": models}, file, indent=2)
        file.flush()
        # What is live must survive a power cut: on the disk before the old record goes.
        os.fsync(file.fileno())
    os.replace(beside, path)


def open_entry(model_store: Path, entry: Entry) -> Archive:
    """Return the entry's archive. Raises ArchiveError where it is gone or no longer what was promoted."""
    path = model_store / entry.archive
    archive = read_archive(path)
    if archive.sha256 != entry.sha256:
        raise ArchiveError(
            f"{path} is not what was promoted on {entry.since}: its sha256 is not {entry.sha256[:12]}…. Restore the "
            f"file, or move {model_store / FILE_NAME} away and name the archive to serve."
        )
    return archive


def refuse_overwrite(model_store: Path, name: str, version: str) -> None:
    """Raise InputError where the version is live or kept for a rollback."""
    deployment = read_record(model_store).get(name)
    entries = (deployment.live, *deployment.kept) if deployment else ()
    if any(entry.version == version for entry in entries):
        raise InputError(
            f"{name} {version} is live or kept for a rollback and cannot be replaced; give a new --version."
        )


@contextmanager
def locked(model_store: Path) -> Iterator[None]:
    """Hold the model store for one change of what is live. Raises BusyError where another holds it."""
    model_store.mkdir(parents=True, exist_ok=True)
    with (model_store / LOCK_NAME).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise BusyError(
                f"another promotion or rollback holds {model_store}; wait until it is done and try again."
            ) from None
        yield
