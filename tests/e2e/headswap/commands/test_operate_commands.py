"""Every command of docs/operate.md, in its order, against servers that the page itself starts.

Changed is only what a test must change: ports, HOST, the seconds of a watch, and the token that `...` stands for.
"""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from headswap.cli import parse
from headswap.commands import find_command

ROOT = Path(__file__).parents[4]
KUBERNETES = ROOT / "deploy" / "kubernetes"
GUIDE = (ROOT / "docs" / "operate.md").read_text()
DEADLINE_S = 180.0
# What cannot run here, and what is done instead.
ELSEWHERE = {
    "docker compose": "needs Docker; held against compose.yaml, and tests/image runs the image",
    "kubectl": "needs a cluster; held against deploy/kubernetes",
    "torchrun": "needs several GPUs or hosts; tests/integration/training runs two processes",
    "nvidia-smi": "needs a GPU; its arguments are compared with those NVIDIA documents",
    "make": "needs a package index, or is this very run; make is asked whether it has the target",
    "headswap tune": "takes eight minutes; test_tune.py runs it shorter, an archive's own settings stand in",
    "headswap cluster": "needs Ray; tests/e2e/headswap/serving and cluster run it",
    "headswap promote clothing-2.0.mar --cluster": "needs Ray; tests/e2e/headswap/cluster promotes",
    "headswap status --cluster": "needs Ray; tests/e2e/headswap/cluster shows it",
    "headswap predict photos/ --address": "needs the same cluster",
    "headswap export": "needs a trained run; test_served_int8.py exports one in 8 bits and serves it",
    "headswap serve --capture": "keeps photos for the next two",
    "headswap review": "needs captured photos, which test_improve.py has",
    "headswap improve": "needs labels and the live version's run; test_improve.py goes through the whole loop",
    "headswap predict photo.jpg --address https": "needs the certificate's server, which test_tls.py has",
}
SHORTER = {"--bake 60": "--bake 2", "--seconds 60": "--seconds 4", "--shadow 50": "--shadow 4"}
COMPOSE_COMMANDS = {"create", "cp", "up", "restart", "stop"}
TORCHRUN_FLAGS = {"--nnodes", "--nproc-per-node", "--rdzv-backend", "--rdzv-id", "--rdzv-endpoint"}
SMI_FIELDS = {"index", "name", "utilization.gpu", "memory.used"}


def guide_commands() -> list[str]:
    blocks = re.findall(r"^```(\w*)\n(.*?)^```", GUIDE, re.DOTALL | re.MULTILINE)
    assert {language for language, _ in blocks} == {"sh"}
    return [line for _, block in blocks for line in block.replace("\\\n", "").splitlines()]


def reason_of(command: str) -> str | None:
    return next((why for start, why in ELSEWHERE.items() if command.startswith(start)), None)


COMMANDS_ELSEWHERE = [command for command in guide_commands() if reason_of(command)]


