"""What `headswap status` shows: live, kept and loaded versions, with what the handler has counted of each."""

from pathlib import Path

from serving.rollout.promotion import promote
from serving.rollout.status import read_status
from tests.unit.serving.rollout.helpers import FakeSession, FakeTorchServe, quiet

LABELS = 'model="tiny",version="2.0"'
PAGE = f"""# TYPE handler_predictions_total counter
handler_predictions_total{{{LABELS}}} 7
# TYPE handler_errors_total counter
handler_errors_total{{{LABELS},code="internal"}} 2
handler_errors_total{{{LABELS},code="empty_body"}} 1
"""


def test_each_version_has_its_state_its_workers_and_its_counts(
    server: FakeTorchServe, session: FakeSession, archives: dict[str, Path]
) -> None:
    promote(session, archives["2.0"], report=quiet)
    server.loaded.add("0.9")
    server.metrics = [PAGE]
    rows = read_status(session)
    assert [(row.version, row.state) for row in rows] == [
        ("2.0", "live"), ("1.0", "kept"), ("0.9", "loaded"),
    ]  # fmt: skip
    assert (rows[0].ready_workers, rows[0].workers) == (1, 1)
    assert (rows[0].requests, rows[0].errors, rows[0].faults) == (10, 3, 2)
    assert rows[0].why == f"promoted from {archives['2.0']}"
    assert (rows[2].requests, rows[2].p99_ms, rows[2].sha256) == (0, None, "")


def test_a_kept_version_that_is_not_loaded_has_no_workers(
    server: FakeTorchServe, session: FakeSession, archives: dict[str, Path]
) -> None:
    promote(session, archives["2.0"], report=quiet)
    server.loaded.discard("1.0")
    (row,) = (row for row in read_status(session) if row.version == "1.0")
    assert (row.state, row.ready_workers, row.workers) == ("kept", 0, 0)


def test_an_archive_that_is_gone_is_said_though_its_version_is_still_loaded(
    server: FakeTorchServe, session: FakeSession, archives: dict[str, Path]
) -> None:
    promote(session, archives["2.0"], report=quiet)
    assert [row.problem for row in read_status(session)] == ["", ""]
    kept = session.settings.model_store / "tiny-1.0.mar"
    kept.unlink()
    live, gone = read_status(session)
    assert (live.problem, gone.version, gone.ready_workers) == ("", "1.0", 1)
    assert "live.json names tiny-1.0.mar as tiny 1.0" in gone.problem
    assert f"there is no archive {kept}" in gone.problem
