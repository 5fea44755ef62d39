"""`headswap cluster`: its arguments, and one sentence where Ray is not installed."""

import ast
import sys
from pathlib import Path

import pytest

from cluster import defaults
from headswap.cli import main, parse
from headswap.commands import find_command
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
