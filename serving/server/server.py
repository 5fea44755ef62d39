"""A TorchServe as a child process: started on what is live, watched, drained, never left behind."""

import contextlib
import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from serving.archive.reader import Archive, read_archive
from serving.client import tokens
from serving.client.grpc_management import manage
from serving.errors import (
    BusyError,
    InputError,
    NotLoadedError,
    NotReadyError,
    RequestError,
    ServerError,
)
from serving.rollout import journal
from serving.rollout.live_record import (
    Deployment,
    entry_of,
    locked,
    open_entry,
    read_record,
    write_record,
)
from serving.rollout.loading import install
from serving.rollout.readiness import Report, check_live
from serving.rollout.recovery import clear_leftovers
from serving.rollout.trust import STRICT, Trust
from serving.server.environment import server_environment
from serving.server.java import find_java, quiet_flags
from serving.server.shutdown import answer_what_is_under_way
from serving.settings import ServerSettings
from serving.torchserve import torchserve_jar

LOG_CONFIG = Path(__file__).parents[1] / "log4j2.xml"
START_TIMEOUT_S = 180.0
# After at most 8 s of answering what is under way (closing.py): a container is killed 30 s after TERM.
STOP_TIMEOUT_S = 18.0
POLL_S = 0.2
PR_SET_PDEATHSIG = 1
LOG_TAIL_LINES = 200
# What the handler logs when an archive does not reproduce its probes.
REFUSAL = "refusing to serve"


class Server:
    """A running TorchServe; a context manager that stops it and all its workers."""

    def __init__(self, settings: ServerSettings) -> None:
        self.settings = settings
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
        """Start Java on the live versions and return at once.

        Raises:
            BusyError: a port is taken. SettingsError: no Java. ArchiveError: a live archive is not what it was.
        """
        settings = self.settings
        _refuse_busy_ports(settings)
        _forget_half_done(settings)
        record = read_record(settings.model_store)
        live = [open_entry(settings.model_store, deployment.live) for deployment in record.values()]
        # Archives a killed server had unpacked; the sockets of its workers.
        shutil.rmtree(settings.state / "tmp", ignore_errors=True)
        for folder in (settings.state, settings.state / "tmp", settings.state / "logs"):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        rendered = settings.state / "config.properties"
        rendered.write_text(
            settings.render(",".join(f"{one.name}={one.path.name}" for one in live))
        )
        settings.key_file.unlink(missing_ok=True)
        self._process = self._spawn(rendered)
        details = {
            "pid": self._process.pid,
            "serve_pid": os.getpid(),
            "inference": settings.inference_url,
        }
        (settings.state / "server.json").write_text(json.dumps(details))

    def wait_ready(self, *, timeout_s: float = START_TIMEOUT_S) -> None:
        """Return when every live model answers its probes, with the previous versions loaded beside them.

        Raises:
            ServerError: Java ended, or the time is over; says what the log said last.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            if (code := self.exit_code()) is not None:
                raise ServerError(
                    f"TorchServe ended with {code} while starting: {self.last_error()}"
                )
            try:
                check_live(self.settings)
                self._is_ready = True
                break
            except NotLoadedError as error:
                # It loads what it was given before it opens its ports: what is not there now never will be.
                raise ServerError(f"{error} {self.last_error()}") from None
            except (NotReadyError, RequestError, InputError) as error:
                if time.monotonic() > deadline or REFUSAL in self.last_error():
                    raise ServerError(f"not ready: {error} {self.last_error()}") from None
            time.sleep(POLL_S)
        self._load_kept()
        if self.settings.uses_tokens:
            watch = threading.Thread(
                target=tokens.keep_renewing, args=(self.settings, self._stopping), daemon=True
            )
            watch.start()

    def exit_code(self) -> int | None:
        return None if self._process is None else self._process.poll()

    def stop(self, *, timeout_s: float = STOP_TIMEOUT_S) -> None:
        """End TorchServe once what is under way is answered; kill it when it takes longer than `timeout_s` to close."""
        self._stopping.set()
        if self._process is None:
            return
        if self._process.poll() is None and self._is_ready:
            answer_what_is_under_way(self.settings, self._process.pid)
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
                    if REFUSAL in line or "Invalid configuration" in line or " ERROR " in line:
                        return f"The log says: {line.strip()[:400]}"
        return f"See {log}."

    def _spawn(self, rendered: Path) -> subprocess.Popen[bytes]:
        settings, state = self.settings, self.settings.state.resolve()
        java = find_java()
        jar = torchserve_jar()
        site_packages = jar.parents[2]
        command = [
            str(java), *quiet_flags(java),
            f"-Dmodel_server_home={site_packages}", f"-Djava.io.tmpdir={state / 'tmp'}",
            f"-Dlog4j.configurationFile=file://{LOG_CONFIG}",
            *settings.properties.get("vmargs", "").split(),
            "-cp", f"{jar.parent}/*", "org.pytorch.serve.ModelServer",
            "--python", sys.executable, "-f", str(rendered.resolve()), "-ncs",
        ]  # fmt: skip
        with (state / "logs" / "console.log").open("wb") as console:
            return subprocess.Popen(
                command,
                cwd=state,
                env=server_environment(state),
                stdout=console,
                stderr=subprocess.STDOUT,
                # The key file is written before it is made private: nobody may read it in between.
                umask=0o077,
                # Away from the terminal's Ctrl-C, which `serve` turns into an orderly stop.
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )

    def _load_kept(self) -> None:
        settings = self.settings
        # A rollback that cannot be prepared must not keep the live version from serving.
        with contextlib.suppress(RequestError, InputError), manage(settings) as management:
            for name, deployment in read_record(settings.model_store).items():
                loaded = management.versions(name)
                for entry in deployment.kept:
                    if entry.version not in loaded:
                        kept = open_entry(settings.model_store, entry)
                        management.register(kept.path.name, workers=settings.worker_count)


def serve(
    settings: ServerSettings, *, archives: Sequence[Path], report: Report, trust: Trust = STRICT
) -> int:
    """Run in the foreground until TERM, INT or Java's death; return the exit code."""
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    choose_live(settings, archives, trust=trust)
    with Server(settings) as server:
        server.start()
        waiter = _Waiter(server)
        while not stopping.wait(POLL_S):
            if waiter.failed is not None:
                raise waiter.failed
            if waiter.done and not waiter.told:
                waiter.told = True
                for sentence in check_live(settings):
                    report(
                        f"{sentence} on {settings.inference_url} and gRPC {settings.grpc_target}"
                    )
            if server.exit_code() is not None:
                raise ServerError(
                    f"TorchServe ended with {server.exit_code()}. {server.last_error()}"
                )
        report("draining")
    report("stopped")
    return 0


