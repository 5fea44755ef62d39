"""`live.json`: per model the live version and those kept for a rollback, so that a restart serves what was promoted."""

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from serving.archive.reader import Archive, read_stored
from serving.errors import ArchiveError, BusyError, InputError
from storage.atomic import atomic_write

FILE_NAME = "live.json"
LOCK_NAME = ".promotion.lock"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A version as it was when it went live."""

    version: str
    archive: str
    """File name in the model store."""
    sha256: str
    since: str
    """When it went live, in UTC, as ISO 8601 has it."""
    why: str


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """The versions of a model that are live or kept."""

    live: Entry
    kept: tuple[Entry, ...] = ()
    """Versions that stay loaded for a rollback, the most recently live one first."""

    @property
    def previous(self) -> Entry | None:
        """Return what a rollback makes live."""
        return self.kept[0] if self.kept else None

    @property
    def entries(self) -> tuple[Entry, ...]:
        """Return the live version and the kept ones."""
        return (self.live, *self.kept)

    def succeeded_by(self, entry: Entry, *, keep: int) -> "Deployment":
        """Return the deployment once `entry` is live, with the last `keep` versions before it kept."""
        before = [each for each in self.entries if each.version != entry.version]
        return Deployment(live=entry, kept=tuple(before[:keep]))

    def without(self, version: str) -> "Deployment":
        """Return the deployment without this kept version."""
        return Deployment(
            live=self.live, kept=tuple(each for each in self.kept if each.version != version)
        )


def entry_of(archive: Archive, *, why: str) -> Entry:
    """Return the archive's entry as of now."""
    return Entry(
        version=archive.version,
        archive=archive.file_name,
        sha256=archive.sha256,
        since=datetime.now(UTC).isoformat(timespec="seconds"),
        why=why,
    )


def read_record(model_store: Path) -> dict[str, Deployment]:
    """Return the deployment of every model by name; empty if nothing was ever live.

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
    """Replace the record, so that it survives a power cut. Raises OSError, and the old one stays."""
    models = {name: asdict(deployment) for name, deployment in record.items()}
    content = json.dumps({"models": models}, indent=2)
    atomic_write(model_store / FILE_NAME, content, is_durable=True)


def open_entry(model_store: Path, entry: Entry, *, rehash: bool = False) -> Archive:
    """Return the entry's archive; `rehash` makes this process read the whole file, unchanged or not.

    Raises:
        ArchiveError: it is gone, or is not the file that was promoted.
    """
    path = model_store / entry.archive
    archive = read_stored(path, rehash=rehash)
    if archive.sha256 != entry.sha256:
        raise ArchiveError(
            f"{path} is not what was promoted on {entry.since}: its sha256 is not {entry.sha256[:12]}…. Restore the "
            f"file, or move {model_store / FILE_NAME} away and name the archive to serve."
        )
    return archive


def refuse_overwrite(model_store: Path, name: str, version: str) -> None:
    """Raise InputError if the version is live or kept for a rollback."""
    deployment = read_record(model_store).get(name)
    if deployment and any(entry.version == version for entry in deployment.entries):
        raise InputError(
            f"{name} {version} is live or kept for a rollback and cannot be replaced; give a new --version."
        )


@contextmanager
def locked(model_store: Path) -> Iterator[None]:
    """Hold the model store while what is live changes. Raises BusyError if another process holds it."""
    model_store.mkdir(parents=True, exist_ok=True)
    with (model_store / LOCK_NAME).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise BusyError(
                f"another promotion or rollback holds {model_store}; wait until it is done and try again."
            ) from None
        yield
