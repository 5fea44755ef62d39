"""With CI=true a skipped test is a failure."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).parents[1] / "conftest.py"
TESTS = """
import pytest

@pytest.mark.skip(reason="a program is missing")
def test_skipped():
    pass

@pytest.mark.skipif(True, reason="another program is missing")
def test_skipped_by_condition():
    pass

def test_skipped_inside():
    pytest.skip("not on this machine")

@pytest.mark.xfail
def test_expected_to_fail():
    assert False
"""


@pytest.mark.parametrize(
    ("ci", "outcome"), [("true", "1 failed, 1 xfailed, 2 errors"), ("", "3 skipped, 1 xfailed")]
)
def test_a_skip_is_a_failure_in_continuous_integration(
    tmp_path: Path, ci: str, outcome: str
) -> None:
    folder = tmp_path / "unit"
    folder.mkdir()
    (tmp_path / "conftest.py").write_text(CONFTEST.read_text())
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = unit\n")
    (folder / "test_some.py").write_text(TESTS)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", str(folder)],
        cwd=tmp_path, env=os.environ | {"CI": ci}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert outcome in done.stdout
