"""Which answers are kept, that no answer waits for them, and how a client refuses."""

import json
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from handlers.capture import recorder as recorder_module
from handlers.capture.folder import CaptureFolder
from handlers.capture.recorder import BYTES, CAPTURED, DROPPED, Recorder
from handlers.capture.settings import CaptureSettings
from handlers.model_card import ModelCard
from tests.unit.handlers.helpers import Worker


class Counts(Counter[str]):
    def count(self, name: str, value: int) -> None:
        self[name] += value


def result(probability: float, **more: Any) -> dict[str, Any]:
    return {"predictions": [{"label": "red", "index": 0, "probability": probability}], **more}


def answers(folder: Path) -> list[dict[str, Any]]:
    path = folder / "answers.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.mark.parametrize(
    ("settings", "offered", "reasons"),
    [
        ({"share": 1, "below": 0}, result(0.9), ["share"]),
        ({"share": 0, "below": 0.6}, result(0.59), ["below"]),
        ({"share": 0, "below": 0.6}, result(0.6), None),
        ({"share": 0, "below": 0}, result(0.1, outcome="unknown"), None),
        (
            {"share": 0, "below": 0, "unknown": True},
            result(0.9, outcome="unknown", unknown_score=1.5),
            ["unknown"],
        ),
        ({"share": 1, "below": 1}, {"error": {"code": "undecodable_image"}}, None),
    ],
)
def test_an_answer_is_kept_for_each_of_its_reasons(
    tmp_path: Path,
    card: ModelCard,
    photos: dict[str, bytes],
    settings: dict[str, Any],
    offered: dict[str, Any],
    reasons: list[str] | None,
) -> None:
    counts = Counts()
    recorder = Recorder(CaptureSettings(folder=str(tmp_path), **settings), card, counts)
    recorder.offer(photos["red"], offered)
    recorder.flush()
    kept = answers(tmp_path)
    assert [answer["reasons"] for answer in kept] == ([] if reasons is None else [reasons])
    assert counts[CAPTURED] == len(kept)
    assert counts[DROPPED] == 0
    if kept:
        photo = (tmp_path / "photos" / kept[0]["photo"]).read_bytes()
        assert counts[BYTES] == len(photo)
        assert kept[0]["version"] == card.version
        assert kept[0]["unknown_score"] == offered.get("unknown_score")


def test_the_share_is_met_within_chance(
    tmp_path: Path, card: ModelCard, photos: dict[str, bytes]
) -> None:
    counts = Counts()
    settings = CaptureSettings(folder=str(tmp_path), share=0.2, below=0)
    recorder = Recorder(settings, card, counts)
    chosen = [recorder._reasons(0.9, None) for _ in range(5000)]
    # 1,000 expected; 6 standard deviations are 170.
    assert 830 < sum(map(bool, chosen)) < 1170


def test_a_slow_disk_drops_and_counts_and_no_offer_waits(
    tmp_path: Path, card: ModelCard, photos: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    is_slow, adds = threading.Event(), CaptureFolder.add

    def add(*arguments: Any) -> bool:
        is_slow.wait()
        return adds(*arguments)

    monkeypatch.setattr(CaptureFolder, "add", add)
    counts = Counts()
    recorder = Recorder(CaptureSettings(folder=str(tmp_path), share=1), card, counts)
    started = time.perf_counter()
    for _ in range(1000):
        recorder.offer(photos["red"], result(0.9))
    assert time.perf_counter() - started < 5
    queued = 1000 - counts[DROPPED]
    assert queued in (recorder_module.QUEUE_PHOTOS, recorder_module.QUEUE_PHOTOS + 1)
    is_slow.set()
    recorder.flush()
    # All are the same photo, kept once.
    assert counts[CAPTURED] == 1


def test_what_waits_is_bounded_in_bytes(
    tmp_path: Path, card: ModelCard, photos: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder_module, "QUEUE_BYTES", len(photos["red"]) - 1)
    counts = Counts()
    recorder = Recorder(CaptureSettings(folder=str(tmp_path), share=1), card, counts)
    recorder.offer(photos["red"], result(0.9))
    assert counts[DROPPED] == 1


def test_a_folder_that_cannot_be_written_drops_until_it_can(
    tmp_path: Path, card: ModelCard, photos: dict[str, bytes]
) -> None:
    counts = Counts()
    (tmp_path / "capture").write_text("a file")
    settings = CaptureSettings(folder=str(tmp_path / "capture"), share=1)
    recorder = Recorder(settings, card, counts)
    recorder.offer(photos["red"], result(0.9))
    recorder.flush()
    assert counts == {DROPPED: 1}
    (tmp_path / "capture").unlink()
    recorder.offer(photos["red"], result(0.9))
    recorder.flush()
    assert counts[CAPTURED] == 1


def capturing(folder: Path, archive: Path, monkeypatch: pytest.MonkeyPatch) -> Worker:
    settings = CaptureSettings(folder=str(folder), share=1)
    for name, value in settings.to_environment().items():
        monkeypatch.setenv(name, value)
    return Worker(archive)


@pytest.mark.parametrize(
    ("headers", "item", "is_kept"),
    [
        ({}, {}, True),
        ({"X-Headswap-Capture": "no"}, {}, False),
        ({"X-Headswap-Capture": "NO"}, {}, False),
        ({"X-Headswap-Capture": "please don't"}, {}, False),
        ({"X-Headswap-Capture": "yes"}, {}, True),
        ({}, {"headswap_capture": b"no"}, False),
        ({}, {"x-headswap-capture": b"no"}, False),
        ({}, {"X-Headswap-Capture": b"no"}, False),
    ],
)
def test_a_client_may_refuse(
    tmp_path: Path,
    archive_folder: Path,
    photos: dict[str, bytes],
    monkeypatch: pytest.MonkeyPatch,
    headers: dict[str, str],
    item: dict[str, bytes],
    is_kept: bool,
) -> None:
    worker = capturing(tmp_path / "capture", archive_folder, monkeypatch)
    status, body = worker.respond_one({"body": photos["red"], **item}, headers)
    assert status == 200
    worker.handler._classifier._recorder.flush()
    kept = answers(tmp_path / "capture")
    assert len(kept) == is_kept
    if is_kept:
        assert kept[0]["predictions"][0] == body["predictions"][0]


def test_a_fault_of_keeping_photos_costs_no_answer(
    tmp_path: Path,
    archive_folder: Path,
    photos: dict[str, bytes],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    worker = capturing(tmp_path / "capture", archive_folder, monkeypatch)

    def fail(*_: object) -> None:
        raise RuntimeError("planted")

    monkeypatch.setattr(Recorder, "offer", fail)
    status, _ = worker.respond_one({"body": photos["red"]})
    assert status == 200
    assert "keeping photos" in caplog.text


def test_nothing_is_kept_unless_asked(
    archive_folder: Path, photos: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HEADSWAP_CAPTURE", raising=False)
    assert Worker(archive_folder).handler._classifier._recorder is None


@pytest.mark.parametrize("text", ["{", "[1]", '{"folder": "x", "share": "all"}', '{"unknown": 1}'])
def test_a_variable_set_by_hand_to_something_else_is_named(
    archive_folder: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("HEADSWAP_CAPTURE", text)
    with pytest.raises(RuntimeError, match="HEADSWAP_CAPTURE is .*did not write"):
        Worker(archive_folder)
