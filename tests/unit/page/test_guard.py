"""Who may do what: without a cookie nothing, from another site nothing, and no script but the page's own."""

import pytest
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

from page.app import ROUTES
from page.context import PageContext
from page.guard import INFERENCE_PATHS
from page.sessions import ATTEMPTS, LIFETIME_S
from tests.unit.page.helpers import ORIGIN, sign_in

PROTECTED = [
    (method, route.path)
    for route in ROUTES
    if isinstance(route, Route) and route.path != "/sign-in"
    for method in sorted(route.methods or ())
]


def test_the_routes_are_known() -> None:
    assert len(PROTECTED) > 15
    assert [route.path for route in ROUTES if isinstance(route, Mount)] == ["/static"]


@pytest.mark.parametrize(("method", "path"), [*PROTECTED, ("GET", "/nothing-here")])
def test_without_a_cookie_every_route_refuses(client: TestClient, method: str, path: str) -> None:
    response = client.request(method, path, headers={"Origin": ORIGIN, "X-CSRF-Token": "x"})
    assert response.status_code == 401


@pytest.mark.parametrize(("method", "path"), PROTECTED)
def test_the_inference_token_opens_try_alone(client: TestClient, method: str, path: str) -> None:
    sign_in(client, "infer")
    response = client.request(method, path, params={"model": "tiny"}, content=b"x")
    assert (response.status_code == 403) == (path not in INFERENCE_PATHS)


@pytest.mark.parametrize("path", [path for method, path in PROTECTED if method == "POST"])
@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "", "http://127.0.0.1:9999", "https://127.0.0.1:8090"]
)
def test_a_forged_origin_is_refused(manager: TestClient, path: str, origin: str) -> None:
    assert manager.post(path, content=b"{}", headers={"Origin": origin}).status_code == 403


@pytest.mark.parametrize("path", [path for method, path in PROTECTED if method == "POST"])
def test_a_change_needs_the_csrf_token(manager: TestClient, path: str) -> None:
    assert manager.post(path, headers={"X-CSRF-Token": "é".encode()}).status_code == 403
    del manager.headers["X-CSRF-Token"]
    assert manager.post(path, content=b"{}").status_code == 403


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "", "127.0.0.1@evil", "[::", "a:x"]
)
def test_a_foreign_host_name_is_refused(manager: TestClient, host: str) -> None:
    assert manager.get("/", headers={"Host": host}).status_code == 400


def test_the_cookie_is_out_of_reach(client: TestClient) -> None:
    response = client.post("/sign-in", data={"token": "infer"}, headers={"Origin": ORIGIN})
    cookie = response.headers["set-cookie"].lower()
    assert {"httponly", "samesite=strict", f"max-age={LIFETIME_S}", "path=/"} <= set(
        cookie.replace(" ", "").split(";")
    )
    assert "infer" not in cookie


@pytest.mark.parametrize("path", ["/", "/sign-in", "/static/base.js", "/api/models", "/nothing"])
def test_every_answer_has_the_strict_headers(manager: TestClient, path: str) -> None:
    headers = manager.get(path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"


def test_a_wrong_token_is_refused_and_too_many_wait(client: TestClient) -> None:
    client.headers["Origin"] = ORIGIN
    for _ in range(ATTEMPTS):
        assert client.post("/sign-in", data={"token": "wrong"}).status_code == 403
    response = client.post("/sign-in", data={"token": "manage"})
    assert response.status_code == 429
    assert 0 < int(response.headers["retry-after"]) <= 60
    assert "set-cookie" not in response.headers


def test_signing_out_ends_the_session(manager: TestClient) -> None:
    cookie = manager.cookies["headswap"]
    assert manager.post("/api/sign-out").status_code == 200
    manager.cookies.set("headswap", cookie)
    assert manager.get("/api/models").status_code == 401


@pytest.mark.parametrize("target", ["https://evil.example", "//evil.example", "/\\evil.example"])
def test_signing_in_leads_to_no_other_site(client: TestClient, target: str) -> None:
    data = {"token": "infer", "next": target}
    response = client.post("/sign-in", data=data, headers={"Origin": ORIGIN})
    assert response.headers["location"] == "/"


def test_a_browser_is_led_to_the_form(client: TestClient) -> None:
    response = client.get("/watch", headers={"Accept": "text/html"})
    assert (response.status_code, response.headers["location"]) == (303, "/sign-in?next=/watch")


def test_without_a_server_the_form_says_so(client: TestClient, context: PageContext) -> None:
    context.settings.key_file.unlink()
    response = client.post("/sign-in", data={"token": "infer"}, headers={"Origin": ORIGIN})
    assert response.status_code == 503
    assert "No server is running yet" in response.text
