"""`headswap predict --archive`: the formats of `headswap predict`, or Parquet files, without a server."""

import sys
import tempfile
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from headswap.batch_options import BatchOptions
from headswap.errors import ArgumentError
from headswap.output import print_error, stdout
from headswap.photo_paths import explanation_path
from headswap.progress import Advance, progress

if TYPE_CHECKING:
    from batch.extraction import RunnableArchive
    from batch.listing import Listing
    from batch.output import OutputFolder, RunOptions
    from batch.processes import Outcome
    from batch.sources import Entry
    from batch.worker import Photo
    from serving.archive.reader import Archive
    from serving.client import Prediction


@dataclass(frozen=True, kw_only=True)
class Answered:
    """A photo's answer, or the error in its place."""

    name: str
    result: "Prediction | Exception"
    explanation: Path | None


@contextmanager
def answers(
    sources: Sequence[str], batch: BatchOptions, *, top_k: int, explain: Path | None
) -> Iterator[tuple[int, Iterator[Answered]]]:
    """Yield how many photos there are, and their answers in order, from processes of this command.

    Raises:
        ArchiveError: the archive may not run here. BatchError: the photos cannot be listed, or no worker can load it.
    """
    from batch.listing import write_listing
    from batch.pool import WorkerPool
    from batch.workers import plan_loads

    with (
        tempfile.TemporaryDirectory() as folder,
        _runnable(batch) as archive,
    ):
        listing = write_listing(Path(folder, "photos"), sources, print_error)
        loads = plan_loads(archive, sources, top_k=top_k, workers=batch.workers)
        # No more processes than photos.
        with WorkerPool(loads[: listing.count]) as pool:
            yield listing.count, _answered(listing, pool.classify, explain)


def predict_into_folder(sources: Sequence[str], batch: BatchOptions, *, top_k: int) -> int:
    """Write the answers to --out and return the exit code.

    Raises:
        ArchiveError, BatchError: as `answers`. OutputError: --out cannot be used. ClusterError: --cluster cannot.
    """
    from batch.output import open_output
    from serving.archive.reader import read_archive

    archive_path, out = batch.paths()
    archive = batch.trust.trust().accept(read_archive(archive_path))
    options = _run_options(archive, sources, batch, top_k=top_k)
    with open_output(out, options, note=print_error) as output:
        done = output.count_done()
        if done < output.listing.count:
            with progress(output.listing.count, done=done, has_lines=True) as advance:
                if batch.cluster is None:
                    _classify_here(output, batch, left=output.listing.count - done, advance=advance)
                else:
                    _classify_on_cluster(output, archive, batch, advance)
        return _report(output)


def _run_options(
    archive: "Archive", sources: Sequence[str], batch: BatchOptions, *, top_k: int
) -> "RunOptions":
    from batch.output import RunOptions

    return RunOptions.of(archive, sources, top_k=top_k, photos_per_file=batch.photos_per_file)


def _classify_here(
    output: "OutputFolder", batch: BatchOptions, *, left: int, advance: Advance
) -> None:
    from batch.pool import WorkerPool
    from batch.run import classify_missing
    from batch.workers import plan_loads

    options = output.options
    with _runnable(batch) as archive:
        if archive.archive.sha256 != options.archive_sha256:
            raise ArgumentError(f"{batch.archive} has changed while it was read; start again.")
        loads = plan_loads(archive, options.sources, top_k=options.top_k, workers=batch.workers)
        with WorkerPool(loads[:left]) as pool:
            classify_missing(output, pool, advance=advance)


def _classify_on_cluster(
    output: "OutputFolder", archive: "Archive", batch: BatchOptions, advance: Advance
) -> None:
    assert batch.cluster is not None
    try:
        from cluster.batch.folders import classify_missing_on_cluster
    except ModuleNotFoundError as error:
        raise ArgumentError(
            f"--cluster needs the package {error.name!r}: pip install 'headswap[host,ray]'."
        ) from None
    classify_missing_on_cluster(
        output, archive, address=batch.cluster, workers=batch.workers, advance=advance
    )


def _report(output: "OutputFolder") -> int:
    """Print what became of all photos and return the exit code."""
    errors = output.count_errors()
    stdout.print(f"{output.listing.count} photos in {output.path}")
    if not errors:
        return 0
    kinds = ", ".join(f"{count} {code}" for code, count in errors.most_common())
    print_error(
        f"{errors.total()} of {output.listing.count} photos could not be classified: {kinds}; the column error says why"
    )
    return 1


def _runnable(batch: BatchOptions) -> "AbstractContextManager[RunnableArchive]":
    from batch.extraction import runnable

    return runnable(batch.paths()[0], batch.trust.trust())


def _answered(
    listing: "Listing",
    classify: "Callable[[Iterable[Photo]], Generator[Outcome]]",
    explain: Path | None,
) -> Iterator[Answered]:
    from batch.answers import explanation_png, read_outcome
    from batch.run import to_photo

    photos = (
        to_photo(entry, explain=explain is not None, data=_standard_input(entry))
        for entry in listing
    )
    for number, (entry, outcome) in enumerate(zip(listing, classify(photos), strict=True), start=1):
        png, file = explanation_png(outcome), None
        if explain is not None and png is not None:
            file = explanation_path(explain, number, entry.name)
            file.write_bytes(png)
        yield Answered(name=entry.name, result=read_outcome(outcome), explanation=file)


def _standard_input(entry: "Entry") -> bytes | None:
    from batch.sources import STANDARD_INPUT

    return sys.stdin.buffer.read() if entry.name == STANDARD_INPUT else None
