"""The Java process that is TorchServe: its command line, its environment, its end when `serve` is killed."""

import ctypes
import os
import signal
import subprocess
import sys
from pathlib import Path

from handlers.capture.settings import VARIABLE
from serving.gpus import read_visible_gpus
from serving.server.java import find_java, quiet_flags
from serving.settings import ServerSettings
from serving.torchserve import torchserve_jar

LOG_CONFIG = Path(__file__).parents[1] / "log4j2.xml"
PR_SET_PDEATHSIG = 1


def start_process(settings: ServerSettings, rendered: Path) -> subprocess.Popen[bytes]:
    """Start TorchServe with the `rendered` config.properties and return its process.

    Raises:
        SettingsError: there is no Java. ServerError: TorchServe is not installed.
    """
    state = settings.state.resolve()
    java = find_java()
    jar = torchserve_jar()
    command = [
        str(java), *quiet_flags(java),
        f"-Dmodel_server_home={jar.parents[2]}", f"-Djava.io.tmpdir={state / 'tmp'}",
        f"-Dlog4j.configurationFile=file://{LOG_CONFIG}",
        *settings.properties.get("vmargs", "").split(),
        "-cp", f"{jar.parent}/*", "org.pytorch.serve.ModelServer",
        "--python", sys.executable, "-f", str(rendered.resolve()), "-ncs",
    ]  # fmt: skip
    with (state / "logs" / "console.log").open("wb") as console:
        return subprocess.Popen(
            command,
            cwd=state,
            env=server_environment(state) | capture_environment(settings),
            stdout=console,
            stderr=subprocess.STDOUT,
            # TorchServe writes the key file before it makes it private: nobody may read it in between.
            umask=0o077,
            # Out of reach of the terminal's Ctrl-C, which `serve` turns into an orderly shutdown.
            start_new_session=True,
            preexec_fn=die_with_parent,
        )


def server_environment(state: Path) -> dict[str, str]:
    """Return the environment of TorchServe and its workers; variables that are set override the defaults."""
    return {
        # One thread per worker, since there is a worker per core; the threads of several workers compete for cores.
        "OMP_NUM_THREADS": "1",
        # If a user sets more threads, they must not spin while they wait: with PyTorch and 2 threads on 2 busy cores a
        # photo took 369 ms instead of 79.
        "OMP_WAIT_POLICY": "PASSIVE",
        **os.environ,
        **read_visible_gpus(os.environ).environment,
        "LOG_LOCATION": str(state / "logs"),
        "METRICS_LOCATION": str(state / "logs"),
        "TEMP": str(state / "tmp"),
        "TMPDIR": str(state / "tmp"),
    }


def capture_environment(settings: ServerSettings) -> dict[str, str]:
    """Return what tells the workers which photos to keep; off unless `serve` was asked to, whatever is set outside."""
    return {VARIABLE: ""} if settings.capture is None else settings.capture.to_environment()


def die_with_parent() -> None:
    """Have the kernel kill this new process if `serve` is killed, so that no orphan keeps the ports.

    KILL, because on TERM Java may wait for ever for a call that is never answered; its workers end with their socket.
    """
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
