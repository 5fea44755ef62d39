"""Show which versions are live and loaded, with their workers, requests, errors and latencies.

Example:
    headswap status
    headswap status --json
"""

import json
from dataclasses import asdict, dataclass, field

from headswap.options import ServerOptions
from headswap.output import print_table, stdout


@dataclass(frozen=True, kw_only=True)
class Command:
    json: bool = False
    """Print one JSON object instead of a table."""
    server: ServerOptions = field(default_factory=ServerOptions)


def run(command: Command) -> int:
    from serving.rollout.status import read_status

    with command.server.session() as session:
        rows = read_status(session)
    if command.json:
        stdout.print(json.dumps({"versions": [asdict(row) for row in rows]}, indent=2))
        return 0
    from rich.table import Table

    table = Table(
        "model", "version", "state", "workers", "waiting", "requests", "errors", "p50 ms", "p99 ms",
        box=None,
    )  # fmt: skip
    for row in rows:
        table.add_row(
            row.model, row.version, row.state, f"{row.ready_workers}/{row.workers}",
            str(row.pending_requests), str(row.requests), _errors(row.errors, row.faults),
            _rounded(row.p50_ms), _rounded(row.p99_ms),
        )  # fmt: skip
    print_table(table)
    for row in rows:
        if row.sha256:
            stdout.print(
                f"{row.model} {row.version} {row.sha256[:12]} {row.state} since {row.since}: {row.why}"
            )
    for row in rows:
        if row.problem:
            stdout.print(f"{row.model} {row.version}: {row.problem}")
    return 0


def _errors(errors: int, faults: int) -> str:
    return f"{errors} ({faults} ours)" if faults else str(errors)


def _rounded(milliseconds: float | None) -> str:
    return "" if milliseconds is None else f"{milliseconds:.0f}"
