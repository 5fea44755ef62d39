"""TorchServe as a child process: started with the live versions, watched, shut down in order, never left behind."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from serving.client import tokens
from serving.errors import (
    BusyError,
    InputError,
    NotLoadedError,
    NotReadyError,
    RequestError,
    ServerError,
)
from serving.rollout.live_record import open_entry, read_record
from serving.rollout.readiness import check_live
from serving.rollout.session import Report, ServerSession
from serving.rollout.startup import choose_live, discard_interrupted_promotion
from serving.rollout.trust import STRICT, Trust
from serving.server.process import start_process
from serving.server.shutdown import finish_requests
from serving.settings import ServerSettings

START_TIMEOUT_S = 180.0
# After up to 8 s of finishing requests (shutdown.py): a container is killed 30 s after TERM.
STOP_TIMEOUT_S = 18.0
POLL_S = 0.2
LOG_TAIL_LINES = 200
# What the handler logs if an archive does not reproduce its probes.
PROBE_FAILURE = "refusing to serve"


class Server:
    """A running TorchServe; a context manager that stops it and all its workers."""

    def __init__(self, settings: ServerSettings) -> None:
        self.settings = settings
        self.session = ServerSession(settings)
        self._process: subprocess.Popen[bytes] | None = None
        self._stopping = threading.Event()
        self._is_ready = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start TorchServe with the live versions and return at once.

        Raises:
            BusyError: a port is in use. SettingsError: there is no Java. ArchiveError: a live archive has changed.
        """
        settings = self.settings
        _check_ports(settings)
        discard_interrupted_promotion(settings.model_store)
        record = read_record(settings.model_store)
        live = [
            open_entry(settings.model_store, deployment.live, model=model, rehash=True)
            for model, deployment in record.items()
        ]
        # Archives that a killed server had unpacked, and the sockets of its workers.
        shutil.rmtree(settings.state / "tmp", ignore_errors=True)
        for folder in (settings.state, settings.state / "tmp", settings.state / "logs"):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        rendered = settings.state / "config.properties"
        load_models = ",".join(f"{archive.name}={archive.path.name}" for archive in live)
        rendered.write_text(settings.render(load_models))
        settings.key_file.unlink(missing_ok=True)
        self._process = start_process(settings, rendered)
        details = {
            "pid": self._process.pid,
            "serve_pid": os.getpid(),
            "inference": settings.inference_url,
        }
        (settings.state / "server.json").write_text(json.dumps(details))

    def wait_ready(self, *, timeout_s: float = START_TIMEOUT_S) -> None:
        """Return when every live model answers its probes and the versions kept for a rollback are loaded.

        Raises:
            ServerError: TorchServe ended, or the timeout has passed; the message quotes the log's last error.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            if (code := self.exit_code()) is not None:
                raise ServerError(
                    f"TorchServe exited with {code} while starting: {self.last_error()}"
                )
            try:
                check_live(self.session)
                self._is_ready = True
                break
            except NotLoadedError as error:
                # TorchServe loads its models before it opens its ports: what is not loaded now never will be.
                raise ServerError(f"{error} {self.last_error()}") from None
            except (NotReadyError, RequestError, InputError) as error:
                if time.monotonic() > deadline or PROBE_FAILURE in self.last_error():
                    raise ServerError(f"not ready: {error} {self.last_error()}") from None
            time.sleep(POLL_S)
        self._load_kept()
        if self.settings.uses_tokens:
            renewal = threading.Thread(
                target=tokens.keep_renewing, args=(self.settings, self._stopping), daemon=True
            )
            renewal.start()

    def exit_code(self) -> int | None:
        """Return TorchServe's exit code; None while it runs, and before it was started."""
        return None if self._process is None else self._process.poll()

    def stop(self, *, timeout_s: float = STOP_TIMEOUT_S) -> None:
        """End TorchServe once accepted requests are answered; kill it if closing takes longer than `timeout_s`."""
        self._stopping.set()
        # Our own connections would be waited for as a client's.
        self.session.close()
        if self._process is None:
            return
        if self._process.poll() is None and self._is_ready:
            with self.session:
                finish_requests(self.session, self._process.pid)
        self._process.terminate()
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self.settings.key_file.unlink(missing_ok=True)
        (self.settings.state / "server.json").unlink(missing_ok=True)

    def last_error(self) -> str:
        """Return the last line of the logs that explains a failure, or where to look."""
        log = self.settings.state / "logs" / "server.log"
        for path in (log, self.settings.state / "logs" / "console.log"):
            with contextlib.suppress(OSError):
                lines = path.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:]
                for line in reversed(lines):
                    if (
                        PROBE_FAILURE in line
                        or "Invalid configuration" in line
                        or " ERROR " in line
                    ):
                        return f"The log says: {line.strip()[:400]}"
        return f"See {log}."

    def _load_kept(self) -> None:
        settings = self.settings
        # A version that cannot be loaded for a rollback must not keep the live one from serving.
        with contextlib.suppress(RequestError, InputError):
            management = self.session.management
            for name, deployment in read_record(settings.model_store).items():
                loaded = management.versions(name)
                for entry in deployment.kept:
                    if entry.version not in loaded:
                        kept = open_entry(settings.model_store, entry, model=name, rehash=True)
                        management.register(kept.path.name, workers=settings.worker_count)


def serve(
    settings: ServerSettings, *, archives: Sequence[Path], report: Report, trust: Trust = STRICT
) -> int:
    """Run in the foreground until TERM, INT or the end of TorchServe; return the exit code.

    Raises:
        ServerError: TorchServe did not become ready, or ended by itself. The errors of `choose_live` and `start`.
    """
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    choose_live(settings.model_store, archives, trust=trust)
    with Server(settings) as server:
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
            if server.exit_code() is not None:
                raise ServerError(
                    f"TorchServe exited with {server.exit_code()}. {server.last_error()}"
                )
        report("draining")
    report("stopped")
    return 0


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


def _check_ports(settings: ServerSettings) -> None:
    """Raise BusyError if a port of the server is in use."""
    for key, port in settings.ports().items():
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                raise BusyError(
                    f"port {port} ({key} in {settings.config.name}) is in use; stop what listens there or change it."
                ) from None
