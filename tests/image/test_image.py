"""The container as a host would run it: no root, no writable root, a real archive, a real TERM."""

import json
import re
import subprocess
import threading
import time
import tomllib
from pathlib import Path

import pytest
import requests

from tests.helpers import free_ports

ROOT = Path(__file__).parents[2]
READY_LIMIT_S = 180
STOP_LIMIT_S = 30
# 3 s when it was measured; a rebuild of the wheels takes minutes.
REBUILD_LIMIT_S = 30
USER_ID = "10001"
REVISION = "under-test"
PHOTO = sorted((ROOT / "sample_data").rglob("*.jpg"))[0]

pytestmark = pytest.mark.timeout(2400)


def podman(*arguments, timeout_s=60):
    return subprocess.run(
        ["podman", "--runtime", "runc", *arguments],
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


def until(condition, limit_s, what):
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        if condition():
            return
    raise AssertionError(f"{what} took longer than {limit_s} s")


def own_ports(text):
    """The project's settings on free ports: the container shares the host's network here."""
    standard = ("8080", "8081", "8082", "7070", "7071")
    ports = dict(zip(standard, map(str, free_ports(len(standard))), strict=True))
    for port, own in ports.items():
        text = re.sub(rf"\b{port}\b", own, text)
    return text, ports["8080"]


@pytest.fixture
def server(image, archive, tmp_path):
    store = tmp_path / "model_store"
    store.mkdir(mode=0o777)
    store.chmod(0o777)
    (store / archive.name).write_bytes(archive.read_bytes())
    config = tmp_path / "config.properties"
    text, port = own_ports((ROOT / "config.properties").read_text())
    config.write_text(text)
    started = podman(
        *("run", "--detach", "--network", "host", "--cap-drop", "ALL"),
        # podman's own writable folders would hide a fourth one of ours.
        *("--read-only", "--read-only-tmpfs=false"),
        *("--ulimit", "nofile=1024:2048", "--ulimit", "nproc=4096:8192"),
        # As compose does: /state is a volume of its own, which starts as the image's folder, owner and all.
        *("--tmpfs", "/tmp", "--volume", "/state"),
        *("--volume", f"{store}:/model_store", "--volume", f"{config}:/app/config.properties:ro"),
        *(image, "serve", "--listen", "127.0.0.1"),
    )
    assert started.returncode == 0, started.stderr
    container = started.stdout.strip()
    try:
        until(lambda: is_ready(container), READY_LIMIT_S, "a correct prediction")
        yield container, port
    finally:
        podman("rm", "--force", "--volumes", "--time", "0", container)


def is_ready(container):
    assert is_running(container), logs_of(container)
    return podman("healthcheck", "run", container).returncode == 0


def logs_of(container):
    logs = podman("logs", container)
    return (logs.stdout + logs.stderr)[-3000:]


def is_running(container):
    return podman("inspect", "--format", "{{.State.Running}}", container).stdout.strip() == "true"


def exit_code(container):
    until(lambda: not is_running(container), STOP_LIMIT_S, "the end of the container")
    return int(podman("inspect", "--format", "{{.State.ExitCode}}", container).stdout)


def test_it_is_no_root_and_cannot_write_its_own_code(server):
    container, _ = server
    assert podman("exec", container, "id", "-u").stdout.strip() == USER_ID
    for folder in ("/app", "/opt/headswap", "/"):
        written = podman("exec", container, "touch", f"{folder}/intruder")
        assert "Read-only file system" in written.stderr
    writable = podman("exec", container, "find", "/", "-xdev", "-writable", "-not", "-type", "l")
    assert set(writable.stdout.split()) == {"/model_store", "/state", "/tmp"}


def test_its_labels_say_what_it_is(image):
    labels = json.loads(podman("inspect", "--format", "{{json .Labels}}", image).stdout)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = {name.removeprefix("org.opencontainers.image."): labels[name] for name in labels}
    assert (named["title"], named["version"]) == (project["name"], project["version"])
    assert named["description"]
    assert named["revision"] == REVISION


def test_term_answers_what_is_under_way_and_exits_0(server):
    container, port = server
    url = f"http://127.0.0.1:{port}/predictions/clothing"
    token = podman("exec", container, "headswap", "token").stdout.strip()
    outcomes = []

    def ask():
        body = PHOTO.read_bytes()
        deadline = time.monotonic() + READY_LIMIT_S
        while time.monotonic() < deadline:
            try:
                answer = requests.post(
                    url,
                    data=body,
                    headers={"Authorization": f"Bearer {token}"},
                    timeout=STOP_LIMIT_S,
                )
            except requests.ConnectionError as error:
                # A refused connection is not a loss: nothing was accepted. Anything else is a request cut off.
                outcomes.append("refused" if "refused" in str(error) else repr(error))
                return
            outcomes.append(answer.status_code)

    askers = [threading.Thread(target=ask) for _ in range(4)]
    for asker in askers:
        asker.start()
    until(lambda: outcomes.count(200) >= 20, 60, "twenty answers")
    began = time.monotonic()
    podman("kill", "--signal", "TERM", container)
    assert exit_code(container) == 0
    assert time.monotonic() - began < STOP_LIMIT_S
    for asker in askers:
        asker.join(STOP_LIMIT_S)
    assert set(outcomes) <= {200, "refused"}


def test_the_death_of_java_is_the_death_of_the_container(server):
    container, _ = server
    kill_java = (
        "import os, pathlib, signal\n"
        "for path in pathlib.Path('/proc').glob('[0-9]*/comm'):\n"
        "    if path.read_text().strip() == 'java':\n"
        "        os.kill(int(path.parent.name), signal.SIGKILL)\n"
    )
    assert podman("exec", container, "python3", "-c", kill_java).returncode == 0
    assert exit_code(container) != 0


def test_a_change_of_the_code_rebuilds_in_seconds(image, build, context):
    changed = context / "handlers" / "__init__.py"
    changed.write_text(changed.read_text() + "\n# changed\n")
    began = time.monotonic()
    build(context)
    assert time.monotonic() - began < REBUILD_LIMIT_S
