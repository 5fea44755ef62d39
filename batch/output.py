"""The folder of a run's answers, in which a run goes on where an earlier one stopped, was stopped, or was killed.

| file | what |
|---|---|
| `part-NNNNNNNN.parquet` | the answers to photos `NNNNNNNN * photos_per_file` and following of the list |
| `_photos.jsonl` | the list of photos, written once: what a run has to do never changes |
| `_run.json` | the archive and the options; with it the list is complete |
| `_lock` | held while a run uses the folder |

A part is renamed into place once it is whole and on the disk, and its name says which photos are in it. So each photo
is in exactly one part whenever a run was killed, and a run goes on by making the parts that are missing. Readers of
Parquet folders pass by names with a leading `_`.
"""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from batch.answers import read_outcome
from batch.errors import OutputError
from batch.listing import Listing, write_listing
from batch.parquet import PartWriter
from batch.processes import Outcome
from batch.sources import STANDARD_INPUT, Entry, resolve
from serving.archive.reader import Archive
from storage.atomic import TEMPORARY_SUFFIX, atomic_path, atomic_write
from storage.lock import try_lock

RUN_FILE = "_run.json"
LISTING_FILE = "_photos.jsonl"
LOCK_FILE = "_lock"

Chunk = tuple[int, list[Entry]]
"""The number of a part, and its photos."""


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """What must stay the same for a run to go on."""

    model: str
    version: str
    archive_sha256: str
    top_k: int
    photos_per_file: int
    sources: tuple[str, ...]

    @classmethod
    def of(
        cls, archive: Archive, sources: Sequence[str], *, top_k: int, photos_per_file: int
    ) -> "RunOptions":
        """Return the options. Raises OutputError for a source or a number that cannot be."""
        if STANDARD_INPUT in sources:
            raise OutputError("--out takes files, folders and object stores, not standard input.")
        if photos_per_file < 1:
            raise OutputError(f"--photos-per-file must be 1 or more, not {photos_per_file}.")
        return cls(
            model=archive.name,
            version=archive.version,
            archive_sha256=archive.sha256,
            # A row has no more classes than the model, whatever was asked for.
            top_k=min(top_k, len(archive.class_names)),
            photos_per_file=photos_per_file,
            sources=tuple(map(resolve, sources)),
        )


@dataclass(frozen=True, kw_only=True)
class OutputFolder:
    """Opened by `open_output`; one process at a time."""

    path: Path
    options: RunOptions
    listing: Listing
    writer: PartWriter

    def missing(self) -> Iterator[Chunk]:
        """Yield the chunks whose part is not there yet, or is damaged."""
        for number, entries in enumerate(self.listing.chunks(self.options.photos_per_file)):
            if self.writer.count_rows(self._part(number)) != len(entries):
                yield number, entries

    def count_done(self) -> int:
        """Return how many photos have their answer."""
        return sum(self.writer.count_rows(part) or 0 for part in self._parts())

    def write(self, chunk: Chunk, outcomes: Sequence[Outcome]) -> None:
        """Write the chunk's part. Raises OutputError."""
        number, entries = chunk
        rows = [
            (entry.name, read_outcome(outcome))
            for entry, outcome in zip(entries, outcomes, strict=True)
        ]
        try:
            self.writer.write(self._part(number), rows)
        except OSError as error:
            raise _unwritable(self.path, error) from None

    def count_errors(self) -> Counter[str]:
        """Return how many photos could not be classified, by error code, of this run and those it goes on from."""
        errors: Counter[str] = Counter()
        for part in self._parts():
            errors += self.writer.count_errors(part)
        return errors

    def _parts(self) -> list[Path]:
        return sorted(self.path.glob("part-*.parquet"))

    def _part(self, number: int) -> Path:
        return self.path / f"part-{number:08}.parquet"


@contextmanager
def open_output(
    path: Path, options: RunOptions, *, note: Callable[[str], None]
) -> Iterator[OutputFolder]:
    """Yield the folder, which is made and its photos listed if it is new; it is locked for as long.

    Raises:
        OutputError: it holds other files or the answers of another archive or of other options, is in use, or cannot
        be written to. SourceError: the photos cannot be listed. ExtraError: pyarrow is not installed.
    """
    writer = PartWriter(model=options.model, version=options.version, top_k=options.top_k)
    with ExitStack() as stack:
        try:
            path.mkdir(parents=True, exist_ok=True)
            _check_content(path)
            stack.enter_context(_locked(path))
            _remove_temporary(path)
            listing = _begin_or_resume(path, options, note)
        except OSError as error:
            raise _unwritable(path, error) from None
        yield OutputFolder(path=path, options=options, listing=listing, writer=writer)


def _begin_or_resume(path: Path, options: RunOptions, note: Callable[[str], None]) -> Listing:
    record = _read_record(path)
    if record is not None:
        _check_same(path, record, options)
        note(f"goes on with the {record['photos']} photos that were listed on {record['listed']}")
        return Listing(path / LISTING_FILE, record["photos"])
    with atomic_path(path / LISTING_FILE) as temporary:
        count = write_listing(temporary, options.sources, note).count
    record = {**asdict(options), "photos": count, "listed": time.strftime("%Y-%m-%d %H:%M:%S %Z")}
    atomic_write(path / RUN_FILE, json.dumps(record, indent=2) + "\n", is_durable=True)
    return Listing(path / LISTING_FILE, count)


def _read_record(path: Path) -> dict[str, Any] | None:
    try:
        record = json.loads((path / RUN_FILE).read_bytes())
        return {
            name: record[name] for name in (*RunOptions.__dataclass_fields__, "photos", "listed")
        }
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        raise OutputError(
            f"{str(path / RUN_FILE)!r} is damaged, so this run cannot go on; give another --out."
        ) from None


def _check_same(path: Path, record: dict[str, Any], options: RunOptions) -> None:
    now = json.loads(json.dumps(asdict(options)))
    for name, value in now.items():
        if record[name] != value:
            raise OutputError(
                f"{str(path)!r} holds answers with {name} {record[name]!r}, not {value!r}; give the same archive and "
                "options to go on with it, or another --out."
            )


def _check_content(path: Path) -> None:
    if (path / RUN_FILE).exists():
        return
    foreign = next(
        (
            file.name
            for file in sorted(path.iterdir())
            if file.name not in (LISTING_FILE, LOCK_FILE) and not _is_temporary(file)
        ),
        None,
    )
    if foreign is not None:
        raise OutputError(
            f"{str(path)!r} holds {foreign!r}, which no earlier run has left; give --out a folder that is new or empty."
        )


def _remove_temporary(path: Path) -> None:
    """Remove what a killed run was writing."""
    for file in filter(_is_temporary, path.iterdir()):
        file.unlink()


def _is_temporary(file: Path) -> bool:
    ours = (f".{RUN_FILE}.", f".{LISTING_FILE}.", ".part-")
    return file.name.startswith(ours) and file.name.endswith(TEMPORARY_SUFFIX)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with (path / LOCK_FILE).open("w") as file:
        if not try_lock(file):
            raise OutputError(
                f"{str(path)!r} is in use by another headswap predict; wait for it, or give another --out."
            )
        yield


def _unwritable(path: Path, error: OSError) -> OutputError:
    return OutputError(f"--out {str(path)!r} cannot be written: {error.strerror or error}.")
