"""A TorchServe in memory for the page, and a person signed in."""

import hashlib
import json
import re
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image
from starlette.testclient import TestClient

from serving.client.transport import Request
from tests.unit.serving.rollout.helpers import FakeTorchServe

ORIGIN = "http://127.0.0.1:8090"
HOSTILE_CLASS = "<img src=x onerror=document.title='broken-in'>"


@dataclass
class PageServer(FakeTorchServe):
    """Answers heat maps as well, and says of a photo that it is none of the classes."""

    outcome: str | None = None
    names: list[str] = field(default_factory=list)
    """Class names in place of the archive's."""

    def send(self, request: Request, *, timeout_s: float) -> bytes:
        answer = json.loads(super().send(request, timeout_s=timeout_s))
        if request.options.get("format") == "png":
            return png()
        if self.outcome is not None:
            answer["outcome"] = self.outcome
        if self.names:
            scores = [
                {"label": name, "index": index, "probability": 1 / len(self.names)}
                for index, name in enumerate(self.names)
            ]
            answer["predictions"] = scores
        return json.dumps(answer).encode()


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


def fill_capture(folder: Path) -> list[str]:
    """Fill a capture folder with three photos; return their ids, the least sure first."""
    (folder / "photos").mkdir(parents=True)
    lines, ids = [], []
    for colour, probability in (("green", 0.9), ("red", 0.4), ("blue", 0.6)):
        data = png(colour)
        sha256 = hashlib.sha256(data).hexdigest()
        (folder / "photos" / f"{sha256}.png").write_bytes(data)
        predictions = [{"label": "dog", "index": 1, "probability": probability}]
        line = {
            "time": "2026-11-29T08:00:00Z", "photo": f"{sha256}.png", "model": "tiny",
            "version": "1.0", "reasons": ["below"], "predictions": predictions,
        }  # fmt: skip
        lines.append(json.dumps(line))
        ids.append((probability, sha256))
    (folder / "answers.jsonl").write_text("\n".join(lines) + "\n")
    return [sha256 for _, sha256 in sorted(ids)]
