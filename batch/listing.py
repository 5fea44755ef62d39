"""The list of all photos of a run, in a file: its length is known before the first answer, its memory is the disk's."""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path

from batch.sources import Entry, list_photos


class Listing:
    """A file with one line of JSON per photo, `[name, index of its source]`: names may hold line ends."""

    def __init__(self, path: Path, count: int) -> None:
        self.path = path
        self.count = count

    def __iter__(self) -> Iterator[Entry]:
        with self.path.open(encoding="ascii") as lines:
            for line in lines:
                yield Entry(*json.loads(line))

    def chunks(self, size: int) -> Iterator[list[Entry]]:
        """Yield all entries, `size` at a time; the last chunk may have fewer."""
        entries = iter(self)
        while chunk := list(islice(entries, size)):
            yield chunk


def write_listing(path: Path, sources: Sequence[str], note: Callable[[str], None]) -> Listing:
    """Write the photos of the sources as they are found, and return the listing.

    Raises:
        SourceError: as `list_photos`. OSError: the file cannot be written.
    """
    count = 0
    with path.open("w", encoding="ascii") as file:
        for entry in list_photos(sources, note):
            file.write(json.dumps(entry) + "\n")
            count += 1
        file.flush()
        # What a run goes on by must outlive a power cut.
        os.fsync(file.fileno())
    return Listing(path, count)
