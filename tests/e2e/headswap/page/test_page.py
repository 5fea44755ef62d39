"""`headswap page` beside a real server, in a real browser: photos, files that are not, and the lines to copy."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from playwright.sync_api import Browser, Locator, Page, expect

from serving.client.tokens import read_token
from serving.settings import ServerSettings
from tests.helpers import free_port
from tests.integration.page.conftest import browser, sign_in  # noqa: F401

ROOT = Path(__file__).parents[4]
PHOTO = min((ROOT / "sample_data/clothing/test/hat").glob("*.jpg"))
HEIC = ROOT / "tests/unit/handlers/images/heic/orientation_6.heic"
# Whatever a shell, curl or Python could take for something else than a name.
FILE_NAME = '-it\'s [a] {b}\n"$(touch oops)" \\ \u202egnp.jpg'
START_DEADLINE_S = 60
ANSWER_MS = 60_000
# The line prints a Prediction; as JSON it can be compared.
AS_JSON = """
import json
from dataclasses import asdict
def print(prediction, write=print):
    write(json.dumps([asdict(score) for score in prediction.scores]))
"""


@pytest.fixture(scope="module")
def url(steady: ServerSettings) -> Iterator[str]:
    url = f"http://127.0.0.1:{(port := free_port())}"
    command = [
        sys.executable, "-m", "headswap", "page", f"--page-port={port}", f"--config={steady.config}",
        f"--model-store={steady.model_store}", f"--state={steady.state}",
    ]  # fmt: skip
    process = subprocess.Popen(command)
    deadline = time.monotonic() + START_DEADLINE_S
    while True:
        try:
            requests.get(f"{url}/sign-in", timeout=5)
            break
        except requests.ConnectionError:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)
    yield url
    process.terminate()
    assert process.wait(20) == 0


@pytest.fixture
def page(browser: Browser, url: str, steady: ServerSettings) -> Iterator[Page]:  # noqa: F811
    """Yield the page, signed in with the management token."""
    window = browser.new_context(base_url=url)
    window.set_default_timeout(60_000)
    yield sign_in(window.new_page(), token=read_token(steady.key_file, "management"))
    window.close()


def test_a_person_tries_a_photo_and_sees_the_version(page: Page) -> None:
    page.get_by_label("Heat map").check()
    page.locator("#choose").set_input_files(PHOTO)
    expect(page.locator(".bars .name").first).to_have_text("hat", timeout=ANSWER_MS)
    expect(page.get_by_role("img", name="Heat map")).to_be_visible(timeout=ANSWER_MS)
    page.goto("/versions")
    version = page.locator(".version", has=page.get_by_role("heading", name="clothing 1.0"))
    expect(version).to_contain_text("ready", timeout=ANSWER_MS)


def test_a_file_that_is_no_photo_is_said_beside_it_and_the_others_are_answered(
    page: Page, tmp_path: Path
) -> None:
    files = {
        "broken.jpg": PHOTO.read_bytes()[:2000],
        "document.pdf": b"%PDF-1.4\n" + b"x" * 2000,
        "large.jpg": PHOTO.read_bytes() + bytes(50_000_000),
        "phone.heic": HEIC.read_bytes(),
        "photo.jpg": PHOTO.read_bytes(),
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    page.locator("#choose").set_input_files([tmp_path / name for name in files])
    expect(page.locator("#count")).to_have_text("5 of 5 photos are answered.", timeout=ANSWER_MS)

    def answer(name: str) -> Locator:
        return page.locator(".result", has_text=name).locator(".answers")

    expect(answer("broken.jpg")).to_contain_text("cannot be decoded")
    expect(answer("document.pdf")).to_contain_text("This is a PDF document")
    expect(answer("large.jpg")).to_contain_text("the server takes at most 20 MB")
    for name in ("phone.heic", "photo.jpg"):
        expect(answer(name).locator(".bars li")).to_have_count(5)


@pytest.mark.parametrize("version", ["", "1.0"])
def test_the_lines_to_copy_give_the_same_answer(
    page: Page, steady: ServerSettings, tmp_path: Path, version: str
) -> None:
    (tmp_path / FILE_NAME).write_bytes(PHOTO.read_bytes())
    page.get_by_label("Version", exact=True).select_option(version)
    page.get_by_label("Classes shown").select_option("3")
    page.evaluate(
        """([name, bytes]) => {
          const data = new DataTransfer();
          data.items.add(new File([new Uint8Array(bytes)], name));
          document.dispatchEvent(new DragEvent("drop", {bubbles: true, cancelable: true, dataTransfer: data}));
        }""",
        [FILE_NAME, list(PHOTO.read_bytes())],
    )
    names = page.locator(".bars .name")
    expect(names).to_have_count(3, timeout=ANSWER_MS)
    shown = list(
        zip(
            names.all_text_contents(), page.locator(".bars .share").all_text_contents(), strict=True
        )
    )
    page.get_by_text("Send this from a program").click()
    expect(page.locator("pre")).to_have_count(3)
    curl, *scripts = page.locator("pre").all_text_contents()
    assert as_shown(json.loads(run(["bash", "-c", curl], steady, tmp_path))["predictions"]) == shown
    token = run(["bash", "-c", "headswap token"], steady, tmp_path).strip()
    for script in scripts:
        output = run(
            [sys.executable, "-c", AS_JSON + script], steady, tmp_path, HEADSWAP_TOKEN=token
        )
        assert as_shown(json.loads(output)) == shown
    assert [path.name for path in tmp_path.iterdir()] == [FILE_NAME]


def as_shown(scores: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Return classes and percentages as the page writes them."""
    return [(each["label"], percent(each["probability"])) for each in scores]


def percent(share: float) -> str:
    if 0 < share < 0.0005:
        return "< 0.1 %"
    return f"{share * 100:.0f} %" if share > 0.9995 else f"{share * 100:.1f} %"


def run(command: list[str], settings: ServerSettings, folder: Path, **environment: str) -> str:
    """Return what a command prints, run in the folder of the photo as on a person's terminal."""
    variables = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "HEADSWAP_CONFIG": str(settings.config),
        "HEADSWAP_STATE": str(settings.state),
        "HEADSWAP_MODEL_STORE": str(settings.model_store),
        **environment,
    }
    done = subprocess.run(
        command, cwd=folder, env=variables, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
