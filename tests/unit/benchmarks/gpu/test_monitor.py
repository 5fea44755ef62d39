"""nvidia-smi's samples are averaged by column."""

import pytest

from benchmarks.gpu.monitor import GpuMonitor, parse_dmon

DMON = """# gpu     sm    mem    enc    dec    jpg    ofa     fb   bar1   ccpm
# Idx      %      %      %      %      %      %     MB     MB     MB
    0     90     40      0      0     12      -   5210      3      0
    0    100     44      0      0     14      -   5212      3      0
"""


def test_columns_are_averaged_and_dashes_left_out() -> None:
    means = parse_dmon(DMON)
    assert (means["sm"], means["jpg"], means["fb"]) == (95.0, 13.0, 5211.0)
    assert "ofa" not in means


@pytest.mark.parametrize(
    "text", ["", "# gpu sm\n", "Unable to determine the device handle\n", "0 1 2\n"]
)
def test_nothing_measured_is_no_error(text: str) -> None:
    assert parse_dmon(text) == {}


def test_the_program_runs_beside_the_block_and_is_ended(tmp_path, monkeypatch) -> None:
    program = tmp_path / "nvidia-smi"
    started = tmp_path / "started"
    program.write_text(f"#!/bin/sh\ncat <<'END'\n{DMON}END\ntouch {started}\nexec sleep 60\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with GpuMonitor() as gpu:
        while not started.exists():
            pass
    assert gpu.means["sm"] == 95.0


def test_without_the_program_there_are_no_figures(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with GpuMonitor() as gpu:
        pass
    assert gpu.means == {}
