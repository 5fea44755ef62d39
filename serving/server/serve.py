"""The server in the foreground: from the choice of what is live until TERM, with what it counted and measured."""

import os
import signal
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from handlers.cgroup import usable_memory_bytes
from serving.archive.repack import read_model_config
from serving.errors import RequestError, ServerError
from serving.rollout.live_record import open_entry, read_record
from serving.rollout.readiness import check_live
from serving.rollout.session import Report
from serving.rollout.startup import choose_live
from serving.rollout.trust import STRICT, Trust
from serving.server.memory import (
    LoadedWorkers,
    find_shortage,
    process_bytes,
    warn_before_start,
)
from serving.server.server import Server
from serving.settings import ServerSettings

POLL_S = 0.2


def serve(
    settings: ServerSettings, *, archives: Sequence[Path], report: Report, trust: Trust = STRICT
) -> int:
    """Run in the foreground until TERM, INT or the end of TorchServe; return the exit code.

    Raises:
        ServerError: TorchServe did not become ready, or ended by itself. The errors of `choose_live` and of `Server`.
    """
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    with Server(settings) as server:
        server.claim()
        choose_live(settings.model_store, archives, trust=trust)
        report_workers(settings, report=report)
        server.start()
        readiness = _ReadinessThread(server)
        is_reported = False
        while not stopping.wait(POLL_S):
            if readiness.error is not None:
                raise readiness.error
            if readiness.is_ready and not is_reported:
                is_reported = True
                for sentence in check_live(server.session):
                    report(
                        f"{sentence} on {settings.inference_url} and gRPC {settings.grpc_target}"
                    )
                for sentence in server.not_loaded:
                    report(sentence)
                report_memory(server, report=report)
            if server.exit_code() is not None:
                raise ServerError(
                    f"TorchServe exited with {server.exit_code()}. {server.last_error()}"
                )
        report("draining")
    report("stopped")
    return 0


def report_workers(settings: ServerSettings, *, report: Report) -> None:
    """Say how many workers each live version will have and why, and warn if they cannot fit into the memory.

    Raises:
        ArchiveError: a live archive cannot be read. SettingsError: the configured number of workers is not a number.
    """
    total = 0
    for name, deployment in read_record(settings.model_store).items():
        archive = open_entry(settings.model_store, deployment.live, model=name)
        workers = settings.workers.of_archive(read_model_config(archive.path))
        total += workers.count
        report(f"{name} {archive.version}: {workers}")
    if warning := warn_before_start(total, usable_bytes=usable_memory_bytes()):
        report(warning)


def report_memory(server: Server, *, report: Report) -> None:
    """Warn if the workers, as large as they now are, or those of a promotion do not fit into the memory."""
    try:
        loaded = list(_loaded_workers(server))
    except RequestError:
        # The server has just answered; if it is gone, the loop above says so.
        return
    server_bytes = process_bytes(server.pid) + process_bytes(os.getpid())
    warning = find_shortage(loaded, server_bytes=server_bytes, usable_bytes=usable_memory_bytes())
    if warning is not None:
        report(warning)


def _loaded_workers(server: Server) -> Iterator[LoadedWorkers]:
    management = server.session.http.management
    for model in management.models():
        for loaded in management.versions(model).values():
            if loaded.ready_pids:
                yield LoadedWorkers(
                    count=len(loaded.ready_pids),
                    worker_bytes=max(map(process_bytes, loaded.ready_pids)),
                )


class _ReadinessThread:
    """Waits for readiness in a thread, so that the main thread can handle signals meanwhile."""

    def __init__(self, server: Server) -> None:
        self.is_ready = False
        self.error: ServerError | None = None
        threading.Thread(target=self._wait, args=(server,), daemon=True).start()

    def _wait(self, server: Server) -> None:
        try:
            server.wait_ready()
            self.is_ready = True
        except ServerError as error:
            self.error = error
