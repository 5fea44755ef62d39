"""Load on a server: closed loop by wrk, which costs a few percent of a core where a Python client would cost half of
one; open loop, whose rate is far below that, by the project's own."""

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.errors import BenchmarkError
from tuning.load import LoadResult, open_loop
from tuning.load import Target as SocketTarget

SCRIPT = Path(__file__).with_name("wrk.lua")
BOUNDARY = "headswap"


@dataclass(frozen=True, kw_only=True)
class Target:
    """Where a contender listens and how it wants a photo."""

    url: str
    token: str | None = None
    form_field: str | None = None

    def headers(self) -> dict[str, str]:
        """Return the headers of every request."""
        form = f"multipart/form-data; boundary={BOUNDARY}"
        headers = {"Content-Type": form if self.form_field else "image/jpeg"}
        return headers | ({"Authorization": f"Bearer {self.token}"} if self.token else {})

    def body(self, photo: bytes) -> bytes:
        """Return the body that carries the photo."""
        if not self.form_field:
            return photo
        named = f'Content-Disposition: form-data; name="{self.form_field}"; filename="photo.jpg"'
        head = f"--{BOUNDARY}\r\n{named}\r\nContent-Type: image/jpeg\r\n\r\n"
        return head.encode() + photo + f"\r\n--{BOUNDARY}--\r\n".encode()


@dataclass(frozen=True, kw_only=True)
class Load:
    """One measurement. Latencies in milliseconds."""

    requests_per_s: float
    p50_ms: float
    p99_ms: float
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
        bad_status=told["bad_status"],
        lost=told["lost"],
    )


def measure_open(
    target: Target, photo_list: Path, *, rate_per_s: float, seconds: float, seed: int
) -> LoadResult:
    """Return what became of the requests that came at random, `rate_per_s` of them a second on average."""
    photos = [Path(line).read_bytes() for line in photo_list.read_text().splitlines()]
    return open_loop(
        _OpenTarget.of(target), photos, rate_per_s=rate_per_s, seconds=seconds, seed=seed
    )


@dataclass(frozen=True, kw_only=True)
class _OpenTarget(SocketTarget):
    """The same requests, as the bytes that go over the socket."""

    target: Target

    @classmethod
    def of(cls, target: Target) -> "_OpenTarget":
        url = urlsplit(target.url)
        return cls(host=url.hostname or "", port=url.port or 80, path=url.path, target=target)

    def request(self, photo: bytes) -> bytes:
        body = self.target.body(photo)
        headers = {
            "Host": f"{self.host}:{self.port}",
            **self.target.headers(),
            "Content-Length": len(body),
        }
        lines = [f"{name}: {value}" for name, value in headers.items()]
        return "\r\n".join([f"POST {self.path} HTTP/1.1", *lines, "", ""]).encode() + body
