"""What a candidate has to pass: accuracy, latency, and the photos it is measured on."""

from pathlib import Path

import pytest

from serving.archive.reader import read_archive
from serving.errors import InputError, PromotionError
from serving.rollout.gates import Gates, _p50_p99_ms, check_gates, read_labelled_photos
from serving.rollout.live_record import entry_of
from tests.unit.serving.rollout.helpers import FakeSession, FakeTorchServe


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Return labelled photos; the fake server's versions answer `dog` to each, those that are wrong `cat`."""
    for name in (
        "cat/1.jpg",
        "dog/1.jpg",
        "dog/2.jpg",
        "dog/3.jpg",
        "dog/.hidden",
        "dog/Thumbs.db",
    ):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return tmp_path / "photos"


def check(
    server: FakeTorchServe, session: FakeSession, archives: dict[str, Path], gates: Gates
) -> str:
    """Return what is reported of 2.0, with 1.0 live."""
    server.loaded = {"1.0", "2.0"}
    sentences: list[str] = []
    live = entry_of(read_archive(archives["1.0"]), why="test")
    candidate = read_archive(archives["2.0"])
    check_gates(session.http, candidate, live, gates, report=sentences.append)
    return "\n".join(sentences)


def test_a_candidate_that_is_as_good_as_asked_passes(
    server: FakeTorchServe, session: FakeSession, archives: dict[str, Path], photos: Path
) -> None:
    gates = Gates(data=photos, min_accuracy=0.75, max_drop=0.0, shadow=2, max_p99_ms=60_000)
    report = check(server, session, archives, gates)
    assert "tiny 2.0 has 75.0% of 4 photos right, the live version 75.0%" in report
    assert "2.0 and 1.0 agree on 100.0% of 2 photos; median" in report
    assert "answers 200 requests with a p99 of" in report


@pytest.mark.parametrize(
    ("gates", "said"),
    [
        ({"min_accuracy": 0.3}, r"has 25\.0% of 4 photos right, less than 30\.0%"),
        ({"max_drop": 0.3}, r"the live version 75\.0%: a drop of more than 30\.0%"),
        ({"max_p99_ms": 1e-9}, "more than 1e-09 ms"),
    ],
)
def test_a_candidate_that_fails_a_gate_is_named_with_its_figure(
    server: FakeTorchServe,
    session: FakeSession,
    archives: dict[str, Path],
    photos: Path,
    gates: dict[str, float],
    said: str,
) -> None:
    server.wrong = {"2.0"}
    with pytest.raises(PromotionError, match=said):
        check(server, session, archives, Gates(data=photos, **gates))


def test_the_shadow_shows_where_the_versions_differ_and_refuses_nothing(
    server: FakeTorchServe, session: FakeSession, archives: dict[str, Path], photos: Path
) -> None:
    server.wrong = {"2.0"}
    report = check(server, session, archives, Gates(data=photos, shadow=3))
    assert "agree on 0.0% of 3 photos" in report
    assert f"{photos / 'cat' / '1.jpg'}: cat (0.60), was dog (0.60)" in report


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"min_accuracy": 0.9}, "--min-accuracy needs labelled photos; give --gate-data"),
        ({"max_drop": 0.1}, "--gate-data"),
        ({"shadow": 5}, "--gate-data"),
        ({"labels": Path("labels.csv")}, "--gate-labels needs photos; give --gate-data"),
        ({"shadow": -1}, "--shadow must be 0 or more photos, not -1"),
        ({"min_accuracy": 1.5}, r"--min-accuracy must be between 0 and 1, not 1\.5"),
        ({"max_p99_ms": 0.0}, r"--max-p99-ms must be above 0, not 0\.0"),
    ],
)
def test_gates_that_make_no_sense_are_refused(wrong: dict[str, float], named: str) -> None:
    with pytest.raises(InputError, match=named):
        Gates(**wrong)  # type: ignore[arg-type]


def test_gate_photos_alternate_between_the_classes(photos: Path) -> None:
    labelled = read_labelled_photos(photos, ("cat", "dog", "cow"), report=print)
    assert [(photo.label, photo.path.name) for photo in labelled] == [
        ("cat", "1.jpg"),
        ("dog", "1.jpg"),
        ("dog", "2.jpg"),
        ("dog", "3.jpg"),
    ]


def test_gate_photos_are_those_of_test_where_the_folder_is_split(tmp_path: Path) -> None:
    for name in ("train/cat/0.jpg", "train/dog/0.jpg", "Test/cat/1.jpg", "Test/dog/1.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "Test" / "dog" / "Thumbs.db").write_bytes(b"x")
    notes: list[str] = []
    labelled = read_labelled_photos(tmp_path, ("cat", "dog"), report=notes.append)
    assert [str(photo.path.relative_to(tmp_path)) for photo in labelled] == [
        "Test/cat/1.jpg", "Test/dog/1.jpg",
    ]  # fmt: skip
    assert notes == [f"{tmp_path}: passed by 1 file (not photos: 1 .db)"]


def test_a_class_of_gate_photos_may_be_spelled_as_a_mac_does(tmp_path: Path) -> None:
    for name in ("cafe\u0301", "dog"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.jpg").write_bytes(b"x")
    labelled = read_labelled_photos(tmp_path, ("caf\u00e9", "dog"), report=print)
    assert [photo.label for photo in labelled] == ["caf\u00e9", "dog"]


def test_gate_photos_may_be_listed_in_a_table(tmp_path: Path) -> None:
    for number in range(4):
        (tmp_path / f"{number}.jpg").write_bytes(b"x")
    table = tmp_path / "labels.csv"
    table.write_text("0.jpg,cat,train\n1.jpg,cat,test\n2.jpg,dog,test\n3.jpg,dog,val\n")
    labelled = read_labelled_photos(tmp_path, ("cat", "dog"), labels=table, report=print)
    assert [(photo.path.name, photo.label) for photo in labelled] == [
        ("1.jpg", "cat"), ("2.jpg", "dog"),
    ]  # fmt: skip


def test_gate_photos_that_cannot_be_used_are_named(photos: Path) -> None:
    with pytest.raises(InputError, match="'dog', which is not a class of this version"):
        read_labelled_photos(photos, ("cat",), report=print)
    with pytest.raises(InputError, match="absent' does not exist"):
        read_labelled_photos(photos / "absent", ("cat",), report=print)
    (photos / "empty").mkdir()
    with pytest.raises(InputError, match="holds no photos"):
        read_labelled_photos(photos / "empty", ("cat",), report=print)


def test_percentiles_are_latencies_that_were_measured() -> None:
    assert _p50_p99_ms([]) == (0.0, 0.0)
    assert _p50_p99_ms([7.0]) == (7.0, 7.0)
    # 99 % of 200 requests are 198: two may take longer.
    assert _p50_p99_ms(range(1, 201)) == (100.0, 198.0)
