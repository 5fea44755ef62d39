"""Reading a photo as an earlier commit did, and as now: the CPU time of load_pixels, in turn.

python -m benchmarks.decoding 67cc918

Each round is a process of its own for either; the median of the rounds' ratios is what counts on a busy machine.
"""

import io
import os
import statistics
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from benchmarks import photos
from benchmarks.measurements import ROOT, WORK

ROUNDS = 7
# Passes over the photos of a kind in one round.
PASSES: dict[photos.Kind, int] = {"366x500": 4, "12mp": 1}
# Its arguments: the number of passes, and the photos. It prints the CPU seconds.
CHILD = """
import sys, time
try:
    from handlers.images.preprocessing import PreprocessingSpec, load_pixels
except ImportError:
    from handlers.preprocessing import PreprocessingSpec, load_pixels
spec = PreprocessingSpec(image_size_px=224)
bodies = [open(path, "rb").read() for path in sys.argv[2:]]
load_pixels(bodies[0], spec)
began = time.process_time()
for _ in range(int(sys.argv[1])):
    for body in bodies:
        load_pixels(body, spec)
print(time.process_time() - began)
"""


def main(commit: str) -> None:
    """Print the ratios of now to then, for photos of either size."""
    with tempfile.TemporaryDirectory() as folder:
        packed = subprocess.run(
            ["git", "archive", commit, "handlers"], cwd=ROOT, capture_output=True, check=True
        )
        with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
            archive.extractall(folder, filter="data")
        for kind, passes in PASSES.items():
            listing = photos.make(WORK / "photos", kind)
            paths = listing.read_text().splitlines()
            ratios = [
                _cpu_s(ROOT, passes, paths) / _cpu_s(Path(folder), passes, paths)
                for _ in range(ROUNDS)
            ]
            print(
                f"{kind}: {statistics.median(ratios):.3f} times the CPU time of {commit} "
                f"({min(ratios):.2f} to {max(ratios):.2f}), {ROUNDS} rounds of {passes * len(paths)} photos"
            )


def _cpu_s(tree: Path, passes: int, paths: list[str]) -> float:
    finished = subprocess.run(
        [sys.executable, "-c", CHILD, str(passes), *paths],
        cwd=tree, env={**os.environ, "PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return float(finished.stdout)


if __name__ == "__main__":
    main(sys.argv[1])
