"""Versions in a real browser: the steps stay after a reload, and two people at once do not meet."""

import threading

import pytest
from playwright.sync_api import Browser, Page, expect

from page.context import PageContext
from serving.rollout.live_record import locked
from tests.integration.page.conftest import sign_in
from tests.unit.page.helpers import PageServer

REFRESH_MS = 5000


def promote(page: Page) -> None:
    page.get_by_role("button", name="Make it live …").click()
    page.get_by_role("button", name="Make it live", exact=True).click()


def test_the_second_person_sees_what_the_first_has_begun(
    visitor: Page, browser: Browser, url: str, server: PageServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    register, may_go_on = server.register, threading.Event()

    def register_slowly(archive_name: str, *, workers: int) -> None:
        assert may_go_on.wait(60)
        register(archive_name, workers=workers)

    monkeypatch.setattr(server, "register", register_slowly)
    window = browser.new_context(base_url=url)
    second = window.new_page()
    second.clock.install()
    sign_in(second, "/versions")
    expect(second.locator("#archive option")).to_have_count(1)
    sign_in(visitor, "/versions")
    expect(visitor.locator("#archive option")).to_have_count(1)
    promote(visitor)
    expect(visitor.locator("#timeline-title")).to_have_text("Promote tiny-2.0.mar")
    promote(second)
    refused = second.locator("#problem")
    expect(refused).to_contain_text("'Promote tiny-2.0.mar' is still running here; wait")
    with second.expect_response("**/api/versions"):
        second.reload()
    promote(second)
    # It stays: the next refresh does not wipe it away.
    with second.expect_response("**/api/versions"):
        second.clock.fast_forward(REFRESH_MS)
    expect(refused).to_contain_text("is still running here")
    expect(second.locator("#timeline-title")).to_have_text("Promote tiny-2.0.mar")
    may_go_on.set()
    second.clock.resume()
    for page in (visitor, second):
        expect(page.locator("#outcome")).to_have_text("Done.")
        expect(page.locator("#steps")).to_contain_text("tiny 2.0 is live after")
    visitor.reload()
    expect(visitor.locator("#outcome")).to_have_text("Done.")
    expect(visitor.locator("#steps")).to_contain_text("tiny 2.0 is live after")
    expect(visitor.locator("#archive option")).to_have_text(["tiny-1.0.mar (kept)"])
    window.close()


def test_a_command_holds_the_lock(visitor: Page, context: PageContext, server: PageServer) -> None:
    sign_in(visitor, "/versions")
    expect(visitor.locator("#archive option")).to_have_count(1)
    with locked(context.settings.model_store):
        promote(visitor)
        expect(visitor.locator("#outcome")).to_contain_text("Not done.")
    expect(visitor.locator("#steps")).to_contain_text("another promotion or rollback holds")
    assert server.default == "1.0"
