"""A worker whose GPU fails for good: TorchServe must replace it, and the next one must answer."""

import os
import time
import zipfile
from pathlib import Path

from benchmarks.gpu.records import Aim, Records
from handlers.contract import ENTRY_FILE
from serving.archive.reader import Archive, read_archive
from serving.client import HttpClient
from serving.errors import RequestError

VARIABLE = "HEADSWAP_FAULT"
"""Names the file whose existence makes the next batch fail (faulty_entry.py)."""
WORKER_TIMEOUT_S = 30
POLL_S = 0.1


def add_fault(archive: Path, folder: Path) -> Archive:
    """Return a copy of the archive whose workers fail when they are asked to; sets VARIABLE for them."""
    os.environ[VARIABLE] = str(folder / "fail")
    target = folder / archive.name
    fault = Path(__file__).with_name("faulty_entry.py").read_text()
    with zipfile.ZipFile(archive) as packed, zipfile.ZipFile(target, "w") as copy:
        for member in packed.infolist():
            data = packed.read(member)
            if member.filename == ENTRY_FILE:
                data += b"\n\n" + fault.encode()
            copy.writestr(member, data)
    return read_archive(target)


def replace_broken_worker(
    client: HttpClient, archive: Archive, photo: bytes, records: Records, step: str
) -> None:
    """Break the GPU's context in the worker, and record how long it takes until another one answers."""
    before = worker_pids(client, archive)
    Path(os.environ[VARIABLE]).touch()
    began = time.monotonic()
    try:
        # The client's own retries may outlast the restart.
        client.predict(archive.name, photo, timeout_s=WORKER_TIMEOUT_S)
    except RequestError as error:
        records.text(step, "the request that broke the GPU", str(error)[:300])
    while worker_pids(client, archive) in (before, set()):
        if time.monotonic() - began > WORKER_TIMEOUT_S:
            break
        time.sleep(POLL_S)
    client.predict(archive.name, photo, timeout_s=WORKER_TIMEOUT_S)
    seconds = time.monotonic() - began
    records.figure(step, "broken GPU: seconds until a new worker answers", seconds, "s",
                   Aim(at_most=WORKER_TIMEOUT_S))  # fmt: skip
    survivors = before & worker_pids(client, archive)
    records.figure(step, "broken GPU: workers that survived", len(survivors), "", Aim(at_most=0))


def worker_pids(client: HttpClient, archive: Archive) -> set[int]:
    """Return the process ids of the workers that are ready."""
    return set(client.management.versions(archive.name)[archive.version].ready_pids)
