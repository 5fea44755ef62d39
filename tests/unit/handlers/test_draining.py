"""A worker that finds the drain marker rejects requests and acknowledges the marker."""

from pathlib import Path

import pytest

from handlers.contract import DRAIN_MARKER_FILE, SERVER_STOPPING, VERSION_RETIRED, drain_ack_file
from handlers.draining import DrainMarker


def test_without_a_marker_it_serves(tmp_path: Path) -> None:
    assert DrainMarker(tmp_path, worker_pid=7).rejection() is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("reason", "status"), [(VERSION_RETIRED, 404), (SERVER_STOPPING, 503)])
def test_the_marker_gives_the_reason_and_is_acknowledged(
    tmp_path: Path, reason: str, status: int
) -> None:
    (tmp_path / DRAIN_MARKER_FILE).write_text(reason)
    rejection = DrainMarker(tmp_path, worker_pid=7).rejection()
    assert rejection is not None
    assert (rejection.code, rejection.status) == (reason, status)
    assert (tmp_path / drain_ack_file(7)).exists()


def test_a_marker_without_a_known_reason_still_rejects(tmp_path: Path) -> None:
    (tmp_path / DRAIN_MARKER_FILE).write_text("")
    rejection = DrainMarker(tmp_path, worker_pid=7).rejection()
    assert rejection is not None
    assert rejection.status == 404
