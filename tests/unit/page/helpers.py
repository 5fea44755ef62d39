"""A TorchServe in memory for the page, and a person signed in."""

import re
from dataclasses import dataclass

from PIL import Image
from starlette.testclient import TestClient

from serving.client.transport import Request
from tests.unit.serving.rollout.helpers import FakeTorchServe

ORIGIN = "http://127.0.0.1:8090"
HOSTILE_CLASS = "<img src=x onerror=document.title='broken-in'>"


@dataclass
class PageServer(FakeTorchServe):
    """Answers heat maps as well."""

    def send(self, request: Request, *, timeout_s: float) -> bytes:
        body = super().send(request, timeout_s=timeout_s)
        return png() if request.options.get("format") == "png" else body


def png(colour: str = "orange", side_px: int = 64) -> bytes:
    from io import BytesIO

    buffer = BytesIO()
    Image.new("RGB", (side_px, side_px), colour).save(buffer, "PNG")
    return buffer.getvalue()


def sign_in(client: TestClient, token: str) -> TestClient:
    client.headers["Origin"] = ORIGIN
    response = client.post("/sign-in", data={"token": token, "next": "/"})
    assert response.status_code == 303, response.text
    page = client.get("/", headers={"Accept": "text/html"}).text
    found = re.search(r'name="csrf-token" content="([^"]+)"', page)
    assert found is not None
    client.headers["X-CSRF-Token"] = found[1]
    return client
