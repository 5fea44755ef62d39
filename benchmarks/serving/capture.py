"""What `headswap serve --capture` costs a worker that keeps a tenth of its photos, in photos/s and in CPU time.

python -m benchmarks.serving.capture

One process, as a worker is one: the same pipeline answers the same photos with capture and without it in turn, so that
a busy machine slows both. The thread that writes is waited for within its round. EfficientNet-Lite0 is the fastest
network that is included, and what capture costs is its largest share.
"""

import os
import statistics
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

# Before the libraries that read it: a worker's network has one thread.
os.environ["OMP_NUM_THREADS"] = "1"

from benchmarks import photos
from benchmarks.errors import BenchmarkError
from benchmarks.measurements import ROOT, WORK, merge, result_file
from benchmarks.networks import prepare
from handlers.capture.layout import PHOTOS
from handlers.capture.settings import VARIABLE, CaptureSettings

if TYPE_CHECKING:
    from handlers.classifier import Classifier

ARCHITECTURE = "efficientnet_lite0"
SHARE = 0.1
ROUNDS = 20
HEADERS = {"Content-Type": "image/jpeg"}


def main() -> int:
    """Return the exit code."""
    try:
        network = prepare(ARCHITECTURE, WORK)
    except BenchmarkError as error:
        sys.stderr.write(f"benchmarks: {error}\n")
        return 1
    listing = photos.make(WORK / "photos", "366x500")
    bodies = [Path(line).read_bytes() for line in listing.read_text().splitlines()]
    with tempfile.TemporaryDirectory(dir=WORK) as work:
        with zipfile.ZipFile(network.archive) as packed:
            packed.extractall(Path(work) / "archive")
        figures = measure(Path(work) / "archive", Path(work) / "captured", bodies, rounds=ROUNDS)
    merge("capture", {"architecture": ARCHITECTURE, "share": SHARE, **figures}, result_file("serving"))  # fmt: skip
    return 0


def measure(archive: Path, captured: Path, bodies: list[bytes], *, rounds: int) -> dict[str, Any]:
    """Return the medians over the rounds, and over the rounds' ratios of capture to none."""
    without, capturing = _load(archive, captured)
    _ask(without, bodies), _ask(capturing, bodies)
    kept = 0
    seconds: dict[str, list[float]] = {"off": [], "on": []}
    cpu_s: dict[str, list[float]] = {"off": [], "on": []}
    for number in range(rounds):
        _empty(captured)
        pairs = [("off", without), ("on", capturing)]
        # Which one is first changes, for the second one finds a warmer or a slower machine.
        for name, classifier in pairs[:: 1 if number % 2 else -1]:
            wall_s, used_s = _ask(classifier, bodies)
            seconds[name].append(wall_s)
            cpu_s[name].append(used_s)
        kept += len(list((captured / PHOTOS).iterdir()))
    return {
        "rounds": rounds,
        "photos": len(bodies),
        "kept_share": round(kept / rounds / len(bodies), 4),
        "photos_per_s": {
            name: round(len(bodies) / statistics.median(s), 2) for name, s in seconds.items()
        },
        "cpu_ms": {
            name: round(1e3 * statistics.median(s) / len(bodies), 3) for name, s in cpu_s.items()
        },
        # Below 1 where capture costs something.
        "photos_per_s_ratio": _ratios(seconds["off"], seconds["on"]),
        "cpu_ratio": _ratios(cpu_s["on"], cpu_s["off"]),
    }


def _load(archive: Path, captured: Path) -> "tuple[Classifier, Classifier]":
    """Return one classifier without capture, and one with it that computes with the same network."""
    from ts.metrics.metric_cache_yaml_impl import MetricsCacheYamlImpl

    from handlers.classifier import Classifier, load_classifier
    from handlers.settings import HandlerSettings

    cache = MetricsCacheYamlImpl(config_file_path=str(ROOT / "serving" / "metrics.yaml"))
    cache.initialize_cache()
    os.environ.pop(VARIABLE, None)
    without = load_classifier(archive, model_config=None, gpu_id=None, metric_cache=cache)
    # Kept at random alone: how sure a network is depends on its training.
    settings = CaptureSettings(folder=str(captured), share=SHARE, below=0)
    os.environ.update(settings.to_environment())
    capturing = Classifier(
        without.archive, HandlerSettings.from_model_config(None), without.pipeline, cache
    )
    return without, capturing


def _ask(classifier: "Classifier", bodies: list[bytes]) -> tuple[float, float]:
    """Return the seconds until all are answered, and the CPU seconds until what was kept is written too."""
    began, cpu_began = time.perf_counter(), time.process_time()
    for body in bodies:
        classifier.respond([{"body": body}], [HEADERS])
    seconds = time.perf_counter() - began
    if classifier._recorder is not None:
        classifier._recorder.flush()
    return seconds, time.process_time() - cpu_began


def _empty(captured: Path) -> None:
    """Remove what was kept: a photo that is there already costs less than a new one."""
    for photo in (captured / PHOTOS).iterdir():
        photo.unlink()


def _ratios(numerators: list[float], denominators: list[float]) -> dict[str, float]:
    """Return the median of the rounds' ratios, and the quartiles."""
    ratios = [a / b for a, b in zip(numerators, denominators, strict=True)]
    low, middle, high = statistics.quantiles(ratios, n=4)
    return {"median": round(middle, 4), "low": round(low, 4), "high": round(high, 4)}


if __name__ == "__main__":
    sys.exit(main())
