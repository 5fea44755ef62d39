"""`headswap page` beside a real server, in a real browser: sign in, try a photo with its heat map, see it counted."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from playwright.sync_api import Browser, expect

from serving.client.tokens import read_token
from serving.settings import ServerSettings
from tests.helpers import free_port
from tests.integration.page.conftest import browser, sign_in  # noqa: F401

PHOTO = min((Path(__file__).parents[4] / "sample_data/clothing/test/hat").glob("*.jpg"))
START_DEADLINE_S = 60


@pytest.fixture
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


def test_a_person_tries_a_photo_and_sees_the_version(
    browser: Browser,  # noqa: F811
    url: str,
    steady: ServerSettings,
) -> None:
    window = browser.new_context(base_url=url)
    page = sign_in(window.new_page(), token=read_token(steady.key_file, "management"))
    page.get_by_label("Heat map").check()
    page.locator("#choose").set_input_files(PHOTO)
    expect(page.locator(".bars .name").first).to_have_text("hat", timeout=30_000)
    expect(page.get_by_role("img", name="Heat map")).to_be_visible(timeout=60_000)
    page.goto("/versions")
    version = page.locator(".version", has=page.get_by_role("heading", name="clothing 1.0"))
    expect(version).to_contain_text("ready")
    window.close()
