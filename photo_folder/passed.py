"""What lies in a folder of photos and is not read, in one line: how many files of which endings, which folders."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from photo_folder.kinds import ending

# Of more endings or folders than this the most frequent are named.
NAMED_MAX = 8


@dataclass(kw_only=True)
class PassedBy:
    """Counts what is passed by while a folder is read."""

    endings: Counter[str] = field(default_factory=Counter)
    folders: Counter[str] = field(default_factory=Counter)
    links: list[Path] = field(default_factory=list)
    """Links to folders that are read at another place already, as those of a loop."""
    dangling: list[Path] = field(default_factory=list)
    """Links that lead nowhere, as those to photos on a disk that is not mounted."""

    def add_file(self, name: str) -> None:
        """Count a file that is not a photo."""
        self.endings[ending(name)] += 1

    def describe(self) -> str | None:
        """Return the one line; None where nothing was passed by."""
        parts = [
            self._describe_counts(self.endings, "file", "not photos"),
            self._describe_counts(self.folders, "folder", "hidden or the system's"),
            _describe_links(self.links, "to folders read already"),
            _describe_links(self.dangling, "to what does not exist"),
        ]
        named = ", ".join(filter(None, parts))
        return f"passed by {named}" if named else None

    def _describe_counts(self, counts: Counter[str], noun: str, why: str) -> str:
        if not counts:
            return ""
        named = ", ".join(f"{count} {name}" for name, count in self._first(counts))
        return f"{plural(counts.total(), noun)} ({why}: {named})"

    def _first(self, counts: Counter[str]) -> list[tuple[str, int]]:
        ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        if len(ordered) <= NAMED_MAX:
            return ordered
        rest = sum(count for _, count in ordered[NAMED_MAX:])
        return [*ordered[:NAMED_MAX], ("others", rest)]


def plural(count: int, noun: str) -> str:
    """Return the count with its noun: 1 photo, 2 photos."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _describe_links(links: list[Path], why: str) -> str:
    if not links:
        return ""
    more = len(links) - NAMED_MAX
    named = ", ".join(map(str, links[:NAMED_MAX])) + (f" and {more} more" if more > 0 else "")
    return f"{plural(len(links), 'link')} {why} ({named})"
