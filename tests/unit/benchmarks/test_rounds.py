"""Rounds add up over calls, but only those under the same conditions, on the same machine and of the same code."""

import pytest

from benchmarks import machine, rounds
from benchmarks.rounds import Rounds


def under(path, **conditions) -> Rounds:
    return Rounds.under(packages=["handlers"], path=path, **conditions)


def test_the_rounds_of_one_call_are_read_by_the_next(tmp_path):
    path = tmp_path / "work" / "rounds.jsonl"
    assert under(path, loads=(1, 8)).read() == []
    under(path, loads=(1, 8)).add({"speed": 2.5})
    under(path, loads=(1, 8)).add({"speed": 3.5})
    assert under(path, loads=(1, 8)).read() == [{"speed": 2.5}, {"speed": 3.5}]
    assert under(path, loads=(1, 32)).read() == []


@pytest.mark.parametrize(
    ("module", "name", "other"),
    [(machine, "describe", {"processor": "another"}), (rounds, "code_digest", "another")],
)
def test_another_machine_or_other_code_starts_anew(tmp_path, monkeypatch, module, name, other):
    path = tmp_path / "rounds.jsonl"
    under(path).add({"speed": 2.5})
    monkeypatch.setattr(module, name, lambda *_: other)
    assert under(path).read() == []
    monkeypatch.undo()
    assert under(path).read() == [{"speed": 2.5}]


def test_the_digest_changes_with_the_code_also_in_a_folder_of_the_package(tmp_path, monkeypatch):
    monkeypatch.setattr(rounds, "ROOT", tmp_path)
    file = tmp_path / "handlers" / "engines" / "one.py"
    file.parent.mkdir(parents=True)
    file.write_text("1")
    before = rounds.code_digest(["handlers"])
    file.write_text("2")
    changed = rounds.code_digest(["handlers"])
    file.rename(file.with_name("two.py"))
    assert len({before, changed, rounds.code_digest(["handlers"])}) == 3
