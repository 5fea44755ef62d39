"""Closed-loop load by wrk: it costs a few percent of a core where a Python client would cost half of one."""

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from benchmarks.errors import BenchmarkError

SCRIPT = Path(__file__).with_name("wrk.lua")


@dataclass(frozen=True, kw_only=True)
class Target:
    """Where a contender listens and how it wants a photo."""

    url: str
    token: str | None = None
    form_field: str | None = None


@dataclass(frozen=True, kw_only=True)
class Load:
    """One measurement. Latencies in milliseconds."""

    requests_per_s: float
    p50_ms: float
    p99_ms: float
    p999_ms: float
    bad_status: int
    lost: int


def measure(target: Target, photo_list: Path, *, connections: int, seconds: float) -> Load:
    """Return what `connections` connections got through in `seconds`, each sending as soon as it is answered.

    `photo_list` names one photo a line. Raises BenchmarkError where wrk is missing or fails.
    """
    wrk = shutil.which("wrk")
    if wrk is None:
        raise BenchmarkError("wrk was not found; install it (apt-get install wrk) and run again")
    environment = {**os.environ, "PHOTOS": str(photo_list)}
    if target.token:
        environment["TOKEN"] = target.token
    if target.form_field:
        environment["MULTIPART"] = target.form_field
    command = [
        wrk,
        "-t1",
        f"-c{connections}",
        f"-d{round(seconds)}s",
        "--timeout",
        "30s",
        "-s",
        str(SCRIPT),
    ]
    finished = subprocess.run(
        [*command, target.url],
        env=environment,
        capture_output=True,
        text=True,
        timeout=seconds + 60,
    )
    if finished.returncode != 0:
        raise BenchmarkError(
            f"wrk failed on {target.url}: {(finished.stderr or finished.stdout).strip()}"
        )
    told = json.loads(finished.stdout.strip().splitlines()[-1])
    return Load(
        requests_per_s=told["requests"] / told["duration_s"],
        p50_ms=told["p50_ms"],
        p99_ms=told["p99_ms"],
        p999_ms=told["p999_ms"],
        bad_status=told["bad_status"],
        lost=told["lost"],
    )
