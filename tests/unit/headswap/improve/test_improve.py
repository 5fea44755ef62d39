"""An improvement killed at any step: nothing labelled is lost, no step is done twice, and the next call goes on."""

import errno
import json
import os
from hashlib import sha256
from pathlib import Path

import pytest

from capture.answers import read_captured
from capture.errors import CaptureError
from capture.labels import LabelBook
from headswap.improve.errors import InterruptedStepError
from headswap.improve.improve import (
    begin,
    end,
    find_open,
    is_of,
    next_version,
    only_one,
    run_improvement,
)
from headswap.improve.journal import Step
from headswap.improve.snapshot import count_parts, divide, is_measured_on, link_all

NAMES = ("labels", "train", "evaluate", "export", "promote", "bake")


class NoBetterError(Exception):
    pass


def capture(folder: Path, count: int, *, first: int = 0) -> None:
    """Keep and label photos, as server and page would."""
    (folder / "photos").mkdir(parents=True, exist_ok=True)
    with (folder / "answers.jsonl").open("a") as file:
        for number in range(first, first + count):
            data = f"photo {number}".encode()
            name = f"{sha256(data).hexdigest()}.jpg"
            (folder / "photos" / name).write_bytes(data)
            answer = {
                "time": "", "photo": name, "model": "m", "version": "1.0", "reasons": ["share"],
                "predictions": [{"label": "hat", "probability": 0.5}],
            }  # fmt: skip
            file.write(json.dumps(answer) + "\n")
    book = LabelBook(folder)
    for photo in read_captured(folder)[-count:]:
        book.write(photo, "hat")


@pytest.fixture
def captured(tmp_path: Path) -> Path:
    capture(tmp_path, 10)
    return tmp_path


class Runner:
    """Steps that cost nothing: each appends its name, and one of them may be killed before or after its work."""

    def __init__(self, captured: Path) -> None:
        self.captured = captured
        self.works: list[str] = []
        self.live = "1.0"

    def call(self, *, kill: tuple[str, str] | None = None, refuse: str | None = None) -> list[str]:
        """Run the command once and return what it reported."""
        said: list[str] = []
        journal = find_open(self.captured)
        if journal is not None and not is_of(journal, self.live):
            end(journal, "another is live")
            journal = None
        if journal is not None:
            said.append(f"continues {journal.folder}")
        else:
            journal = begin(
                self.captured, live=self.live, version=next_version(self.live, self._is_taken), run="runs/first",
                share=0.2,
            )  # fmt: skip

        def make(name: str) -> Step:
            def work() -> dict[str, str]:
                if kill == (name, "before"):
                    raise KeyboardInterrupt
                if refuse == name:
                    raise NoBetterError("no better")
                self.works.append(name)
                if name == "promote":
                    self.live = journal.version
                if kill == (name, "after"):
                    raise KeyboardInterrupt
                return {"of": name}

            return Step(name=name, plan=f"plan of {name}", run=work)

        run_improvement(
            journal, [make(name) for name in NAMES], report=said.append, refusals=(NoBetterError,)
        )
        return said

    def _is_taken(self, version: str) -> bool:
        return (self.captured / "improvements" / version).exists()


def test_all_steps_run_once_and_a_second_call_asks_for_new_labels(captured: Path) -> None:
    runner = Runner(captured)
    runner.call()
    assert runner.works == list(NAMES)
    assert runner.live == "1.1"
    # Its run is what the next one starts from, so the sentence must not advise to remove it.
    with pytest.raises(
        CaptureError, match=r"not used before: .* ended with 'live'\. Label more photos\.$"
    ):
        runner.call()
    capture(captured, 1, first=50)
    runner.call()
    assert runner.live == "1.2"


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("killed", NAMES)
def test_the_next_call_goes_on_where_the_killed_one_was(
    captured: Path, killed: str, when: str
) -> None:
    runner = Runner(captured)
    before = LabelBook(captured).read()
    with pytest.raises(KeyboardInterrupt):
        runner.call(kill=(killed, when))
    assert LabelBook(captured).read() == before
    is_switched = NAMES.index(killed) > NAMES.index("promote") or (killed, when) == (
        "promote",
        "after",
    )
    assert runner.live == ("1.1" if is_switched else "1.0")
    # More labels in between do not change what this improvement is about.
    capture(captured, 1, first=50)
    said = runner.call()
    assert said[0].startswith("continues ")
    assert f"{killed}: plan of {killed}" in said
    # Only the step that was killed is worked on again.
    again = [killed] if when == "after" else []
    assert sorted(runner.works) == sorted([*NAMES, *again])
    assert runner.live == "1.1"


