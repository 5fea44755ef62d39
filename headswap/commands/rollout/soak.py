"""Promote two versions in turn under load, and count failed, wrong and late answers.

Example:
    headswap soak --versions model_store/clothing-1.0.mar model_store/clothing-2.0.mar \\
        --photos sample_data/clothing/test --seconds 60

Every answer is compared with the one that the same version gives for that photo without load. The exit code is 1 if a
request failed or an answer was wrong. It changes what is live: do not run it against a server in use.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from headswap.options import PhotoPaths, ServerOptions
from headswap.output import print_table, stdout
from headswap.promotion_log import PromotionLog


@dataclass(frozen=True, kw_only=True)
class Command:
    versions: Annotated[tuple[Path, Path], tyro.conf.arg(metavar="ARCHIVE ARCHIVE")]
    """Two archives of one model; the first one is live at the end."""
    photos: PhotoPaths
    """Photos or folders to send."""
    seconds: float = 60.0
    """How long to go on, in seconds."""
    connections: int = 8
    """Number of concurrent requests."""
    transport: Literal["http", "grpc", "both"] = "http"
    """Transport of the requests."""
    cold: bool = False
    """Unload the previous version after each promotion, so that every promotion has to load its version."""
    kill_worker: bool = False
    """Kill a worker of the live version halfway through."""
    json: bool = False
    """Print one JSON object instead of a table."""
    server: ServerOptions = field(default_factory=ServerOptions)


def run(command: Command) -> int:
    from headswap.photo_paths import find_photos
    from serving.archive.reader import read_archive
    from serving.loadtest.soak import Plan, soak

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
    with (
        command.server.session() as session,
        PromotionLog(session.settings, "soak", subject=None) as report,
    ):
        result = soak(session, plan, photos, report=report)
    figures = result.to_dict()
    if command.json:
        stdout.print(json.dumps(figures, indent=2))
    else:
        _show(figures)
    return 0 if result.is_sound else 1


def _show(figures: dict[str, Any]) -> None:
    from rich.table import Table

    table = Table("swap to", "at s", "took s", "requests", "p99 ms before", "during", "after")
    for swap in figures["each_swap"]:
        table.add_row(
            swap["to"], f"{swap['at_s']:.1f}", f"{swap['seconds']:.2f}", str(swap["during"]["requests"]),
            *(f"{swap[span]['p99_ms']:.0f}" for span in ("before", "during", "after")),
        )  # fmt: skip
    print_table(table)
    by_version = ", ".join(
        f"{version}: {count}" for version, count in figures["answered_by"].items()
    )
    failures = ", ".join(f"{kind} {count}" for kind, count in figures["failures"].items())
    stdout.print(
        f"{figures['swaps']} swaps, {figures['requests']} requests ({by_version}), {figures['failed']} failed"
        f"{f' ({failures})' if failures else ''}, {figures['wrong_answers']} wrong, {figures['retries']} retried"
    )
    stdout.print(
        f"p99 {figures['p99_ms']['during']:.0f} ms during swaps, {figures['p99_ms']['outside']:.0f} ms outside "
        f"(ratio {figures['p99_ratio']})"
    )
