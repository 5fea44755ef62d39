"""`live.json`: per model the live version and those kept for a rollback, so that a restart serves what was promoted."""

import contextlib
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path

from handlers.contract import is_plain_name
from serving.archive.reader import Archive, read_stored
from serving.errors import ArchiveError, BusyError, InputError
from storage.atomic import atomic_write
from storage.hashing import SHA256, remembered_sha256, sha256_of
from storage.lock import try_lock

FILE_NAME = "live.json"
LOCK_NAME = ".promotion.lock"
# Seen to fail: a comma, which separates archives in load_models, a backslash, two dots, and other than ASCII letters.
LOADABLE_NAME = re.compile(r"(?!.*\.\.)[ -+\x2d-\x5b\x5d-~]+")


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
        archive=archive.path.name,
        sha256=archive.sha256,
        since=datetime.now(UTC).isoformat(timespec="seconds"),
        why=why,
    )


def read_record(model_store: Path) -> dict[str, Deployment]:
    """Return the deployment of every model by name; empty if nothing was ever live.

    Raises:
        InputError: the file is damaged, or was edited by hand into something else; says which entry and what is wrong.
    """
    path = model_store / FILE_NAME
    try:
        return parse_record(json.loads(path.read_bytes()))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(
            f"{path} cannot be read: {reason:.300}. Restore it, or move it away and name the live archive to serve."
        ) from None


def parse_record(content: object) -> dict[str, Deployment]:
    """Return the record. Raises ValueError, whose message names the entry."""
    models = content.get("models") if isinstance(content, dict) else None
    if not isinstance(models, dict):
        raise ValueError('it must be {"models": {NAME: {"live": ENTRY, "kept": [ENTRY, ...]}}}')
    return {name: _parse_deployment(name, value) for name, value in models.items()}


def _parse_deployment(name: str, value: object) -> Deployment:
    if not isinstance(value, dict) or not isinstance(value.get("kept"), list):
        raise ValueError(f"the model {name!r:.100} must have an entry `live` and a list `kept`")
    deployment = Deployment(
        live=_parse_entry(f"the live entry of {name!r:.100}", value.get("live")),
        kept=tuple(
            _parse_entry(f"kept entry {number} of {name!r:.100}", entry)
            for number, entry in enumerate(value["kept"], 1)
        ),
    )
    versions = [entry.version for entry in deployment.entries]
    if len(set(versions)) < len(versions):
        raise ValueError(f"the model {name!r:.100} has a version twice: {', '.join(versions):.100}")
    return deployment


def _parse_entry(where: str, value: object) -> Entry:
    names = [field.name for field in fields(Entry)]
    if not isinstance(value, dict) or set(value) != set(names):
        raise ValueError(f"{where} must have the keys {', '.join(names)} and no other")
    for key, text in value.items():
        if not isinstance(text, str):
            raise ValueError(f"{where}: {key} must be a text, not {text!r:.100}")
    entry = Entry(**value)
    if not is_plain_name(entry.archive):
        raise ValueError(
            f"{where}: archive must be a file name in the model store, not {entry.archive!r:.100}"
        )
    if not SHA256.fullmatch(entry.sha256):
        raise ValueError(
            f"{where}: sha256 must have 64 hexadecimal digits, not {entry.sha256!r:.100}"
        )
    return entry


def write_record(model_store: Path, record: dict[str, Deployment]) -> None:
    """Replace the record, so that it survives a power cut. Raises OSError, and the old one stays."""
    models = {name: asdict(deployment) for name, deployment in record.items()}
    content = json.dumps({"models": models}, indent=2)
    atomic_write(model_store / FILE_NAME, content, is_durable=True)


def open_entry(model_store: Path, entry: Entry, *, model: str, rehash: bool = False) -> Archive:
    """Return the archive of a model's entry; `rehash` makes this process read the whole file, unchanged or not.

    An archive that was renamed is found by its sha256.

    Raises:
        ArchiveError: it is gone, is not the file that was promoted, holds another model or version than the entry, or
        has a name that TorchServe cannot load.
    """
    path = model_store / entry.archive
    named = f"{model_store / FILE_NAME} names {entry.archive} as {model} {entry.version}"
    remedy = f"Restore it, or move {FILE_NAME} away and name the archive to serve."
    if not _is_content(path, entry, rehash=rehash):
        renamed = _find_renamed(model_store, entry)
        if renamed is None:
            raise ArchiveError(f"{named}, but {_describe_missing(path, entry)}. {remedy}")
        path = renamed
    archive = read_stored(path, rehash=rehash)
    if (archive.name, archive.version) != (model, entry.version):
        raise ArchiveError(
            f"{named}, but the archive with its sha256, {path}, holds {archive.name} {archive.version}: headswap did "
            f"not write that entry. {remedy}"
        )
    if not LOADABLE_NAME.fullmatch(path.name):
        raise ArchiveError(
            f"{named}, and {path} is that archive, but TorchServe cannot load a file of that name; rename it to "
            f"{archive.file_name}."
        )
    return archive


def _describe_missing(path: Path, entry: Entry) -> str:
    sha256 = f"{entry.sha256[:12]}…"
    if path.exists():
        return (
            f"{path} is not what was promoted on {entry.since}: its sha256 is not {sha256}, which no other archive "
            "there has"
        )
    return f"there is no archive {path}, and no other one there has its sha256 {sha256}"


def _is_content(path: Path, entry: Entry, *, rehash: bool) -> bool:
    """Return whether the file is the one that was promoted. Raises ArchiveError if it may not be read."""
    try:
        sha256 = sha256_of(path, remember=True) if rehash else remembered_sha256(path)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise ArchiveError(f"{path} cannot be read: {error.strerror or error}.") from None
    return sha256 == entry.sha256


def _find_renamed(model_store: Path, entry: Entry) -> Path | None:
    for path in sorted(model_store.glob("*.mar")):
        # One that cannot be read is not the one that is looked for.
        with contextlib.suppress(ArchiveError):
            if _is_content(path, entry, rehash=False):
                return path
    return None


def refuse_overwrite(model_store: Path, name: str, version: str) -> None:
    """Raise InputError if the version is live or kept for a rollback."""
    deployment = read_record(model_store).get(name)
    if deployment and any(entry.version == version for entry in deployment.entries):
        raise InputError(
            f"{name} {version} is live or kept for a rollback and cannot be replaced; give a new --version."
        )


@contextmanager
def locked(model_store: Path) -> Iterator[None]:
    """Hold the model store while what is live changes.

    Raises:
        BusyError: another process holds it. InputError: it cannot be made or read.
    """
    try:
        model_store.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"the model store {model_store} cannot be made: {error.strerror or error}; give another --model-store."
        ) from None
    with _open_lock(model_store) as lock:
        if not try_lock(lock):
            raise BusyError(
                f"another promotion or rollback holds {model_store}; wait until it is done and try again."
            )
        yield


@contextmanager
def _open_lock(model_store: Path) -> Iterator[int]:
    """Yield a descriptor to lock: of the lock file, or, where a full or read-only store has none, of the folder."""
    path = model_store / LOCK_NAME
    attempts = ((path, os.O_RDWR | os.O_CREAT), (path, os.O_RDONLY), (model_store, os.O_RDONLY))
    descriptor = -1
    for target, flags in attempts:
        with contextlib.suppress(OSError):
            descriptor = os.open(target, flags | os.O_CLOEXEC, 0o644)
            break
    if descriptor < 0:
        raise InputError(f"the model store {model_store} cannot be read; check its owner and mode.")
    try:
        yield descriptor
    finally:
        os.close(descriptor)
