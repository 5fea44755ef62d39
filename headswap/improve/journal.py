"""The journal of one improvement: which steps are done and what they found. It is what the next call continues from."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from capture.errors import CaptureError
from headswap.improve.errors import InterruptedStepError
from storage.atomic import atomic_write

FILE_NAME = "journal.json"
# The outcome of an improvement whose version went live; any other is the reason why it did not.
LIVE = "live"

Result = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Step:
    name: str
    plan: str
    """What it will do, for --dry-run."""
    run: Callable[[], Result]
    """Does it and returns what later steps and the user need; run again from its beginning if it was killed."""


@dataclass(kw_only=True)
class Journal:
    folder: Path
    version: str
    """Of the archive that the improvement makes."""
    live: str
    """The version it starts from."""
    run: str
    """The folder of the run that version was exported from."""
    labels: str
    """What identifies the labels it learns from."""
    share: float
    """Of the new labels, measured on."""
    done: dict[str, Result] = field(default_factory=dict)
    """The results of the steps that are done, in their order."""
    outcome: str | None = None
    """live, or why it was refused; None while it is not over."""

    def write(self) -> None:
        """Write the journal, durably. Raises OSError."""
        values = {name: value for name, value in vars(self).items() if name != "folder"}
        atomic_write(self.folder / FILE_NAME, json.dumps(values, indent=2) + "\n", is_durable=True)


def read_journal(folder: Path) -> Journal | None:
    """Return the journal in the folder; None where nothing has begun.

    Raises:
        CaptureError: it is damaged.
    """
    path = folder / FILE_NAME
    try:
        values: Mapping[str, Any] = json.loads(path.read_bytes())
        return Journal(folder=folder, **values)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        raise CaptureError(
            f"{path} cannot be read ({error}); remove its folder to begin that improvement again."
        ) from None


def run_steps(journal: Journal, steps: Sequence[Step], *, report: Callable[[str], None]) -> None:
    """Run the steps that are not done yet, each recorded before the next; the last one's end makes the version live.

    Raises what a step raises, and InterruptedStepError for an OSError: the journal says then which were done.
    """
    for step in steps:
        if step.name in journal.done:
            report(f"{step.name}: done before")
            continue
        report(f"{step.name}: {step.plan}")
        try:
            journal.done[step.name] = step.run()
            journal.write()
        except OSError as error:
            raise InterruptedStepError(
                f"the step {step.name} could not be finished: {error.strerror or error}"
                f"{f' ({error.filename})' if error.filename else ''}. Once that is mended, the same command continues."
            ) from None
    journal.outcome = LIVE
    journal.write()
