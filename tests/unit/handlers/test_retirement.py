"""A worker that finds the note turns requests away and signs."""

from pathlib import Path

import pytest

from handlers import retirement as handler_side
from handlers.retirement import Retirement
from serving.rollout import drain as server_side


def test_without_a_note_it_serves(tmp_path: Path) -> None:
    assert Retirement(tmp_path, worker_id=7).refusal() is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("reason", "status"), [(server_side.RETIRED, 404), (server_side.STOPPING, 503)]
)
def test_the_note_says_how_to_turn_away_and_is_signed(
    tmp_path: Path, reason: str, status: int
) -> None:
    (tmp_path / server_side.NOTE).write_text(reason)
    refusal = Retirement(tmp_path, worker_id=7).refusal()
    assert refusal is not None
    assert (refusal.code, refusal.status) == (reason, status)
    assert server_side._unsigned(tmp_path, []) == []
    assert (tmp_path / f"{server_side.NOTE}.7").exists()


def test_a_note_of_another_time_still_turns_away(tmp_path: Path) -> None:
    (tmp_path / handler_side.NOTE).write_text("")
    refusal = Retirement(tmp_path, worker_id=7).refusal()
    assert refusal is not None
    assert refusal.status == 404


def test_both_sides_mean_the_same_file() -> None:
    assert handler_side.NOTE == server_side.NOTE