class Shell:
    """An operator's shell: a folder with the configuration, archives and photos, and the servers started in it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        config = (home / "config.properties").read_text()
        self.ports = re.findall(
            r"^(?:inference_address|metrics_address)=http://\S+:(\d+)$", config, re.M
        )
        self.servers: list[subprocess.Popen[bytes]] = []
        self.environment = {
            **os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        }  # fmt: skip

    def try_once(self, command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, shell=True, cwd=self.home, env=self.environment, capture_output=True, text=True,
            timeout=DEADLINE_S, check=False,
        )  # fmt: skip

    def run(self, command: str, *, until_it_works: bool = False) -> str:
        deadline = time.monotonic() + DEADLINE_S
        while (result := self.try_once(command)).returncode != 0:
            assert until_it_works, (command, result.stdout, result.stderr)
            assert time.monotonic() < deadline, (command, result.stderr)
            assert all(server.poll() is None for server in self.servers), result.stderr
        return result.stdout

    def serve(self, command: str) -> None:
        argv = shlex.split(command.removesuffix("&"))
        if "--state" not in argv:
            self.stop()
        self.servers.append(subprocess.Popen(argv, cwd=self.home, env=self.environment))

    def stop(self) -> None:
        """End the servers as an operator would, and hold them to exit code 0."""
        while self.servers:
            server = self.servers.pop()
            server.send_signal(signal.SIGTERM)
            assert server.wait(DEADLINE_S) == 0


@pytest.fixture
def shell(
    tmp_path: Path,
    config_writer: Callable[[Path], Path],
    archives: dict[str, Path],
    runs: dict[str, Path],
    photos: list[bytes],
) -> Iterator[Shell]:
    from training.export.archive import export_archive

    for name in ("config.properties", "upgrade.properties"):
        path = config_writer(tmp_path / name)
        path.write_text(path.read_text() + "default_workers_per_model=1\n")
    (tmp_path / "model_store").mkdir()
    shutil.copyfile(archives["1.0"], tmp_path / "clothing-1.0.mar")
    # The same network, so that the gate on ten photos says nothing of luck.
    export_archive(
        runs["1.0"], name="clothing", version="2.0", model_store=tmp_path / "model_store"
    )
    with zipfile.ZipFile(archives["1.0"]) as archive:
        archive.extract("model-config.yaml", tmp_path / "runs" / "tune")
    (tmp_path / "photo.jpg").write_bytes(photos[0])
    for folder in (ROOT / "sample_data" / "clothing" / "test").iterdir():
        target = tmp_path / "photos" / "test" / folder.name
        target.mkdir(parents=True)
        for photo in sorted(folder.glob("*.jpg"))[:2]:
            shutil.copyfile(photo, target / photo.name)
    shell = Shell(tmp_path)
    yield shell
    for server in shell.servers:
        server.kill()
        server.wait()


def adapt(command: str, shell: Shell) -> str:
    inference, metrics = shell.ports
    changes = {
        ":8080": f":{inference}",
        ":8082": f":{metrics}",
        "HOST": "127.0.0.1",
        "DNS:127.0.0.1": "IP:127.0.0.1",
        "HEADSWAP_TOKEN=...": 'HEADSWAP_TOKEN="$(headswap token)"',
        **SHORTER,
    }
    for written, tested in changes.items():
        command = command.replace(written, tested)
    return command


@pytest.mark.timeout(600)
def test_the_commands_of_the_guide_work_in_order(shell: Shell) -> None:
    for written in guide_commands():
        if reason_of(written):
            continue
        command = adapt(written, shell)
        if command.startswith("headswap serve"):
            shell.serve(command)
            if "--state" not in command:
                shell.run("headswap ready", until_it_works=True)
            continue
        if command.startswith("headswap promote"):
            make_promotable(shell)
        output = shell.run(command, until_it_works=command.startswith(("headswap ready", "grep")))
        if "/predictions/" in command:
            assert '"predictions"' in output
        if command.endswith("/metrics"):
            assert "handler_predictions_total" in output
        if command.endswith("answers.csv"):
            assert (shell.home / "answers.csv").read_text().count("\n") > 10
    shell.stop()


def make_promotable(shell: Shell) -> None:
    """Roll back if 2.0 is live, so that it can be promoted; its refusal before that is a failure for the log."""
    rows = json.loads(shell.run("headswap status --json"))["versions"]
    if ("2.0", "live") in [(row["version"], row["state"]) for row in rows]:
        assert shell.try_once("headswap promote model_store/clothing-2.0.mar").returncode == 2
        shell.run("headswap rollback")


@pytest.mark.parametrize("command", COMMANDS_ELSEWHERE)
def test_commands_for_other_machines_name_what_exists(command: str) -> None:
    program = shlex.split(command)[0]
    CHECKS[program](shlex.split(command))


def check_compose(argv: list[str]) -> None:
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text())
    flag, profile, subcommand, *rest = argv[2:]
    assert flag == "--profile"
    assert subcommand in COMPOSE_COMMANDS
    services = [
        name
        for name, service in compose["services"].items()
        if profile in service.get("profiles", [])
    ]
    assert services
    if subcommand == "cp":
        service, _, folder = rest[1].partition(":")
        assert service in services
        mounts = [volume.split(":")[1] for volume in compose["services"][service]["volumes"]]
        assert folder.rstrip("/") in mounts
    else:
        assert set(rest) <= {"--build", "--detach"}


def check_kubectl(argv: list[str]) -> None:
    namespace = read("namespace/namespace.yaml")["metadata"]["name"]
    argv = argv[1:]
    if argv[0] == "-n":
        assert argv[1] == namespace
        argv = argv[2:]
    else:
        # Kustomizations name their namespace.
        assert argv[:2] == ["apply", "-k"]
    KUBECTL_CHECKS[argv[0]](argv[1:])


def read(name: str) -> Any:
    return yaml.safe_load((KUBERNETES / name).read_text())


def check_apply(argv: list[str]) -> None:
    for flag, path in zip(argv[::2], argv[1::2], strict=True):
        assert flag in ("-k", "-f")
        assert (ROOT / path / "kustomization.yaml" if flag == "-k" else ROOT / path).is_file()


def check_copy(argv: list[str]) -> None:
    loader = read("loader/pod.yaml")
    pod, _, folder = argv[1].partition(":")
    assert pod == loader["metadata"]["name"]
    (mount,) = loader["spec"]["containers"][0]["volumeMounts"]
    assert folder.rstrip("/") == mount["mountPath"]


def check_loader(argv: list[str]) -> None:
    assert argv[-1] == f"pod/{read('loader/pod.yaml')['metadata']['name']}"
    assert argv[:-1] in ([], ["--for=condition=Ready"])


def check_deployment(argv: list[str]) -> None:
    """`rollout restart`, `rollout status`, `set image`, `exec`: each of an existing deployment and container."""
    deployment = read("base/deployment.yaml")
    assert f"deployment/{deployment['metadata']['name']}" in argv
    containers = [
        container["name"] for container in deployment["spec"]["template"]["spec"]["containers"]
    ]
    if argv[0] == "image":
        assert argv[-1].partition("=")[0] in containers
    elif "--" in argv:
        assert argv[1:4] == ["-c", containers[0], "--"]
        check_headswap(argv[4:])
    else:
        assert argv[0] in ("restart", "status")


def check_secret(argv: list[str]) -> None:
    _, gateway = read("base/deployment.yaml")["spec"]["template"]["spec"]["containers"]
    wanted = gateway["env"][0]["valueFrom"]["secretKeyRef"]
    assert argv[:3] == ["secret", "generic", wanted["name"]]
    assert argv[3].startswith(f"--from-literal={wanted['key']}=")
    if shutil.which("kubectl"):
        # --dry-run=client asks no cluster.
        command = ["kubectl", "create", *argv[:4], "--dry-run=client", "--output=yaml"]
        created = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        assert list(yaml.safe_load(created.stdout)["data"]) == [wanted["key"]]
    assert argv[4:] in (
        [],
        ["--dry-run=client", "--output=yaml", "|", "kubectl", "apply", "-f", "-"],
    )


def check_smi(argv: list[str]) -> None:
    for argument in argv[1:]:
        flag, _, value = argument.partition("=")
        assert flag in ("--query-gpu", "--format")
        assert flag == "--format" or set(value.split(",")) <= SMI_FIELDS


def check_make(argv: list[str]) -> None:
    subprocess.run(["make", "-n", argv[1]], cwd=ROOT, capture_output=True, timeout=60, check=True)


def check_torchrun(argv: list[str]) -> None:
    own, _, trained = " ".join(argv[1:]).partition(" -m headswap ")
    assert set(re.findall(r"--[\w-]+", own)) <= TORCHRUN_FLAGS
    check_headswap(["headswap", *trained.split()])


def check_headswap(argv: list[str]) -> None:
    parse(find_command(argv[1]), argv[2:])


KUBECTL_CHECKS: dict[str, Callable[[list[str]], None]] = {
    "apply": check_apply,
    "cp": check_copy,
    "create": check_secret,
    "delete": check_loader,
    "exec": check_deployment,
    "rollout": check_deployment,
    "set": check_deployment,
    "wait": check_loader,
}
CHECKS: dict[str, Callable[[list[str]], None]] = {
    "docker": check_compose,
    "kubectl": check_kubectl,
    "nvidia-smi": check_smi,
    "make": check_make,
    "headswap": check_headswap,
    "torchrun": check_torchrun,
}
