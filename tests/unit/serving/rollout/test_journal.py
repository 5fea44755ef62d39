"""A promotion that has begun is on the disk until it is ended; a damaged journal is ignored."""

from pathlib import Path

import pytest

from serving.rollout import journal

INTENT = journal.Intent(model="m", version="2", was_loaded=False, evicted=("0",))


def test_an_intent_is_read_until_it_is_ended(tmp_path: Path) -> None:
    assert journal.read_intent(tmp_path) is None
    journal.begin(tmp_path, INTENT)
    assert journal.read_intent(tmp_path) == INTENT
    assert [path.name for path in tmp_path.iterdir()] == [journal.FILE_NAME]
    journal.end(tmp_path)
    journal.end(tmp_path)
    assert journal.read_intent(tmp_path) is None


@pytest.mark.parametrize("content", ["{not json", "[]", "{}", '{"model": "m", "evicted": []}'])
def test_a_damaged_journal_is_ignored(tmp_path: Path, content: str) -> None:
    (tmp_path / journal.FILE_NAME).write_text(content)
    assert journal.read_intent(tmp_path) is None
