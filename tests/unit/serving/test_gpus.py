"""CUDA_VISIBLE_DEVICES as TorchServe's frontend and its workers need it, and how many GPUs there are."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers import entry
from serving import gpus
from serving.errors import GpuNameError
from serving.gpus import count_gpus, read_visible_gpus
from serving.settings import load_settings

UUID = "GPU-2b4d0a4e-8c1f-4a57-9a53-4f0f0a6a1c11"
OTHER = "GPU-9f0e7c52-1111-4a57-9a53-4f0f0a6a1c11"
MIG = "MIG-4f0f0a6a-8c1f-4a57-9a53-2b4d0a4e1c11"


def read(value):
    return read_visible_gpus({gpus.VISIBLE: value})


def test_without_the_variable_nothing_is_set():
    visible = read_visible_gpus({"PATH": "/bin"})
    assert (visible.environment, visible.number_of_gpu) == ({}, None)


@pytest.mark.parametrize(
    ("value", "numbers", "count"),
    [("0", "0", 1), ("3,1", "3,1", 2), ("0, 2", "0,2", 2), ("1,-1,2", "1", 1)],
)
def test_numbers_are_kept_without_the_spaces_that_end_torchserve(value, numbers, count):
    visible = read(value)
    assert visible.environment == {gpus.VISIBLE: numbers}
    assert visible.number_of_gpu == count


@pytest.mark.parametrize("value", ["", "-1", " ", "NoDevFiles"])
def test_an_empty_value_means_no_gpu_and_not_all_of_them(value):
    assert read(value).number_of_gpu == 0


@pytest.mark.parametrize(
    ("value", "numbers"),
    [(UUID, "0"), (f"{UUID},{OTHER}", "0,1"), (MIG, "0"), (f"3,{UUID}", "0,1")],
)
def test_names_become_numbers_for_java_and_are_kept_for_the_workers(value, numbers):
    visible = read(value)
    assert visible.environment == {gpus.VISIBLE: numbers, gpus.NAMES_FOR_WORKERS: value}
    assert visible.number_of_gpu == len(value.split(","))


def test_two_mig_instances_are_rejected_because_cuda_would_use_only_the_first():
    with pytest.raises(GpuNameError, match="one server per instance"):
        read(f"{MIG},{MIG[:-1]}2")


@pytest.mark.parametrize("value", ["all", "0,cuda:1", "0;1", "²"])
def test_anything_else_is_rejected_by_name(value):
    with pytest.raises(GpuNameError, match=r"is not a GPU\. Give numbers"):
        read(value)
    assert GpuNameError.exit_code == 2


@given(st.text(max_size=30))
def test_java_gets_numbers_or_nothing_whatever_the_variable_holds(value):
    try:
        visible = read(value)
    except GpuNameError:
        return
    numbers = visible.environment[gpus.VISIBLE]
    assert numbers == "" or re.fullmatch(r"[0-9]+(,[0-9]+)*", numbers)
    assert visible.number_of_gpu == len([number for number in numbers.split(",") if number])


def test_the_worker_gets_the_names_back():
    environment = dict(read(f"{UUID},{OTHER}").environment)
    entry.restore_gpu_names(environment)
    assert environment[gpus.VISIBLE] == f"{UUID},{OTHER}"


def test_the_worker_keeps_numbers():
    environment = {gpus.VISIBLE: "3,1"}
    entry.restore_gpu_names(environment)
    assert environment == {gpus.VISIBLE: "3,1"}


def fake_nvidia_smi(folder, script):
    """Return an environment whose nvidia-smi is the script."""
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return {"PATH": str(folder)}


@pytest.mark.parametrize(
    ("listed", "count"),
    [
        ("GPU 0: NVIDIA L4 (UUID: GPU-1)\nGPU 1: NVIDIA L4 (UUID: GPU-2)", 2),
        ("GPU 0: NVIDIA H100 (UUID: GPU-1)\n  MIG 1g.10gb Device 0: (UUID: MIG-1)", 1),
        ("No devices found.", 0),
    ],
)
def test_without_the_variable_nvidia_smi_counts(tmp_path, listed, count):
    environment = fake_nvidia_smi(tmp_path, f'[ "$1" = --list-gpus ] && printf "%s\\n" "{listed}"')
    assert count_gpus(environment) == count
    assert count_gpus(environment | {gpus.VISIBLE: UUID}) == 1
    assert count_gpus(environment | {gpus.VISIBLE: ""}) == 0


def test_without_a_driver_there_is_no_gpu(tmp_path):
    assert count_gpus({"PATH": str(tmp_path)}) == 0
    assert count_gpus(fake_nvidia_smi(tmp_path, "echo 'GPU 0: broken'; exit 9")) == 0


def test_a_gpu_host_gets_one_worker_per_gpu_instead_of_per_core(tmp_path, monkeypatch):
    monkeypatch.delenv(gpus.VISIBLE, raising=False)
    environment = fake_nvidia_smi(tmp_path, "echo 'GPU 0: NVIDIA L4 (UUID: GPU-1)'")
    monkeypatch.setenv("PATH", environment["PATH"])
    config = Path(__file__).parents[3] / "config.properties"
    settings = load_settings(config=config, model_store=tmp_path, state=tmp_path)
    assert settings.worker_count == 1
    assert "default_workers_per_model=1\n" in settings.render("")
