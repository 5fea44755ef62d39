"""Every step of the GPU check, on the CPU and at small sizes: no typing error is left to be found on a GPU's time."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.gpu.records import Record, Records
from benchmarks.gpu.steps import STEPS

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> list[Record]:
    out = tmp_path_factory.mktemp("gpu")
    command = [sys.executable, "-m", "benchmarks.gpu_check", "--dry-run", "cpu", "--out", str(out)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=540
    )
    read = Records(out / "results.jsonl").read()
    assert done.returncode == 0, [record for record in read if "text" in record] + [
        done.stderr[-2000:]
    ]
    assert (out / "table.md").read_text() == done.stdout
    return read


def values(records: list[Record], step: str) -> dict[str, float]:
    return {
        record["figure"]: record["value"]
        for record in records
        if record["step"] == step and "value" in record
    }


def test_every_step_ends_by_itself_with_figures(records: list[Record]) -> None:
    ended = {record["step"]: record["status"] for record in records if "status" in record}
    assert ended == dict.fromkeys(STEPS, "done")
    assert all(values(records, step) for step in STEPS)


def test_the_pipeline_of_the_gpu_agrees_with_the_cpu(records: list[Record]) -> None:
    figures = values(records, "agreement")
    differences = [
        value for name, value in figures.items() if "difference of a probability" in name
    ]
    assert len(differences) == 9
    assert max(differences) < 0.02
    assert figures["resnet18: CUDA graph, largest difference from no graph"] < 1e-6


def test_both_transports_answer_alike_and_a_broken_worker_is_replaced(
    records: list[Record],
) -> None:
    missed = [
        record
        for record in records
        if record["step"] == "server" and not record.get("is_met", True)
    ]
    assert not missed
    assert any(
        "nvJPEG" in record.get("text", "") for record in records if record["step"] == "server"
    )


def test_all_three_servers_answer_requests(records: list[Record]) -> None:
    figures = values(records, "throughput")
    speeds = {name: value for name, value in figures.items() if name.endswith("2 connections")}
    assert len(speeds) == 3
    assert all(speed > 0 for speed in speeds.values())
    assert [value for name, value in figures.items() if "headswap over" in name]


def test_a_batch_that_does_not_fit_is_halved_and_answered(records: list[Record]) -> None:
    figures = values(records, "memory")
    assert figures["times it halved a batch"] >= 3
    assert figures["largest difference from small batches"] < 1e-5


def test_torchrun_trains_what_a_plain_run_does(records: list[Record]) -> None:
    assert set(values(records, "torchrun").values()) == {0.0}
