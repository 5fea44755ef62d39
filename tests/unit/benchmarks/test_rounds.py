"""Rounds add up over calls, but only those of the same conditions, machine and code."""

import pytest

from benchmarks import machine, rounds
from benchmarks.rounds import Rounds


def under(path, **conditions) -> Rounds:
    return Rounds.under(rooms=["handlers"], path=path, **conditions)


def test_what_one_call_added_the_next_one_finds(tmp_path):
    path = tmp_path / "work" / "rounds.jsonl"
    assert under(path, loads=(1, 8)).read() == []
    under(path, loads=(1, 8)).add({"speed": 2.5})
    under(path, loads=(1, 8)).add({"speed": 3.5})
    assert under(path, loads=(1, 8)).read() == [{"speed": 2.5}, {"speed": 3.5}]
    assert under(path, loads=(1, 32)).read() == []


@pytest.mark.parametrize(
    ("where", "name", "other"),
    [(machine, "describe", {"processor": "another"}), (rounds, "code_digest", "another")],
)
def test_another_machine_or_other_code_begins_anew(tmp_path, monkeypatch, where, name, other):
    path = tmp_path / "rounds.jsonl"
    under(path).add({"speed": 2.5})
    monkeypatch.setattr(where, name, lambda *_: other)
    assert under(path).read() == []
    monkeypatch.undo()
    assert under(path).read() == [{"speed": 2.5}]


def test_the_digest_changes_with_the_code_that_is_measured(tmp_path, monkeypatch):
    monkeypatch.setattr(rounds, "ROOT", tmp_path)
    (tmp_path / "handlers").mkdir()
    (tmp_path / "handlers" / "one.py").write_text("1")
    before = rounds.code_digest(["handlers"])
    (tmp_path / "handlers" / "one.py").write_text("2")
    changed = rounds.code_digest(["handlers"])
    (tmp_path / "handlers" / "one.py").rename(tmp_path / "handlers" / "two.py")
    assert len({before, changed, rounds.code_digest(["handlers"])}) == 3
