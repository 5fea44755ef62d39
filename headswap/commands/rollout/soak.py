"""Promote two versions back and forth under load, and count what was lost, wrong or late.

Example:
    headswap soak --versions model_store/clothing-1.0.mar model_store/clothing-2.0.mar \\
        --photos sample_data/clothing/test --seconds 60

Every answer is compared with what the version it names answers for that photo when asked alone. The
exit code is 1 where a request failed or an answer was wrong. Mind that it swaps what is live.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from headswap.options import ServerOptions
from headswap.output import stdout
from headswap.promotion_log import PromotionLog


@dataclass(frozen=True, kw_only=True)
class Command:
    versions: tuple[Path, Path]
    """Two archives of one model; the first is live at the end."""
    photos: tuple[str, ...]
    """Photos or folders to send."""
    seconds: float = 60.0
    """How long to go on."""
    connections: int = 8
    """Requests under way at once."""
    transport: Literal["http", "grpc", "both"] = "http"
    """How they are sent."""
    cold: bool = False
    """Unload the version that went, so that each promotion loads its version anew."""
    kill_worker: bool = False
    """Kill a worker of the live version half-way."""
    json: bool = False
    """One JSON object instead of a table."""
    server: ServerOptions = field(default_factory=ServerOptions)


def run(command: Command) -> int:
    from headswap.photo_paths import find_photos
    from serving.archive.reader import read_archive
    from serving.loadtest.soak import Plan, soak

    settings = command.server.settings()
    first, second = command.versions
    plan = Plan(
        archives=(read_archive(first), read_archive(second)),
        seconds=command.seconds,
        connections=command.connections,
        transport=command.transport,
        cold=command.cold,
        kill_worker=command.kill_worker,
    )
    photos = [photo.read() for photo in find_photos(command.photos)]
    with PromotionLog(settings, "soak", subject=None) as report:
        soaked = soak(settings, plan, photos, report=report)
    told = soaked.to_dict()
    if command.json:
        stdout.print(json.dumps(told, indent=2))
    else:
        _show(told)
    return 0 if soaked.is_sound else 1


def _show(told: dict[str, Any]) -> None:
    from rich.table import Table

    table = Table("swap to", "at s", "took s", "requests", "p99 ms before", "during", "after")
    for swap in told["each_swap"]:
        table.add_row(
            swap["to"], f"{swap['at_s']:.1f}", f"{swap['seconds']:.2f}", str(swap["during"]["requests"]),
            *(f"{swap[span]['p99_ms']:.0f}" for span in ("before", "during", "after")),
        )  # fmt: skip
    stdout.print(table)
    by_version = ", ".join(f"{version}: {count}" for version, count in told["answered_by"].items())
    failures = ", ".join(f"{kind} {count}" for kind, count in told["failures"].items())
    stdout.print(
        f"{told['swaps']} swaps, {told['requests']} requests ({by_version}), {told['failed']} failed"
        f"{f' ({failures})' if failures else ''}, {told['wrong_answers']} wrong, {told['retries']} tried again"
    )
    stdout.print(
        f"p99 {told['p99_ms']['during']:.0f} ms during swaps, {told['p99_ms']['outside']:.0f} ms outside: "
        f"{told['p99_ratio']} times"
    )
