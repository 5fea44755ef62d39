"""Review: photos in the order of their use, labels that are written at once and taken back."""

from pathlib import Path

import pytest
from starlette.testclient import TestClient

from page.context import PageContext
from tests.unit.page.helpers import HOSTILE_CLASS, fill_capture


@pytest.fixture
def photo_ids(context: PageContext, tmp_path: Path) -> list[str]:
    object.__setattr__(context, "capture", tmp_path / "captured")
    return fill_capture(tmp_path / "captured")


def test_labels_are_written_and_taken_back(
    manager: TestClient, photo_ids: list[str], tmp_path: Path
) -> None:
    listed = manager.get("/api/review").json()
    assert [photo["id"] for photo in listed["photos"]] == photo_ids
    assert listed["classes"] == [HOSTILE_CLASS, "dog"]
    first, second = photo_ids[:2]
    assert (
        manager.post("/api/review/label", json={"photo": first, "class": "dog"}).status_code == 200
    )
    assert (
        manager.post("/api/review/label", json={"photo": second, "class": None}).status_code == 200
    )
    folder = tmp_path / "captured"
    link = folder / "labelled" / "dog" / f"{first}.png"
    assert link.samefile(folder / "photos" / f"{first}.png")
    assert (folder / "labels.csv").read_text().splitlines()[1:] == [
        f"labelled/dog/{first}.png,dog", f"none_of_these/{second}.png,none of these"
    ]  # fmt: skip
    assert manager.get("/api/review").json()["labelled"] == 2
    assert manager.post("/api/review/undo", json={"photo": None}).json() == {"photo": second}
    listed = manager.get("/api/review").json()
    assert [photo["id"] for photo in listed["photos"]] == photo_ids[1:]


def test_a_photo_is_an_image_and_nothing_else_is_read(
    manager: TestClient, photo_ids: list[str]
) -> None:
    response = manager.get(f"/api/review/photo/{photo_ids[0]}")
    assert response.headers["content-type"] == "image/png"
    for name in ("..%2Flabels.csv", "0" * 64, "%2e%2e"):
        assert manager.get(f"/api/review/photo/{name}").status_code == 404


@pytest.mark.parametrize("class_name", ["../outside", HOSTILE_CLASS, "", ".hidden", 7, ["dog"]])
def test_a_class_that_cannot_be_a_folder_is_refused(
    manager: TestClient, photo_ids: list[str], tmp_path: Path, class_name: object
) -> None:
    response = manager.post("/api/review/label", json={"photo": photo_ids[0], "class": class_name})
    is_name = class_name == HOSTILE_CLASS
    assert response.status_code == (200 if is_name else 400)
    assert not (tmp_path / "outside").exists()


def test_without_a_folder_there_is_nothing_to_review(manager: TestClient) -> None:
    assert manager.get("/api/review").status_code == 404
    assert "Review" not in manager.get("/", headers={"Accept": "text/html"}).text


def test_a_label_that_is_sent_twice_counts_once(
    manager: TestClient, photo_ids: list[str], tmp_path: Path
) -> None:
    """A browser that lost the answer sends its label again."""
    body = {"photo": photo_ids[0], "class": "dog"}
    for _ in range(2):
        assert manager.post("/api/review/label", json=body).status_code == 200
    assert len((tmp_path / "captured" / "labels.csv").read_text().splitlines()) == 2


def test_somebody_elses_label_stays(manager: TestClient, photo_ids: list[str]) -> None:
    first, second = photo_ids[:2]
    manager.post("/api/review/label", json={"photo": first, "class": None})
    response = manager.post("/api/review/label", json={"photo": first, "class": "dog"})
    assert response.status_code == 409
    assert response.json()["error"].endswith("labelled this photo meanwhile: none of these.")
    manager.post("/api/review/label", json={"photo": second, "class": "dog"})
    undone = manager.post("/api/review/undo", json={"photo": first}).json()
    assert undone == {"photo": first}
    assert manager.get("/api/review").json()["labelled"] == 1


@pytest.mark.parametrize("path", ["/api/review/label", "/api/review/undo"])
@pytest.mark.parametrize("body", [b"", b"[]", b'{"photo": 1, "class": 1}', b"{" * 10_000])
def test_a_label_that_makes_no_sense_is_refused(
    manager: TestClient, photo_ids: list[str], path: str, body: bytes
) -> None:
    response = manager.post(path, content=body)
    assert response.status_code == 400
    assert response.json()["error"].endswith(".")


def test_before_the_first_photo_there_is_nothing_to_do(
    manager: TestClient, context: PageContext, tmp_path: Path
) -> None:
    object.__setattr__(context, "capture", tmp_path / "captured")
    listed = manager.get("/api/review").json()
    assert (listed["photos"], listed["waiting"], listed["labelled"]) == ([], 0, 0)
