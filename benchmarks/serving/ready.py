"""CPU time of `headswap ready`, which polls a live archive of 350 MB: it must not read the file each time.

python -m benchmarks.serving.ready model_store/clothing-1.0.mar

The archive is a copy with a stored member of padding, served on free ports. Prints one line of JSON: the CPU seconds,
user and system, of `headswap ready` beyond `python -c pass`; its imports count.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from benchmarks.measurements import ROOT
from serving.archive.reader import read_archive
from serving.rollout.startup import choose_live
from serving.rollout.trust import Trust
from serving.server.ports import on_free_ports
from serving.server.server import Server
from serving.settings import METRICS_CONFIG, ServerSettings, load_settings
from storage.hashing import MEMO_FILE, SETTLED_AFTER_S

ARCHIVE_BYTES = 350_000_000
LIMIT_S = 0.5
RUNS = 5


def main() -> int:
    """Return 0 if a poll takes less CPU time than the limit, else 1."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("archive", type=Path, help="an archive that headswap export made")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        settings = write_settings(Path(folder))
        padded = pad(arguments.archive, settings.model_store)
        trust = Trust(allow_custom_handler=True)
        choose_live(settings.model_store, [padded], trust=trust)
        with Server(settings) as server:
            server.start()
            server.wait_ready()
            figures = measure(settings)
    print(json.dumps(figures))
    return 0 if figures["beyond_interpreter_s"] < LIMIT_S else 1


def write_settings(folder: Path) -> ServerSettings:
    """Return the settings of a server in this folder: the project's own, on free ports and with one worker."""
    (folder / "store").mkdir()
    project = load_settings(config=ROOT / "config.properties", model_store=folder, state=folder)
    properties = on_free_ports(project.properties) | {
        "default_workers_per_model": "1",
        "metrics_config": str(METRICS_CONFIG),
    }
    config = folder / "config.properties"
    config.write_text("".join(f"{key}={value}\n" for key, value in properties.items()))
    return load_settings(config=config, model_store=folder / "store", state=folder / "state")


def pad(archive: Path, model_store: Path) -> Path:
    """Return a copy in the store under its own name, with a stored member that makes it 350 MB."""
    target = model_store / read_archive(archive).file_name
    with zipfile.ZipFile(archive) as source, zipfile.ZipFile(target, "w") as copy:
        for member in source.infolist():
            copy.writestr(member, source.read(member))
        copy.writestr("padding.bin", os.urandom(ARCHIVE_BYTES - archive.stat().st_size))
    return target


def measure(settings: ServerSettings) -> dict[str, float]:
    """Return the figures, in CPU seconds; `first` is the poll that finds nothing remembered."""
    (settings.model_store / MEMO_FILE).unlink(missing_ok=True)
    time.sleep(SETTLED_AFTER_S)
    command = [
        sys.executable, "-m", "headswap", "ready", "--config", str(settings.config),
        "--model-store", str(settings.model_store), "--state", str(settings.state),
    ]  # fmt: skip
    first_s = cpu_s(command)
    ready_s = median(cpu_s(command) for _ in range(RUNS))
    interpreter_s = median(cpu_s([sys.executable, "-c", "pass"]) for _ in range(RUNS))
    return {
        "archive_mb": ARCHIVE_BYTES / 1e6,
        "first_s": round(first_s, 3),
        "ready_s": round(ready_s, 3),
        "interpreter_s": round(interpreter_s, 3),
        "beyond_interpreter_s": round(ready_s - interpreter_s, 3),
    }


def cpu_s(command: Sequence[str]) -> float:
    """Return the user and system seconds of a command. Raises CalledProcessError when it fails."""
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    # Reaped above, so that only this process is counted.
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    sys.exit(main())
