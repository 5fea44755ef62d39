"""A server on the GPU: it starts, its probes hold, HTTP and gRPC answer the same, and a broken GPU is replaced."""

import re
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.gpu.context import Context
from benchmarks.gpu.fault import add_fault, replace_broken_worker
from benchmarks.gpu.records import Aim, Records
from benchmarks.gpu.step import run_step
from benchmarks.serving.ready import write_settings
from serving.archive.reader import Archive
from serving.archive.repack import read_model_config, repack
from serving.client import Client, GrpcClient, HttpClient
from serving.rollout.readiness import check_probes
from serving.rollout.startup import choose_live
from serving.rollout.trust import Trust
from serving.server.server import Server

STEP = "server"
PHOTOS = 32


def measure(context: Context, records: Records) -> None:
    """Start a server with the first network, replay its probes, compare both transports, and break its GPU."""
    with tempfile.TemporaryDirectory(prefix="gpu-") as folder:
        archive = add_fault(context.archive(context.sizes.architectures[0]), Path(folder))
        began = time.perf_counter()
        with running_server(archive, {"batchSize": context.sizes.largest_batch}) as server:
            records.figure(STEP, "seconds until it is ready", time.perf_counter() - began, "s")
            pipeline = read_pipeline(server.settings.state / "logs" / "server.log")
            records.text(STEP, "pipeline", pipeline)
            records.figure(STEP, "the GPU serves", context.device in pipeline, "", Aim(at_least=1))
            with HttpClient(server.settings) as http, GrpcClient(server.settings) as grpc:
                compare_transports(context, records, archive, http, grpc)
                photo = context.compared_photos()[0]
                replace_broken_worker(http, archive, photo, records, STEP)


def compare_transports(
    context: Context, records: Records, archive: Archive, http: Client, grpc: Client
) -> None:
    """Record how the probes' probabilities differ over both transports, and how many photos differ between them."""
    for name, client in (("HTTP", http), ("gRPC", grpc)):
        difference = check_probes(client, archive, version=None)
        what = f"probes over {name}, largest difference"
        records.figure(STEP, what, difference, "", Aim(at_most=archive.probe_sets[0].tolerance))
    differing = [
        http.predict(archive.name, photo).scores != grpc.predict(archive.name, photo).scores
        for photo in context.compared_photos()[:PHOTOS]
    ]
    what = f"photos of {len(differing)} that gRPC answers differently"
    records.figure(STEP, what, sum(differing), "", Aim(at_most=0))


@contextmanager
def running_server(archive: Archive, changes: Mapping[str, Any]) -> Iterator[Server]:
    """Yield a server of this archive alone, with one worker and these settings in model-config.yaml, once it is ready.

    The archive's code is not compared with this installation's: a test of faults adds some.
    """
    with tempfile.TemporaryDirectory(prefix="gpu-") as folder:
        settings = write_settings(Path(folder))
        config = {**read_model_config(archive.path), **changes}
        changed = repack(archive, config, settings.model_store / archive.file_name)
        choose_live(settings.model_store, [changed.path], trust=Trust(allow_custom_handler=True))
        with Server(settings) as server:
            server.start()
            server.wait_ready()
            yield server


def read_pipeline(log: Path) -> str:
    """Return what computes, as the worker's log names it."""
    loaded = re.findall(r"is ready after [\d.]+ s with (.*?);", log.read_text(errors="replace"))
    return loaded[-1] if loaded else "unknown"


if __name__ == "__main__":
    run_step(measure)