class _Waiter:
    """Waits for readiness in a thread, so that a signal is heard meanwhile."""

    def __init__(self, server: Server) -> None:
        self.done, self.told = False, False
        self.failed: ServerError | None = None
        threading.Thread(target=self._wait, args=(server,), daemon=True).start()

    def _wait(self, server: Server) -> None:
        try:
            server.wait_ready()
            self.done = True
        except ServerError as error:
            self.failed = error


def choose_live(
    settings: ServerSettings, archives: Sequence[Path], *, trust: Trust = STRICT
) -> None:
    """Fill the live record for models that have none: from the archives named, else a model's only one in the store.

    Raises:
        InputError: nothing to serve, or several versions of a model and none chosen.
    """
    with locked(settings.model_store):
        record = read_record(settings.model_store)
        chosen = [
            install(trust.accept(read_archive(path)), settings.model_store) for path in archives
        ]
        if not chosen and not record:
            chosen = [trust.accept(one) for one in _only_archives(settings.model_store)]
        for archive in chosen:
            deployment = record.get(archive.name)
            if deployment is None or deployment.live.version != archive.version:
                entry = entry_of(
                    archive, why="named at serve" if archives else "only version in the store"
                )
                record[archive.name] = (
                    deployment.succeeded_by(entry, keep=1) if deployment else Deployment(live=entry)
                )
        trust.check_record(settings.model_store, record)
        write_record(settings.model_store, record)


def _only_archives(model_store: Path) -> list[Archive]:
    found: dict[str, list[Archive]] = {}
    for path in sorted(model_store.glob("*.mar")):
        archive = read_archive(path)
        found.setdefault(archive.name, []).append(archive)
    if not found:
        raise InputError(
            f"the model store {model_store} holds no archive; make one with headswap export."
        )
    for name, versions in found.items():
        if len(versions) > 1:
            told = ", ".join(str(one.path) for one in versions)
            raise InputError(
                f"{name} has {len(versions)} versions and none was ever live; name one to serve: {told}."
            )
    return [versions[0] for versions in found.values()]


def _forget_half_done(settings: ServerSettings) -> None:
    """Nothing is loaded yet, so of a promotion that was cut off only files are left. The record says what was live."""
    with contextlib.suppress(BusyError), locked(settings.model_store):
        clear_leftovers(settings.model_store)
        journal.end(settings.model_store)


def _refuse_busy_ports(settings: ServerSettings) -> None:
    for key, port in settings.ports().items():
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                raise BusyError(
                    f"port {port} ({key} in {settings.config.name}) is taken; stop what listens there or change it."
                ) from None


def _die_with_parent() -> None:
    """Have the kernel end Java when `serve` is killed outright: no orphan keeps the ports.

    KILL, because on TERM it may wait for ever for a call that is never answered; its workers end with their socket.
    """
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
