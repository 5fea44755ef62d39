"""Closed loops by wrk, which costs a few percent of a core; the project's own generator would take cores from servers
that answer thousands of requests a second. Open loops, of much lower rates, come from serving/loadtest."""

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from benchmarks.errors import BenchmarkError
from serving.loadtest.http_target import HttpTarget

SCRIPT = Path(__file__).with_name("wrk.lua")


@dataclass(frozen=True, kw_only=True)
class WrkResult:
    requests_per_s: float
    p50_ms: float
    p99_ms: float
    failed: int
    """Answers with an error status, and lost connections."""


def closed_loop(
    target: HttpTarget, photo_list: Path, *, connections: int, seconds: float
) -> WrkResult:
    """Return the throughput and latency of `connections` that each send their next request once the last is answered.

    `photo_list` names one photo per line. Raises BenchmarkError when wrk is missing or fails.
    """
    wrk = shutil.which("wrk")
    if wrk is None:
        raise BenchmarkError("wrk is not installed; install it (apt-get install wrk) and try again")
    command = [
        wrk, "-t1", f"-c{connections}", f"-d{round(seconds)}s", "--timeout", "30s", "-s", str(SCRIPT), target.url,
    ]  # fmt: skip
    done = subprocess.run(
        command,
        env={**os.environ, **_environment(target, photo_list)},
        capture_output=True,
        text=True,
        timeout=seconds + 60,
    )
    if done.returncode != 0:
        raise BenchmarkError(f"wrk failed on {target.url}: {(done.stderr or done.stdout).strip()}")
    figures = json.loads(done.stdout.strip().splitlines()[-1])
    return WrkResult(
        requests_per_s=figures["requests"] / figures["duration_s"],
        p50_ms=figures["p50_ms"],
        p99_ms=figures["p99_ms"],
        failed=figures["bad_status"] + figures["lost"],
    )


def _environment(target: HttpTarget, photo_list: Path) -> dict[str, str]:
    """Return what wrk.lua reads."""
    optional = {"TOKEN": target.token, "FORM_FIELD": target.form_field}
    return {
        "PHOTOS": str(photo_list),
        "CONTENT_TYPE": target.content_type,
        **{name: value for name, value in optional.items() if value},
    }
