"""Checks and measures headswap on a GPU host in one run of at most nine minutes; writes down each figure as it comes.

    python -m benchmarks.gpu_check                   # on the GPU host
    python -m benchmarks.gpu_check --dry-run cpu     # every step, at small sizes, where there is no GPU

docs/benchmarks.md says how to pack what such a host needs, if it has no network (`make gpu-bundle`).
"""

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import tyro

from benchmarks.errors import BenchmarkError
from benchmarks.gpu.context import Context
from benchmarks.gpu.networks import ARCHIVES, dry_run_archive
from benchmarks.gpu.runner import run_steps
from benchmarks.gpu.steps import STEPS, TOTAL_LIMIT_S
from benchmarks.gpu.table import render
from benchmarks.measurements import WORK

DRY_RUN_FACTOR = 4


@dataclass(frozen=True, kw_only=True)
class Command:
    dry_run: Literal["cpu"] | None = None
    """Run every step on the CPU, at small sizes: a typing error should not be found on a GPU's time."""
    only: tuple[str, ...] = tuple(STEPS)
    """Steps to run."""
    out: Path = WORK / "gpu"
    """Folder for results.jsonl, table.md and the logs of the steps."""
    archives: Path = ARCHIVES
    """Folder of the three archives; `make gpu-bundle` makes them."""
    limit_s: float = TOTAL_LIMIT_S
    """Seconds that all steps together may take."""


def main() -> int:
    """Return 0 if every step ended by itself, else 1; a figure that misses its aim is not a failure."""
    command = tyro.cli(Command, description=__doc__)
    try:
        return run(command)
    except BenchmarkError as error:
        sys.stderr.write(f"benchmarks: {error}\n")
        return 1


def run(command: Command) -> int:
    """Run the steps and write the table; return the exit code. Raises BenchmarkError."""
    unknown = sorted(set(command.only) - set(STEPS))
    if unknown:
        raise BenchmarkError(
            f"there is no step {', '.join(unknown)}; the steps are {', '.join(STEPS)}"
        )
    archives = command.archives
    if command.dry_run:
        archives = dry_run_archive(command.out).parent
    context = Context(
        device=command.dry_run or "cuda",
        is_dry_run=command.dry_run is not None,
        archives=archives.resolve(),
        out=command.out.resolve(),
    )
    steps = {name: step for name, step in STEPS.items() if name in command.only}
    limit_s = command.limit_s
    if command.dry_run:
        # Two busy cores take their time; a dry run is about errors, not about seconds.
        steps = {name: replace(s, limit_s=DRY_RUN_FACTOR * s.limit_s) for name, s in steps.items()}
        limit_s *= DRY_RUN_FACTOR
    all_ended = run_steps(steps, context, limit_s=limit_s)
    table = render(context.records().read())
    (context.out / "table.md").write_text(table)
    sys.stdout.write(table)
    return 0 if all_ended else 1


if __name__ == "__main__":
    sys.exit(main())
