"""Markers from folders (tests/unit is `unit`), and no skips in continuous integration (CI=true)."""

import os
from collections.abc import Generator
from pathlib import Path

import hypothesis
import pytest

# Before torch is imported, as the command line does it: threads that spin while they wait take the
# cores from the servers and processes that tests start.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# Before ray is imported, as the package `cluster` does it.
os.environ.setdefault("RAY_ENABLE_AUTO_CONNECT", "0")

# Examples have no time limit of their own: on a busy machine any of them may take long.
hypothesis.settings.register_profile("headswap", deadline=None)
hypothesis.settings.load_profile("headswap")

TESTS = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        item.add_marker(item.path.relative_to(TESTS).parts[0])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail what is skipped in continuous integration: a test that never runs there proves nothing."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and os.environ.get("CI") == "true":
        report.outcome = "failed"
        report.longrepr = (
            f"{item.nodeid} was skipped, and with CI=true nothing may be: {report.longrepr}"
        )
    return report
