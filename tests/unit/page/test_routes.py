"""What the routes answer, over a TorchServe in memory."""

import json
import time
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from page.context import PageContext
from page.rollouts import Rollouts
from page.sessions import ATTEMPTS, LIFETIME_S, Sessions, SignInLimit
from serving.errors import BusyError, OverloadedError
from serving.rollout.live_record import locked
from tests.unit.page.helpers import HOSTILE_CLASS, PageServer

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=5,
)
FIELDS = st.sampled_from(
    ["archive", "min_accuracy", "max_drop", "shadow", "bake_s", "data", "labels", "why", "model", "version"]
)  # fmt: skip


def wait_for_end(client: TestClient) -> tuple[list[str], dict[str, Any]]:
    """Return the steps and the end of the latest rollout."""
    events = client.get("/api/timeline").text.split("\n\n")
    data = [json.loads(event.partition("data: ")[2]) for event in events if "data: " in event]
    return [entry["step"] for entry in data[:-1]], data[-1]


def test_a_photo_is_answered(manager: TestClient) -> None:
    answer = manager.post("/api/predict?model=tiny&top_k=2", content=b"a photo").json()
    assert answer["version"] == "1.0"
    assert {score["label"] for score in answer["scores"]} == {HOSTILE_CLASS, "dog"}
    assert answer["milliseconds"] >= 0


def test_what_the_page_lacks_is_said(manager: TestClient, server: PageServer) -> None:
    assert (
        manager.post("/api/predict?model=tiny", content=b"").json()["error"]
        == "This file is empty."
    )
    assert "model is missing" in manager.post("/api/predict", content=b"x").json()["error"]
    wrong = manager.post("/api/predict?model=tiny&top_k=0", content=b"x")
    assert (wrong.status_code, "from 1 to 1000" in wrong.json()["error"]) == (400, True)
    server.faults["predict 1.0"] = OverloadedError("the queue is full.", status=503)
    response = manager.post("/api/predict?model=tiny", content=b"x")
    assert (response.status_code, response.json()["error"]) == (503, "The queue is full.")


def test_a_photo_too_large_is_refused(manager: TestClient, context: PageContext) -> None:
    context.settings.properties["max_request_size"] = "1000000"
    response = manager.post("/api/predict?model=tiny", content=b"x" * 1_000_001)
    assert response.status_code == 413
    assert response.json()["error"] == "This is larger than the 1 MB that the server takes."


def test_promote_retire_and_roll_back(
    manager: TestClient, server: PageServer, log: list[tuple[str, str | None, str]]
) -> None:
    response = manager.post("/api/promote", json={"archive": "tiny-2.0.mar", "why": "better"})
    assert response.status_code == 202
    steps, end = wait_for_end(manager)
    assert end["succeeded"] is True
    assert "tiny 2.0 is live after" in steps[-1]
    assert [step for command, _, step in log if command == "promote"] == steps[:-1]
    states = {row["version"]: row for row in manager.get("/api/versions").json()["versions"]}
    assert (states["2.0"]["state"], states["2.0"]["why"]) == ("live", "better")
    manager.post("/api/rollback", json={"model": "tiny"})
    assert wait_for_end(manager)[1]["succeeded"] is True
    assert server.default == "1.0"
    manager.post("/api/retire", json={"model": "tiny", "version": "2.0"})
    assert wait_for_end(manager)[1]["succeeded"] is True
    assert server.loaded == {"1.0"}


def test_a_failed_promotion_says_why(manager: TestClient, server: PageServer) -> None:
    server.wrong.add("2.0")
    manager.post("/api/promote", json={"archive": "tiny-2.0.mar"})
    steps, end = wait_for_end(manager)
    assert end["succeeded"] is False
    assert "2.0" in steps[-1]
    assert server.default == "1.0"


@pytest.mark.parametrize("name", ["../tiny-2.0.mar", "/etc/passwd", "live.json/..", "none.mar", ""])
def test_only_archives_of_the_store_are_promoted(manager: TestClient, name: str) -> None:
    response = manager.post("/api/promote", json={"archive": name})
    assert response.status_code == 400
    assert "model store" in response.json()["error"]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(form=st.dictionaries(FIELDS, JSON_VALUES, max_size=4) | JSON_VALUES)
@pytest.mark.parametrize("path", ["/api/promote", "/api/retire"])
def test_any_form_is_answered_in_a_sentence(manager: TestClient, path: str, form: Any) -> None:
    response = manager.post(path, content=json.dumps(form))
    assert response.status_code in (202, 400, 409)
    assert response.status_code == 202 or response.json()["error"].endswith(".")


def test_a_kept_version_is_not_offered_as_new(manager: TestClient) -> None:
    assert manager.get("/api/versions").json()["archives"] == [
        {"name": "tiny-1.0.mar", "state": "live"}, {"name": "tiny-2.0.mar", "state": ""}
    ]  # fmt: skip
    manager.post("/api/promote", json={"archive": "tiny-2.0.mar"})
    wait_for_end(manager)
    assert manager.get("/api/versions").json()["archives"] == [
        {"name": "tiny-1.0.mar", "state": "kept"}, {"name": "tiny-2.0.mar", "state": "live"}
    ]  # fmt: skip


def test_another_process_holds_the_store(manager: TestClient, context: PageContext) -> None:
    with locked(context.settings.model_store):
        manager.post("/api/promote", json={"archive": "tiny-2.0.mar"})
        steps, end = wait_for_end(manager)
    assert end["succeeded"] is False
    assert "another promotion or rollback holds" in steps[-1].lower()


def test_sessions_expire() -> None:
    now = [0.0]
    sessions = Sessions(clock=lambda: now[0])
    session_id = sessions.open("management")
    now[0] = LIFETIME_S - 1
    assert sessions.find(session_id) is not None
    now[0] = LIFETIME_S
    assert sessions.find(session_id) is None


def test_after_a_minute_an_address_may_try_again() -> None:
    now = [0.0]
    limit = SignInLimit(clock=lambda: now[0])
    for _ in range(ATTEMPTS):
        assert limit.wait_s("a") == 0
        limit.count_failure("a")
    assert limit.wait_s("a") == 60
    assert limit.wait_s("b") == 0
    now[0] = 60.0
    assert limit.wait_s("a") == 0


def test_one_rollout_at_a_time() -> None:
    rollouts = Rollouts()
    rollouts.start("first", lambda report: time.sleep(0.2) or "done")
    with pytest.raises(BusyError, match="'first' is still running here; wait"):
        rollouts.start("second", lambda report: "done")
