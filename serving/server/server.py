"""TorchServe as a child process: started with the live versions, watched, shut down in order, never left behind."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import threading
import time
from typing import IO, Self

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
from serving.rollout.session import ServerSession
from serving.rollout.startup import discard_interrupted_promotion, load_kept
from serving.server import state_folder
from serving.server.process import start_process
from serving.server.shutdown import finish_requests
from serving.server.state_folder import KeyFileKeeper
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
        self._lock: IO[str] | None = None
        self._keeper: threading.Thread | None = None
        self._stopping = threading.Event()
        self._is_ready = False
        self.not_loaded: list[str] = []
        """Once it is ready: a sentence for each version kept for a rollback that could not be loaded."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def claim(self) -> None:
        """Take the state folder for this server, before anything in it or in the model store changes.

        Raises:
            BusyError: another server uses the folder, or a port is in use. SettingsError: it cannot be written to.
        """
        if self._lock is None:
            self._lock = state_folder.lock(self.settings.state)
            _check_ports(self.settings)

    def start(self) -> None:
        """Start TorchServe with the live versions and return at once.

        Raises:
            BusyError, SettingsError: as in `claim`, or there is no Java. ArchiveError: a live archive has changed.
        """
        settings = self.settings
        self.claim()
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
        if settings.uses_tokens:
            self._keeper = threading.Thread(
                target=KeyFileKeeper(settings.key_file).run, args=(self._stopping,), daemon=True
            )
            self._keeper.start()
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
        self.not_loaded = load_kept(self.session)
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
        if self._process is not None:
            self._end(self._process, timeout_s)
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _end(self, process: subprocess.Popen[bytes], timeout_s: float) -> None:
        if process.poll() is None and self._is_ready:
            with self.session:
                finish_requests(self.session, process.pid)
        process.terminate()
        try:
            process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if self._keeper is not None:
            self._keeper.join()
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
