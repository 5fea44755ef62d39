"""A step that crashes or hangs does not take the rest with it, nor leave processes behind."""

import sys
import time
from pathlib import Path

import psutil
import pytest

from benchmarks.gpu.context import Context
from benchmarks.gpu.runner import run_steps
from benchmarks.gpu.steps import STEPS, TOTAL_LIMIT_S, Step

WRITE = (
    "import json, pathlib, sys; out = json.loads(pathlib.Path(sys.argv[1]).read_text())['out'];"
    "file = open(out + '/results.jsonl', 'a');"
    "file.write(json.dumps({'step': 'x', 'figure': 'speed', 'value': 1.0, 'unit': ''}) + '\\n'); file.flush();"
)


@pytest.fixture
def context(tmp_path: Path) -> Context:
    return Context(device="cpu", is_dry_run=True, archives=tmp_path, out=tmp_path / "out")


def python(code: str, limit_s: float = 20) -> Step:
    return Step(title="a step", limit_s=limit_s, command=[sys.executable, "-c", code])


def statuses(context: Context) -> dict[str, str]:
    return {
        record["step"]: record["status"]
        for record in context.records().read()
        if "status" in record
    }


def test_the_steps_after_a_crash_and_a_hang_are_run(context: Context) -> None:
    steps = {
        "crashing": python("raise SystemExit('out of luck')"),
        "hanging": python(WRITE + "import time; time.sleep(60)", limit_s=0.4),
        "killed": python("import os; os.kill(os.getpid(), 9)"),
        "good": python(WRITE),
    }
    assert not run_steps(steps, context, limit_s=60)
    assert statuses(context) == {
        "crashing": "failed with exit code 1",
        "hanging": "stopped after 0 s",
        "killed": "failed with exit code -9",
        "good": "done",
    }
    records = context.records().read()
    assert [record for record in records if record.get("text") == ["out of luck"]]
    # What the hanging step had written before is kept.
    assert sum("value" in record for record in records) == 2


def test_a_hanging_step_leaves_no_server_behind(context: Context) -> None:
    pid_file = context.out / "pid"
    code = (
        "import pathlib, subprocess, sys, time;"
        "server = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'], start_new_session=True);"
        f"pathlib.Path({str(pid_file)!r}).write_text(str(server.pid)); time.sleep(60)"
    )
    run_steps({"server": python(code, limit_s=1)}, context, limit_s=60)
    pid = int(pid_file.read_text())
    deadline = time.monotonic() + 10
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_no_step_is_started_after_the_time_of_all_is_up(context: Context) -> None:
    steps = {"long": python("import time; time.sleep(60)"), "late": python("pass")}
    assert not run_steps(steps, context, limit_s=0.3)
    assert statuses(context)["late"] == "not started: the time was up"


def test_the_figures_of_an_earlier_run_are_gone(context: Context) -> None:
    assert run_steps({"first": python(WRITE)}, context, limit_s=60)
    assert run_steps({"second": python("pass")}, context, limit_s=60)
    assert list(statuses(context)) == ["second"]
    assert not any("value" in record for record in context.records().read())


def test_all_steps_together_take_at_most_nine_minutes() -> None:
    assert sum(step.limit_s for step in STEPS.values()) <= TOTAL_LIMIT_S == 9 * 60
