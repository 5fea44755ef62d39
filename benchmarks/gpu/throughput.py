"""Requests per second of headswap, of TorchServe's stock handler with 4 workers, and of a handler that does nothing.

All servers are started at once and suspended between their turns. nvidia-smi samples the GPU beside each measurement.
"""

import shutil
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from benchmarks import networks
from benchmarks.errors import BenchmarkError
from benchmarks.gpu.agreement import encode
from benchmarks.gpu.context import Context
from benchmarks.gpu.monitor import GpuMonitor
from benchmarks.gpu.profiling import profile_top
from benchmarks.gpu.records import Aim, Records
from benchmarks.gpu.step import run_step
from benchmarks.serving import candidates, processes, wrk
from benchmarks.serving.candidates import Candidate
from handlers.engines.pipelines import make_cuda_pipeline
from handlers.images.loaders import Timings
from handlers.settings import HandlerSettings
from serving.loadtest.load import closed_loop

STEP = "throughput"
WARM_UP_S = 2
# More than ever wait, so that no request is rejected.
QUEUE_SIZE = 1000
NO_OP = "no-op"
OVER_STOCK = Aim(at_least=5)
OVER_NO_OP = Aim(at_least=0.7)
# Batch size and workers of headswap; the one with the most requests per second counts.
OURS = {"batches of 32": (32, 1), "batches of 8, 4 workers": (8, 4)}
DRY_OURS = {"batches of 4": (4, 1)}


def measure(context: Context, records: Records) -> None:
    """Start every candidate and measure each under every number of connections, the fastest network first."""
    with ExitStack() as stack:
        # TorchServe's sockets are inside, and the path of a socket has at most 107 characters.
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gpu-")))
        started = start_all(make_candidates(context, work), context, records, stack)
        speeds: dict[str, dict[int, float]] = {}
        for name, candidate in started.items():
            speeds[name] = measure_candidate(name, candidate, context, records)
        for architecture in context.sizes.architectures:
            compare(architecture, speeds, context, records)


def make_candidates(context: Context, work: Path) -> dict[str, Candidate]:
    """Return the candidates by name, not started."""
    made = {NO_OP: candidates.noop_torchserve(folder_in(work, NO_OP))}
    for architecture in context.sizes.architectures:
        archive = context.archive(architecture)
        for number, (ours, (batch, workers)) in enumerate(our_settings(context).items()):
            name = f"{architecture}, headswap, {ours}"
            changes = {
                "batchSize": batch, "minWorkers": workers, "maxWorkers": workers, "jobQueueSize": QUEUE_SIZE,
            }  # fmt: skip
            folder = folder_in(work, f"{architecture}-{number}")
            made[name] = candidates.headswap(archive, folder, name=name, changes=changes)
        stock = folder_in(work, f"{architecture}-stock")
        networks.unpack(architecture, stock, archive)
        made[f"{architecture}, stock"] = candidates.stock_torchserve(
            stock, stock, tuned=True, workers=context.sizes.stock_workers
        )
    return made


def our_settings(context: Context) -> dict[str, tuple[int, int]]:
    """Return batch size and workers of headswap, by the name they get in the results."""
    return DRY_OURS if context.is_dry_run else OURS


def folder_in(work: Path, name: str) -> Path:
    """Return a new folder."""
    folder = work / name
    folder.mkdir()
    return folder


