"""Every test's marker is the folder it lies in: tests/unit, tests/integration, tests/e2e."""

import os
from pathlib import Path

import hypothesis
import pytest

# Before torch is imported, as the command line does it: threads that spin while they wait take the
# cores from the servers and processes that tests start.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# Examples have no time limit of their own: on a busy machine any of them may take long.
hypothesis.settings.register_profile("headswap", deadline=None)
hypothesis.settings.load_profile("headswap")

TESTS = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        item.add_marker(item.path.relative_to(TESTS).parts[0])
