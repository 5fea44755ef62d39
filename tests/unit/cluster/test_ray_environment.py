"""The environment that Ray is started in: what an administrator has set counts, and nothing stays behind."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cluster import ray_environment
from cluster.ray_environment import PROCESSES, environment_of_local_ray

HAPROXY = "RAY_SERVE_ENABLE_HA_PROXY"
NICENESS = "RAY_worker_niceness"


def test_what_is_set_counts_and_the_rest_ends_with_the_block(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(NICENESS, "5")
    before = dict(os.environ)
    with environment_of_local_ray(has_tls=False):
        assert os.environ[NICENESS] == "5"
        assert os.environ.items() >= {**PROCESSES, NICENESS: "5"}.items()
        folder = Path(os.environ["RAY_SERVE_HAPROXY_SOCKET_PATH"]).parent
        # The socket takes commands from whoever can open it.
        assert folder.stat().st_mode & 0o777 == 0o700
    assert dict(os.environ) == before
    assert not folder.exists()


def test_https_is_left_to_the_proxies_that_have_it() -> None:
    with environment_of_local_ray(has_tls=True):
        assert HAPROXY not in os.environ


def test_two_on_a_machine_want_different_ports() -> None:
    ports = set()
    for _ in range(2):
        with environment_of_local_ray(has_tls=False):
            ports |= {value for name, value in os.environ.items() if name.endswith("_PORT")}
    assert len(ports) >= 8


def test_haproxy_runs_through_the_script_and_without_setpriv_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with environment_of_local_ray(has_tls=False):
        said = subprocess.run(
            [os.environ["RAY_SERVE_HAPROXY_BINARY_PATH"], "-v"], capture_output=True, text=True
        )
    assert "HAProxy version" in said.stdout
    monkeypatch.setattr(ray_environment.shutil, "which", lambda _: None)
    with environment_of_local_ray(has_tls=False):
        assert os.environ["RAY_SERVE_HAPROXY_BINARY_PATH"].endswith("bin/haproxy")


def test_a_thread_that_outlives_the_connection_does_not_start_ray_anew() -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    code = "import cluster.application, ray; ray.get_actor('any')"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "Ray has not been started yet" in done.stderr.splitlines()[-1]