def test_a_full_disk_is_named_and_the_next_call_goes_on(captured: Path) -> None:
    works: list[str] = []

    def run(*, is_full: bool) -> None:
        def work() -> dict[str, str]:
            if is_full:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "best.safetensors")
            works.append("train")
            return {}

        journal = find_open(captured) or begin(
            captured, live="1.0", version="1.1", run="", share=0.2
        )
        steps = [Step(name="train", plan="", run=work)]
        run_improvement(journal, steps, report=lambda _: None, refusals=(NoBetterError,))

    with pytest.raises(
        InterruptedStepError, match=r"train could .* No space left .*best\.safe.* the same command"
    ):
        run(is_full=True)
    run(is_full=False)
    assert works == ["train"]
    assert find_open(captured) is None


def test_one_that_is_refused_is_over_and_the_live_version_stays(captured: Path) -> None:
    runner = Runner(captured)
    with pytest.raises(NoBetterError):
        runner.call(refuse="evaluate")
    assert (runner.live, runner.works) == ("1.0", ["labels", "train"])
    with pytest.raises(CaptureError, match="not used before.* or remove that folder to try"):
        runner.call()
    journal = json.loads((captured / "improvements/1.1/journal.json").read_text())
    assert journal["outcome"] == "no better"


def test_one_whose_start_is_no_longer_live_is_begun_again_from_what_is(captured: Path) -> None:
    runner = Runner(captured)
    with pytest.raises(KeyboardInterrupt):
        runner.call(kill=("train", "before"))
    runner.live = "3.0"
    runner.call()
    assert runner.live == "3.1"
    journal = json.loads((captured / "improvements/1.1/journal.json").read_text())
    assert journal["outcome"] == "another is live"


def test_after_a_refusal_more_labels_begin_a_version_of_their_own(captured: Path) -> None:
    runner = Runner(captured)
    with pytest.raises(NoBetterError):
        runner.call(refuse="evaluate")
    (captured / "improvements/1.1/run").mkdir()
    capture(captured, 1, first=50)
    runner.call()
    # What the first one trained is not taken for a run to resume.
    assert (runner.live, runner.works.count("train")) == ("1.2", 2)


def test_a_version_that_was_tried_is_not_begun_twice(captured: Path) -> None:
    (captured / "improvements/1.1").mkdir(parents=True)
    with pytest.raises(CaptureError, match="is there already, from an earlier improvement"):
        begin(captured, live="1.0", version="1.1", run="", share=0.2)


def test_two_commands_never_work_on_one_folder(captured: Path) -> None:
    with (
        only_one(captured),
        pytest.raises(CaptureError, match="another headswap improve is at work"),
        only_one(captured),
    ):
        pass
    with only_one(captured):
        pass


def test_without_labels_there_is_nothing_to_learn(tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match="holds no labels"):
        Runner(tmp_path).call()


def test_a_damaged_journal_is_named(captured: Path) -> None:
    folder = captured / "improvements/1.1"
    folder.mkdir(parents=True)
    (folder / "journal.json").write_text("{")
    with pytest.raises(CaptureError, match=r"journal\.json cannot be read"):
        Runner(captured).call()


@pytest.mark.parametrize(
    ("live", "taken", "expected"),
    [
        ("1.0", (), "1.1"),
        ("1.9", (), "1.10"),
        ("1.0", ("1.1", "1.2"), "1.3"),
        ("2026-11", (), "2026-12"),
        ("3b", (), "4b"),
        ("first", (), "first.1"),
    ],
)
def test_the_next_version_is_one_higher_and_free(
    live: str, taken: tuple[str, ...], expected: str
) -> None:
    assert next_version(live, taken.__contains__) == expected


def test_the_share_that_is_measured_on_stays_the_same_when_labels_are_added(
    captured: Path, tmp_path: Path
) -> None:
    def linked(name: str) -> set[tuple[str, str]]:
        files = divide(captured, LabelBook(captured).read().values(), share=0.4)
        links = link_all(files, tmp_path / name)
        assert all((tmp_path / name / link).is_file() for link in links)
        assert sum(count_parts(files).values()) == len(set(links))
        return {(folder.parts[0], path.name) for path, folder in files}

    first = linked("first")
    capture(captured, 10, first=50)
    second = linked("second")
    assert first < second
    assert {split for split, _ in second} == {"train", "test"}
    measured = [is_measured_on(f"{number}", 0.2) for number in range(2000)]
    assert 300 < sum(measured) < 500


def test_none_of_these_joins_neither(captured: Path) -> None:
    book = LabelBook(captured)
    for photo in read_captured(captured)[:4]:
        book.write(photo, None)
    assert len(divide(captured, book.read().values(), share=0.4)) == 6


def test_what_the_live_version_has_learned_is_not_measured_on(captured: Path) -> None:
    labels = LabelBook(captured).read()
    files = divide(captured, labels.values(), share=0.999999, trained_on=list(labels)[:4])
    assert count_parts(files) == {"train": 4, "test": 6}


def test_a_name_as_long_as_a_name_can_be_is_linked(tmp_path: Path) -> None:
    photo = tmp_path / f"{'x' * 251}.jpg"
    photo.write_bytes(b"photo")
    (link,) = link_all([(photo, Path("hat"))], tmp_path / "linked")
    assert (tmp_path / "linked" / link).read_bytes() == b"photo"
