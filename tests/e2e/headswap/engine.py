"""The two engines that serve an archive, as the tests of what clients get see them."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import requests

from serving.client import GrpcClient, HttpClient
from serving.client.endpoint import Endpoint
from serving.client.http_management import HttpManagement
from serving.client.token_sources import TokenFile
from serving.client.tokens import TokenKind, read_token
from serving.settings import ServerSettings
from tests.helpers import free_ports

# Ray starts a dozen processes: 40 s on two idle cores, several times as long on busy ones.
START_LIMIT_S = 360.0
STOP_LIMIT_S = 60.0
REPLICAS = 2
REQUEST_LIMIT_BYTES = 20_000_000


@dataclass(frozen=True, kw_only=True)
class Engine:
    """A server with version 1.0 of clothing, live, on two processes."""

    name: str
    inference_url: str
    grpc_target: str
    key_file: Path
    """Of the tokens, in TorchServe's form."""
    logs: Path
    """Folder of requests.log and access.log."""
    worker_pids: Callable[[], set[int]]
    """Return the processes that serve the version now."""

    def client(self, kind: type[HttpClient | GrpcClient]) -> HttpClient | GrpcClient:
        """Return a client of this engine, to be closed."""
        return kind(self.endpoint("grpc" if kind is GrpcClient else "http"))

    def endpoint(self, transport: str) -> Endpoint:
        address = self.inference_url if transport == "http" else f"http://{self.grpc_target}"
        return Endpoint(
            address=address,
            token=TokenFile(self.key_file),
            request_limit_bytes=REQUEST_LIMIT_BYTES,
        )

    def token(self, kind: TokenKind = "inference") -> str:
        return read_token(self.key_file, kind)

    def authorization(self) -> dict[str, str]:
        """Return the header that carries the token."""
        return {"Authorization": f"Bearer {self.token()}"}


def torchserve_engine(steady: ServerSettings) -> Engine:
    def worker_pids() -> set[int]:
        return set(HttpManagement(steady).versions("clothing")["1.0"].ready_pids)

    return Engine(
        name="torchserve",
        inference_url=steady.inference_url,
        grpc_target=steady.grpc_target,
        key_file=steady.key_file,
        logs=steady.state / "logs",
        worker_pids=worker_pids,
    )


@contextmanager
def ray_engine(archive: Path, folder: Path) -> Iterator[Engine]:
    """Run `headswap cluster serve` with the archive, on this machine alone; end it with TERM."""
    http_port, grpc_port = free_ports(2)
    key_file, logs = folder / "key_file.json", folder / "logs"
    command = [
        sys.executable, "-m", "headswap", "cluster", "serve", str(archive),
        f"--http-port={http_port}", f"--grpc-port={grpc_port}", f"--token-file={key_file}",
        f"--min-replicas={REPLICAS}", f"--max-replicas={REPLICAS}", f"--logs={logs}",
    ]  # fmt: skip
    output = folder / "output.txt"
    with output.open("wb") as file:
        process = subprocess.Popen(
            command,
            stdout=file,
            stderr=subprocess.STDOUT,
            env={**os.environ, "HEADSWAP_CACHE": str(folder / "cache")},
        )
    engine = Engine(
        name="ray",
        inference_url=f"http://127.0.0.1:{http_port}",
        grpc_target=f"127.0.0.1:{grpc_port}",
        key_file=key_file,
        logs=logs,
        worker_pids=lambda: replica_pids(process.pid),
    )
    try:
        wait_until_served(engine, process, output)
        yield engine
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
    assert process.returncode == 0, output.read_text()[-2000:]


def wait_until_served(engine: Engine, process: subprocess.Popen[bytes], output: Path) -> None:
    """Return once all replicas run, and a request without a photo gets the handler's own answer."""
    deadline = time.monotonic() + START_LIMIT_S
    while not (_is_served(engine) and len(engine.worker_pids()) == REPLICAS):
        assert process.poll() is None, output.read_text()[-2000:]
        assert time.monotonic() < deadline, output.read_text()[-2000:]
        time.sleep(0.2)


def replica_pids(server_pid: int) -> set[int]:
    """Return the processes of the replicas that a local cluster runs for version 1.0."""
    parents = {}
    for child in psutil.Process(server_pid).children(recursive=True):
        try:
            if "ServeReplica:headswap-clothing@1.0" in " ".join(child.cmdline()):
                parents[child.pid] = child.ppid()
        except psutil.NoSuchProcess:
            continue
    # What a replica has just forked has its command line until it runs another program.
    return {pid for pid, parent in parents.items() if parent not in parents}


def _is_served(engine: Engine) -> bool:
    if not engine.key_file.exists():
        return False
    url = f"{engine.inference_url}/predictions/clothing"
    try:
        answer = requests.post(url, headers=engine.authorization(), timeout=5)
    except requests.RequestException:
        return False
    return "empty_body" in answer.text
