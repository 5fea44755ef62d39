"""Find the settings this host serves an archive best with, and how much it then serves.

Example:
    headswap tune model_store/clothing-1.0.mar --photos photos/test --max-p99-ms 200

Starts a TorchServe of its own on free ports and tries workers, threads, batches, waiting, engine and precision on your
photos; the machine should have nothing else to do. --out then holds model-config.yaml with the best setting,
report.html and tuning.json. The exit code is 1 where no setting keeps --max-p99-ms.
"""

from dataclasses import dataclass, field
from pathlib import Path

import tyro

from headswap.options import ServerOptions, TrustOptions
from headswap.output import Timeline, stdout


@dataclass(frozen=True, kw_only=True)
class Command:
    archive: tyro.conf.Positional[Path]
    """The archive that `headswap export` made."""
    photos: tuple[str, ...]
    """Photos or folders, such as clients will send."""
    out: Path = Path("runs/tune")
    """Folder of what was found."""
    max_p99_ms: float | None = None
    """99 % of the answers must come within this; by default any latency will do."""
    seconds: float = 480.0
    """Time to spend in all; a minute is the least that tells anything."""
    price_per_hour: float | None = None
    """What the host costs an hour, for the cost of a million photos."""
    trust: TrustOptions = field(default_factory=TrustOptions)
    server: ServerOptions = field(default_factory=ServerOptions)


def run(command: Command) -> int:
    from headswap.photo_paths import find_photos
    from serving.archive.reader import read_archive
    from tuning.measuring import pick_photos
    from tuning.report import write_report
    from tuning.result import TuningGoal, write
    from tuning.tune import tune

    wish = TuningGoal(
        seconds=command.seconds,
        max_p99_ms=command.max_p99_ms,
        price_per_hour=command.price_per_hour,
    )
    archive = command.trust.trust().accept(read_archive(command.archive))
    photos = [photo.read() for photo in pick_photos(find_photos(command.photos))]
    settings = command.server.settings()
    # Before the minutes of measuring, not after, is when to learn that nothing can be written there.
    command.out.mkdir(parents=True, exist_ok=True)
    tuned = tune(archive, settings, photos, wish, report=Timeline())
    write(tuned, command.out)
    report = write_report(tuned, command.out)
    level = tuned.chosen.best(wish.max_p99_ms)
    if level is None:
        stdout.print(f"no setting keeps p99 within {wish.max_p99_ms:g} ms; see {report}")
        return 1
    stdout.print(
        f"{level.photos_per_s:.1f} photos/s, p50 {level.p50_ms:.0f} ms, p99 {level.p99_ms:.0f} ms, "
        f"{tuned.gain:.2f} times what it serves now: {tuned.chosen.setting}"
    )
    stdout.print(
        f"{report}\nNext: headswap configure {command.archive} "
        f"--model-config {command.out / 'model-config.yaml'} --version NEXT"
    )
    return 0
