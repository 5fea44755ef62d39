"""What goes wrong is said in a sentence: on a page of its own to a browser, as JSON to a script."""

import pytest
from starlette.testclient import TestClient

from page.app import create_app
from page.context import PageContext
from page.errors import as_sentence
from tests.unit.page.helpers import ORIGIN, PageServer, sign_in

BROWSER = {"Accept": "text/html,application/xhtml+xml"}


def test_an_address_that_is_not_there(manager: TestClient) -> None:
    assert manager.get("/nothing").json()["error"] == "There is no page at this address."
    page = manager.get("/nothing", headers=BROWSER)
    assert (page.status_code, page.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert "There is no page at this address." in page.text
    assert 'href="/"' in page.text


def test_a_wrong_host_name_is_answered_with_the_right_one(client: TestClient) -> None:
    page = client.get("/", headers={**BROWSER, "Host": "evil.example"})
    assert page.status_code == 400
    assert "open http://127.0.0.1:8090/ instead" in page.text
    assert "default-src" in page.headers["content-security-policy"]


def test_a_mistake_of_ours_is_a_sentence_too(context: PageContext, server: PageServer) -> None:
    with TestClient(
        create_app(context), base_url=ORIGIN, raise_server_exceptions=False, follow_redirects=False
    ) as client:
        sign_in(client, "manage")
        server.faults["predict 1.0"] = ZeroDivisionError("a <secret>")
        response = client.post("/api/predict?model=tiny", content=b"x")
    assert response.status_code == 500
    assert response.json()["error"].startswith("Something failed here")
    assert "secret" not in response.text


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("the queue is full.", "The queue is full."),
        ("this is a PDF document.", "This is a PDF document."),
        ("http://127.0.0.1:8082/metrics does not answer.", "http://127.0.0.1:8082/metrics does not answer."),
        ("theta 1.0 is not loaded.", "theta 1.0 is not loaded."),
        ("'x' cannot be a name.", "'x' cannot be a name."),
        ("", ""),
    ],
)  # fmt: skip
def test_a_sentence_begins_with_a_capital_unless_it_begins_with_a_name(
    text: str, sentence: str
) -> None:
    assert as_sentence(text) == sentence


def test_signing_in_again_is_answered_to_the_page_that_is_open(client: TestClient) -> None:
    headers = {"Accept": "application/json", "Origin": ORIGIN}
    wrong = client.post("/sign-in", data={"token": "wrong"}, headers=headers)
    assert wrong.status_code == 403
    assert wrong.json()["error"].startswith("This is not the current token")
    right = client.post("/sign-in", data={"token": "manage"}, headers=headers)
    assert (right.status_code, right.json()) == (200, {})
    token = client.get("/api/csrf-token").json()["csrf_token"]
    response = client.post("/api/sign-out", headers={"Origin": ORIGIN, "X-CSRF-Token": token})
    assert response.status_code == 200
