"""Runs steps in turn, each in a process group of its own: one that crashes or hangs does not stop the rest."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import psutil

from benchmarks.gpu.context import Context
from benchmarks.gpu.steps import Step
from benchmarks.measurements import ROOT

# A process that waits for the GPU takes a moment to be killed.
KILL_TIMEOUT_S = 10
LOG_TAIL_LINES = 15


def run_steps(steps: Mapping[str, Step], context: Context, *, limit_s: float) -> bool:
    """Run the steps within `limit_s` in all; return whether every one of them ended by itself, with success.

    Figures of an earlier run in the same folder are deleted.
    """
    context.out.mkdir(parents=True, exist_ok=True)
    records = context.records()
    records.path.unlink(missing_ok=True)
    context_file = context.out / "context.json"
    context.write(context_file)
    ends = time.monotonic() + limit_s
    statuses = []
    for name, step in steps.items():
        remaining_s = ends - time.monotonic()
        if remaining_s <= 0:
            status = "not started: the time was up"
            records.ended(name, status, 0)
        else:
            log = context.out / f"{name}.log"
            began = time.monotonic()
            status = _run(step, context_file, log, limit_s=min(step.limit_s, remaining_s))
            records.ended(name, status, time.monotonic() - began)
            if status != "done":
                records.text(name, "end of its log", _tail(log))
        sys.stderr.write(f"{name}: {status}\n")
        statuses.append(status)
    return all(status == "done" for status in statuses)


def _run(step: Step, context_file: Path, log: Path, *, limit_s: float) -> str:
    """Return `done`, or how the step ended instead."""
    with log.open("wb") as sink:
        process = subprocess.Popen(
            [*step.command, str(context_file)],
            cwd=ROOT,
            env=_environment(),
            stdout=sink,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        code = process.wait(limit_s)
    except subprocess.TimeoutExpired:
        return f"stopped after {limit_s:.0f} s"
    finally:
        end_family(process)
    return "done" if code == 0 else f"failed with exit code {code}"


def _environment() -> dict[str, str]:
    """Return what a step runs with; without the peers' environment this one has the stock handler."""
    own = {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    if not (ROOT / "benchmarks" / ".peers").exists():
        own["BENCH_PEERS"] = sys.prefix
    return {**own, **os.environ, "PYTHONPATH": str(ROOT)}


def end_family(process: subprocess.Popen[bytes]) -> None:
    """Kill the process and all its descendants, those in sessions of their own too, such as servers."""
    family: list[psutil.Process] = []
    with contextlib.suppress(psutil.Error):
        family = psutil.Process(process.pid).children(recursive=True)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    for member in family:
        with contextlib.suppress(psutil.Error):
            member.kill()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(KILL_TIMEOUT_S)


def _tail(log: Path) -> list[str]:
    lines = log.read_text(errors="replace").splitlines()
    return [line[:300] for line in lines[-LOG_TAIL_LINES:]]
