"""Cost of a hot swap: `headswap soak` promotes two versions of one network back and forth under load.

python -m benchmarks.serving.swaps
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import photos
from benchmarks.errors import BenchmarkError
from benchmarks.measurements import WORK, merge, result_file
from benchmarks.networks import HEADSWAP, prepare
from benchmarks.serving import candidates
from benchmarks.summary import rounded_median

ARCHITECTURE = "resnet18"
SECONDS = 20
CONNECTIONS = 8


def main() -> int:
    """Return the exit code."""
    network = prepare(ARCHITECTURE, WORK)
    listing = photos.make(WORK / "photos", "366x500")
    photo = Path(listing.read_text().splitlines()[0])
    with tempfile.TemporaryDirectory(dir=WORK) as folder:
        candidate = candidates.headswap(network.archive, Path(folder))
        try:
            candidate.start(photo, WORK / "logs" / "swaps.log")
            figures = _soak(candidate.folder, network.folder / "run", photo.parent)
        except BenchmarkError as error:
            sys.stderr.write(f"benchmarks: {error}\n")
            return 1
        finally:
            candidate.stop()
    merge(
        "swaps",
        {
            "seconds": SECONDS,
            "connections": CONNECTIONS,
            "promotion_s": rounded_median([swap["seconds"] for swap in figures["each_swap"]]),
            **{name: figures[name] for name in ("swaps", "requests", "failed", "wrong_answers", "p50_ms", "p99_ms")},
        },
        result_file("serving"),
    )  # fmt: skip
    return 0


def _soak(folder: Path, run: Path, photo_folder: Path) -> dict[str, Any]:
    """Return the figures of `headswap soak --json`. Raises BenchmarkError when a request failed."""
    store = folder / "model_store"
    _headswap(folder, "export", run, "--name", ARCHITECTURE, "--version", "2.0")
    versions = [store / f"{ARCHITECTURE}-{version}.0.mar" for version in (1, 2)]
    figures = _headswap(
        folder, "soak", "--versions", *versions, "--photos", photo_folder, "--json",
        "--seconds", SECONDS, "--connections", CONNECTIONS,
    )  # fmt: skip
    return dict(json.loads(figures))


def _headswap(folder: Path, *argv: object) -> str:
    finished = subprocess.run(
        [str(HEADSWAP), *map(str, argv)],
        cwd=folder, capture_output=True, text=True, timeout=SECONDS * 5, check=False,
    )  # fmt: skip
    if finished.returncode != 0:
        raise BenchmarkError(
            f"headswap {argv[0]} failed: {(finished.stderr or finished.stdout).strip()}"
        )
    return finished.stdout


if __name__ == "__main__":
    sys.exit(main())
