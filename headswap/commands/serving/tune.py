"""Find the best settings to serve an archive with on this host, and how many photos per second it then serves.

Example:
    headswap tune model_store/clothing-1.0.mar --photos photos/test --max-p99-ms 200

Starts a separate TorchServe on free ports and tries numbers of workers and threads, batch sizes and delays, engines and
precisions on your photos. The machine should be idle otherwise. --out then holds model-config.yaml with the best
settings, report.html and tuning.json. The exit code is 1 if no settings meet --max-p99-ms.
"""

from dataclasses import dataclass, field
from pathlib import Path

from headswap.options import ArchivePath, PhotoPaths, ServerOptions, TrustOptions
from headswap.output import Timeline, stdout


@dataclass(frozen=True, kw_only=True)
class Command:
    archive: ArchivePath
    """The archive to tune."""
    photos: PhotoPaths
    """Photos or folders of photos like those that clients will send."""
    out: Path = Path("runs/tune")
    """Folder for the results."""
    max_p99_ms: float | None = None
    """Highest acceptable p99 latency, in milliseconds; by default any."""
    seconds: float = 480.0
    """Time budget in seconds; less than 60 measures too little."""
    price_per_hour: float | None = None
    """Price of the host per hour, in any currency, to compute the cost of a million photos."""
    trust: TrustOptions = field(default_factory=TrustOptions)
    server: ServerOptions = field(default_factory=ServerOptions)


def run(command: Command) -> int:
    from headswap.photo_paths import find_photos
    from serving.archive.reader import read_archive
    from tuning.measuring import pick_photos
    from tuning.report import write_report
    from tuning.result import TuningGoal, write_result
    from tuning.tune import tune

    goal = TuningGoal(
        seconds=command.seconds,
        max_p99_ms=command.max_p99_ms,
        price_per_hour=command.price_per_hour,
    )
    archive = command.trust.trust().accept(read_archive(command.archive))
    photos = [photo.read() for photo in pick_photos(find_photos(command.photos))]
    settings = command.server.settings()
    # Before the minutes of measuring, not after, is when to learn that nothing can be written there.
    command.out.mkdir(parents=True, exist_ok=True)
    result = tune(archive, settings, photos, goal, report=Timeline())
    write_result(result, command.out)
    report = write_report(result, command.out)
    level = result.chosen.best_level(goal.max_p99_ms)
    if level is None:
        stdout.print(f"no configuration keeps p99 within {goal.max_p99_ms:g} ms; see {report}")
        return 1
    stdout.print(
        f"{level.photos_per_s:.1f} photos/s, p50 {level.p50_ms:.0f} ms, p99 {level.p99_ms:.0f} ms, "
        f"{result.speedup:.2f} times the current configuration: {result.chosen.config}"
    )
    stdout.print(
        f"{report}\nNext: headswap configure {command.archive} "
        f"--model-config {command.out / 'model-config.yaml'} --version NEXT"
    )
    return 0
