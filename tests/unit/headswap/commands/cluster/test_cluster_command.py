"""`headswap cluster`: its arguments, and one sentence where Ray is not installed."""

import ast
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cluster import defaults
from headswap.cli import main, parse
from headswap.commands import find_command
from headswap.errors import INTERRUPTED
from tests.unit.test_architecture import PACKAGES, ROOT, source_files


def test_the_defaults_are_those_of_the_cluster() -> None:
    command = parse(find_command("cluster"), ["serve", "a.mar"])
    assert (command.listen, command.http_port, command.grpc_port) == (
        defaults.LISTEN, defaults.HTTP_PORT, defaults.GRPC_PORT,
    )  # fmt: skip
    assert (command.archives, command.address) == ((Path("a.mar"),), None)


@pytest.mark.parametrize("arguments", [["serve", "a.mar"], ["stop"]])
def test_without_ray_one_sentence_says_how_to_get_it(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [n for n in sys.modules if n.split(".")[0] in ("cluster", "ray")]:
        monkeypatch.delitem(sys.modules, name)
    # As where it is not installed.
    monkeypatch.setitem(sys.modules, "ray", None)
    assert main(["cluster", *arguments]) == 2
    output = capsys.readouterr().err
    assert (
        output
        == "headswap: headswap cluster needs the package 'ray': pip install 'headswap[host,ray]'.\n"
    )


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "no archive was given"),
        (["a.mar", "--certificate", "a.pem"], "TLS needs both"),
        (["a.mar", "--min-replicas", "0"], "--min-replicas must be 1 or more, not 0"),
        (["a.mar", "--min-replicas", "3", "--max-replicas", "2"], "must be 0 or at least --min-replicas, 3"),
        (["a.mar", "--cpus-per-replica", "-1"], "--cpus-per-replica must be above 0"),
        (["missing.mar"], "there is no archive"),
    ],
)  # fmt: skip
def test_wrong_arguments_are_one_sentence_before_ray_starts(
    arguments: list[str],
    sentence: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("cluster.application.connected", None)
    assert main(["cluster", "serve", *arguments]) == 2
    output = capsys.readouterr().err
    assert sentence in output
    assert output.count("\n") == 1


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return what the command does, in its order, in place of doing it."""
    done: list[str] = []

    @contextmanager
    def connected(address: str, *, has_tls: bool = False) -> Iterator[None]:
        done.append(f"connected to {address}")
        yield
        done.append("disconnected")

    archive = SimpleNamespace(name="m", version="1.0")
    monkeypatch.setattr("serving.archive.reader.read_archive", lambda path: archive)
    monkeypatch.setattr("serving.rollout.trust.Trust.accept", lambda trust, archive: archive)
    monkeypatch.setattr("headswap.commands.cluster.cluster._options", lambda command: None)
    monkeypatch.setattr("cluster.application.connected", connected)
    monkeypatch.setattr("cluster.application.start", lambda *_, **__: done.append("started"))
    monkeypatch.setattr("cluster.application.stop", lambda: done.append("stopped"))
    return done


def test_without_an_address_it_serves_until_term(
    steps: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: os.kill(os.getpid(), signal.SIGTERM))
    assert main(["cluster", "serve", "m-1.0.mar"]) == 0
    assert steps == ["connected to local", "started", "stopped", "disconnected"]


def test_with_an_address_the_cluster_goes_on(steps: list[str]) -> None:
    assert main(["cluster", "serve", "m-1.0.mar", "--address", "auto"]) == 0
    assert main(["cluster", "stop"]) == 0
    assert steps == [
        "connected to auto", "started", "disconnected", "connected to auto", "stopped", "disconnected",
    ]  # fmt: skip


def test_term_while_it_starts_ends_it(
    steps: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def start(*_: Any, **__: Any) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr("cluster.application.start", start)
    before = signal.getsignal(signal.SIGTERM)
    assert main(["cluster", "serve", "m-1.0.mar"]) == INTERRUPTED
    assert signal.getsignal(signal.SIGTERM) == before
    assert steps == ["connected to local"]


def test_nothing_but_the_cluster_imports_ray() -> None:
    importers = {
        str(file.relative_to(ROOT))
        for package in PACKAGES - {"cluster"}
        for file in source_files(package)
        for node in ast.walk(ast.parse(file.read_text()))
        if "ray" in _imported(node)
    }
    assert importers == set()


def _imported(node: ast.AST) -> set[str]:
    if isinstance(node, ast.Import):
        return {alias.name.split(".")[0] for alias in node.names}
    if isinstance(node, ast.ImportFrom):
        return {(node.module or "").split(".")[0]}
    return set()
