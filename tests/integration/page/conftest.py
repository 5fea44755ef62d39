"""The page in a real Chromium: uvicorn in a thread, over a TorchServe in memory."""

import shutil
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import uvicorn
from playwright.sync_api import Browser, Page, expect, sync_playwright

from page.access import Access
from page.app import create_app
from page.context import PageContext
from tests.helpers import free_port
from tests.unit.conftest import archive_maker, key_file_writer, settings_of  # noqa: F401
from tests.unit.page.conftest import archives, context, log, server  # noqa: F401
from tests.unit.serving.rollout.conftest import settings  # noqa: F401

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
ARGUMENTS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage",
]  # fmt: skip
DEADLINE_S = 20


@contextmanager
def chromium() -> Iterator[Browser]:
    """Yield a browser. Meanwhile Playwright's event loop is the thread's, and asyncio.run is refused."""
    if BROWSER is None:
        pytest.skip("Chromium is not installed")
    expect.set_options(timeout=DEADLINE_S * 1000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def url(context: PageContext) -> Iterator[str]:  # noqa: F811
    """Yield the address of the page, which runs until the test has ended."""
    with serving_page(context) as url:
        yield url


@contextmanager
def serving_page(context: PageContext) -> Iterator[str]:  # noqa: F811
    """Serve the page in a thread; yield its address."""
    port = free_port()
    object.__setattr__(context, "access", Access(port=port))
    with socket.create_server(("127.0.0.1", port)) as listener:
        config = uvicorn.Config(create_app(context), log_level="error", timeout_graceful_shutdown=1)
        uvicorn_server = uvicorn.Server(config)
        thread = threading.Thread(target=uvicorn_server.run, kwargs={"sockets": [listener]})
        thread.start()
        yield f"http://127.0.0.1:{port}"
        uvicorn_server.should_exit = True
        thread.join(DEADLINE_S)


@pytest.fixture
def visitor(browser: Browser, url: str) -> Iterator[Page]:
    """Yield a browser window that nobody has signed in with; it fails the test at an error of a script."""
    window = browser.new_context(base_url=url, viewport={"width": 1400, "height": 900})
    window.set_default_timeout(DEADLINE_S * 1000)
    page = window.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    window.close()
    assert errors == []


def sign_in(page: Page, path: str = "/", token: str = "manage") -> Page:
    page.goto(path)
    page.get_by_label("Token").fill(token)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"**{path}")
    return page


def wait_until(condition: object, deadline_s: float = DEADLINE_S) -> None:
    deadline = time.monotonic() + deadline_s
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.05)
