"""Each page, and what may stand on it, at 400 and 1,400 px, light and dark: no serious fault for axe, none too wide."""

from itertools import product
from pathlib import Path
from typing import Any, Literal

from playwright.sync_api import Page, expect

from page.context import PageContext
from serving.errors import UnreachableError
from tests.integration.page.conftest import sign_in
from tests.integration.page.helpers import fill_history, serious_faults, try_photo
from tests.unit.page.helpers import PageServer, fill_capture

WIDTHS_PX = (400, 1400)
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")


class Checked:
    """Faults by what was looked at."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.looked = 0
        self.faults: dict[str, Any] = {}

    def look(self, what: str) -> None:
        self.looked += 1
        for width_px, scheme in product(WIDTHS_PX, SCHEMES):
            self.page.set_viewport_size({"width": width_px, "height": 900})
            self.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            faults = serious_faults(self.page)
            overflow_px = self.page.evaluate("document.documentElement.scrollWidth - innerWidth")
            if overflow_px > 0:
                faults.append(f"{overflow_px} px too wide")
            if faults:
                self.faults[f"{what}, {width_px} px, {scheme}"] = faults


def test_each_page_is_accessible(
    visitor: Page, context: PageContext, server: PageServer, tmp_path: Path
) -> None:
    object.__setattr__(context, "capture", tmp_path / "captured")
    fill_capture(tmp_path / "captured")
    fill_history(context, server)
    checked = Checked(visitor)
    look_at_sign_in(visitor, checked)
    look_at_try(visitor, checked, server)
    look_at_versions(visitor, checked)
    look_at_watch(visitor, checked, server, context)
    look_at_review(visitor, checked, context)
    assert checked.faults == {}
    assert checked.looked == 12


def look_at_sign_in(page: Page, checked: Checked) -> None:
    page.goto("/")
    page.get_by_label("Token").fill("wrong")
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator("#problem")).to_be_visible()
    checked.look("sign in")
    sign_in(page, "/")
    page.goto("/nothing")
    expect(page.locator("main")).to_contain_text("There is no page at this address.")
    checked.look("an error")


def look_at_try(page: Page, checked: Checked, server: PageServer) -> None:
    page.goto("/")
    checked.look("try, empty")
    page.get_by_label("Heat map").check()
    try_photo(page)
    server.outcome = "unknown"
    try_photo(page)
    page.locator("#choose").set_input_files(
        {"name": "empty.png", "mimeType": "image/png", "buffer": b""}
    )
    expect(page.locator(".notice.bad:visible")).to_have_count(1)
    expect(page.locator(".badge.unknown")).to_have_count(1)
    expect(page.locator(".heat")).to_have_count(2)
    page.get_by_text("Send this from a program").first.click()
    checked.look("try")


def look_at_versions(page: Page, checked: Checked) -> None:
    page.goto("/versions")
    expect(page.locator(".version")).to_have_count(1)
    page.get_by_text("Conditions it has to pass").click()
    checked.look("versions")
    page.get_by_role("button", name="Make it live …").click()
    checked.look("versions, the question")
    page.get_by_role("button", name="Make it live", exact=True).click()
    expect(page.locator("#outcome")).to_have_text("Done.")
    expect(page.locator(".version")).to_have_count(2)
    checked.look("versions, the steps")


def look_at_watch(page: Page, checked: Checked, server: PageServer, context: PageContext) -> None:
    page.goto("/watch")
    expect(page.locator("#charts svg[role=img]")).to_have_count(6)
    checked.look("watch")
    server.faults["metrics"] = UnreachableError("the metrics page does not answer.")
    context.history.look(context.session)
    page.reload()
    expect(page.locator("#charts .value").first).to_have_text("not known now")
    checked.look("watch, the server is gone")


def look_at_review(page: Page, checked: Checked, context: PageContext) -> None:
    page.goto("/review")
    expect(page.locator("#picture")).to_be_visible()
    checked.look("review")
    context.sessions.close_all()
    page.keyboard.press("0")
    expect(page.locator("#sign-in-again")).to_be_visible()
    checked.look("sign in again")
    page.locator("#token-again").fill("manage")
    page.keyboard.press("Enter")
    expect(page.locator("#progress")).to_have_text("1 labelled, 2 to go.")
    for left in (1, 0):
        page.keyboard.press("2")
        expect(page.locator("#progress")).to_contain_text(f"{left} to go.")
    expect(page.locator("#empty")).to_be_visible()
    checked.look("review, done")
