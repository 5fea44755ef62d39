"""Show which versions are live and loaded, with their workers, requests, errors and latencies.

Example:
    headswap status
    headswap status --json
    headswap status --cluster auto
"""

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from headswap.cluster_options import ClusterAddress, open_cluster
from headswap.options import ServerOptions
from headswap.output import print_table, stdout

if TYPE_CHECKING:
    from serving.rollout.status import VersionStatus


@dataclass(frozen=True, kw_only=True)
class Command:
    json: bool = False
    """Print one JSON object instead of a table."""
    cluster: ClusterAddress = None
    """A Ray cluster instead of the server on this machine: `auto` on one of its machines, or HOST:6379."""
    server: ServerOptions = field(default_factory=ServerOptions)


def run(command: Command) -> int:
    rows = _read_rows(command)
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


def _read_rows(command: Command) -> "list[VersionStatus]":
    if command.cluster is None:
        from serving.rollout.status import read_status

        with command.server.session() as session:
            return read_status(session)
    with open_cluster(command.cluster) as cluster:
        from cluster.rollout.status import read_cluster_status

        return read_cluster_status(cluster)


def _errors(errors: int, faults: int) -> str:
    return f"{errors} ({faults} ours)" if faults else str(errors)


def _rounded(milliseconds: float | None) -> str:
    return "" if milliseconds is None else f"{milliseconds:.0f}"