def start_all(
    made: dict[str, Candidate], context: Context, records: Records, stack: ExitStack
) -> dict[str, Candidate]:
    """Start all candidates at once and return those that answer, suspended; the others' errors are recorded."""
    photo = Path(context.photo_list().read_text().splitlines()[0])

    def start(item: tuple[str, Candidate]) -> str:
        name, candidate = item
        try:
            log = context.out / "logs" / f"{name.replace(', ', '-').replace(' ', '-')}.log"
            records.figure(
                STEP, f"{name}: seconds until it answers", candidate.start(photo, log), "s"
            )
            assert candidate.process is not None
            processes.suspend(candidate.process)
        except (BenchmarkError, OSError) as error:
            return str(error)
        return ""

    for candidate in made.values():
        stack.callback(candidate.stop)
    with ThreadPoolExecutor(len(made)) as pool:
        faults = dict(zip(made, pool.map(start, made.items()), strict=True))
    for name, fault in faults.items():
        if fault:
            records.text(STEP, f"{name}: did not start", fault)
    return {name: candidate for name, candidate in made.items() if not faults[name]}


def measure_candidate(
    name: str, candidate: Candidate, context: Context, records: Records
) -> dict[int, float]:
    """Return and record the answered requests per second, by number of connections; empty if it failed."""
    speeds: dict[int, float] = {}
    photo = Path(context.photo_list().read_text().splitlines()[0])
    try:
        with candidate.turn(photo):
            load(candidate, context, connections=context.sizes.connections[0], seconds=WARM_UP_S)
            for connections in context.sizes.connections:
                with GpuMonitor() as gpu:
                    speeds[connections], p99_ms, failed = load(
                        candidate, context, connections=connections, seconds=context.sizes.seconds
                    )
                what = f"{name}, {connections} connections"
                records.figure(STEP, what, speeds[connections], "requests/s")
                records.figure(STEP, f"{what}: p99", p99_ms, "ms")
                records.figure(STEP, f"{what}: failed", failed, "requests", Aim(at_most=0))
                if "sm" in gpu.means:
                    records.figure(STEP, f"{what}: GPU busy", gpu.means["sm"], "%")
    except BenchmarkError as error:
        records.text(STEP, f"{name}: failed", str(error))
    return speeds


def load(
    candidate: Candidate, context: Context, *, connections: int, seconds: float
) -> tuple[float, float, int]:
    """Return answered requests per second, p99 in ms and failed requests: by wrk, or without it by our own loop."""
    target = candidate.target_now()
    if shutil.which("wrk"):
        by_wrk = wrk.closed_loop(
            target, context.photo_list(), connections=connections, seconds=seconds
        )
        return by_wrk.requests_per_s - by_wrk.failed / seconds, by_wrk.p99_ms, by_wrk.failed
    ours = closed_loop(target, context.sent_photos(), connections=connections, seconds=seconds)
    return ours.requests_per_s, ours.percentile_ms(0.99), ours.failed


def compare(
    architecture: str, speeds: dict[str, dict[int, float]], context: Context, records: Records
) -> None:
    """Record headswap's best figures over those of the stock handler and of the no-op handler; profile what misses."""
    is_met = True
    for connections in context.sizes.connections:
        ours = max(
            speeds.get(f"{architecture}, headswap, {name}", {}).get(connections, 0.0)
            for name in our_settings(context)
        )
        what = f"{architecture}, {connections} connections: headswap over"
        for other, aim in ((f"{architecture}, stock", OVER_STOCK), (NO_OP, OVER_NO_OP)):
            theirs = speeds.get(other, {}).get(connections)
            if ours and theirs:
                name = f"{what} {other.rpartition(', ')[2]}"
                is_met &= records.figure(STEP, name, ours / theirs, "times", aim)
    if not is_met:
        records.text(
            STEP, f"{architecture}: profile of a batch", profile_batch(architecture, context)
        )


def profile_batch(architecture: str, context: Context) -> list[str]:
    """Return where the time of a worker goes: the whole way of a batch from bytes to probabilities."""
    pipeline = make_cuda_pipeline(
        context.extracted(architecture), HandlerSettings(), device=context.torch_device
    )
    photos = encode(context.sent_photos()[: context.sizes.largest_batch])
    work: Callable[[], object] = lambda: pipeline.classify(photos, Timings())  # noqa: E731
    return profile_top(context, work)


if __name__ == "__main__":
    run_step(measure)
