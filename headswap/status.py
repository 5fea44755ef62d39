"""Show what is live, what is loaded, and how it is doing.

Example:
    headswap status
    headswap status --json
"""

import json
from dataclasses import asdict, dataclass, field

from headswap.console import stdout
from headswap.where import Where


@dataclass(frozen=True, kw_only=True)
class Command:
    json: bool = False
    """One JSON object instead of a table."""
    where: Where = field(default_factory=Where)


def run(command: Command) -> int:
    from serving.status import read_status

    rows = read_status(command.where.settings())
    if command.json:
        stdout.print(json.dumps({"versions": [asdict(row) for row in rows]}, indent=2))
        return 0
    from rich.table import Table

    table = Table("model", "version", "standing", "workers", "waiting", "sha256", "since", "why")
    for row in rows:
        table.add_row(
            row.model, row.version, row.standing, f"{row.ready_workers}/{row.workers}",
            str(row.pending_requests), row.sha256[:12], row.since, row.why,
        )  # fmt: skip
    stdout.print(table)
    return 0
