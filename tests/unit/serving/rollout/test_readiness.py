"""Which answers to the probes are accepted."""

from dataclasses import replace
from pathlib import Path

import pytest

from handlers.contract import Probe, ProbeSet
from serving.archive.reader import Archive
from serving.client import ClassScore, Prediction
from serving.errors import NotReadyError
from serving.rollout.readiness import check_probes

OWN = {b"a": (0.9, 0.1), b"b": (0.3, 0.7)}
FLOAT32 = {b"a": (0.7, 0.3), b"b": (0.4, 0.6)}


def probe_set(rows: dict[bytes, tuple[float, ...]], tolerance: float) -> ProbeSet:
    probes = tuple(
        Probe(file=f"{data!r}.jpg", data=data, probabilities=row) for data, row in rows.items()
    )
    return ProbeSet(probes=probes, tolerance=tolerance)


ARCHIVE = Archive(
    path=Path("x-1.mar"), name="x", version="1", class_names=("cat", "dog"), sha256="",
    probe_sets=(probe_set(OWN, 0.05), probe_set(FLOAT32, 0.01)),
)  # fmt: skip


class FakeClient:
    """Answers with these probabilities, by photo."""

    def __init__(self, rows: dict[bytes, tuple[float, ...]], version: str = "1") -> None:
        self._rows, self._version = rows, version

    def predict(self, model: str, photo: bytes, **_: object) -> Prediction:
        scores = tuple(
            ClassScore(label=name, index=index, probability=self._rows[photo][index])
            for index, name in enumerate(("cat", "dog"))
        )
        return Prediction(model=model, version=self._version, scores=scores)


@pytest.mark.parametrize("rows", [OWN, FLOAT32])
def test_a_quantised_archive_may_answer_as_either_network(rows) -> None:
    assert check_probes(FakeClient(rows), ARCHIVE, version=None) == 0


def test_all_answers_must_fit_the_same_network() -> None:
    mixed = {b"a": OWN[b"a"], b"b": FLOAT32[b"b"]}
    with pytest.raises(NotReadyError, match=r"differs by 0\.100 .* the tolerance is 0\.05"):
        check_probes(FakeClient(mixed), ARCHIVE, version=None)


def test_each_network_has_its_own_tolerance() -> None:
    near = {data: (row[0] - 0.04, row[1] + 0.04) for data, row in OWN.items()}
    assert check_probes(FakeClient(near), ARCHIVE, version=None) == pytest.approx(0.04)
    near = {data: (row[0] - 0.02, row[1] + 0.02) for data, row in FLOAT32.items()}
    with pytest.raises(NotReadyError, match="the tolerance is"):
        check_probes(FakeClient(near), ARCHIVE, version=None)


def test_a_float32_archive_has_only_one_network() -> None:
    archive = replace(ARCHIVE, probe_sets=ARCHIVE.probe_sets[:1])
    with pytest.raises(NotReadyError, match=r"differs by 0\.200"):
        check_probes(FakeClient(FLOAT32), archive, version=None)


def test_an_answer_of_another_version_is_refused() -> None:
    with pytest.raises(NotReadyError, match="version 2 of x answered instead of 1"):
        check_probes(FakeClient(OWN, version="2"), ARCHIVE, version=None)
