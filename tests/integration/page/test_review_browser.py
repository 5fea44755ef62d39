"""Review in a real browser: one key a label, skip, none of these, undo."""

from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from page.context import PageContext
from tests.integration.page.conftest import sign_in
from tests.unit.page.helpers import fill_capture


def test_photos_are_labelled_by_single_keys(
    visitor: Page, context: PageContext, tmp_path: Path
) -> None:
    object.__setattr__(context, "capture", tmp_path / "captured")
    ids = fill_capture(tmp_path / "captured")
    picture = visitor.locator("#picture")

    def shows(sha256: str) -> None:
        expect(picture).to_have_attribute("src", f"/api/review/photo/{sha256}")

    sign_in(visitor, "/review")
    shows(ids[0])
    faults = Axe().run(visitor).response["violations"]
    assert [f["id"] for f in faults if f["impact"] in ("serious", "critical")] == []
    visitor.keyboard.press("s")
    shows(ids[1])
    visitor.keyboard.press("2")
    shows(ids[2])
    visitor.keyboard.press("0")
    shows(ids[0])
    expect(visitor.locator("#progress")).to_have_text("2 labelled, 1 to go.")
    visitor.keyboard.press("u")
    expect(visitor.locator("#progress")).to_have_text("1 labelled, 2 to go.")
    visitor.get_by_role("button", name="dog").click()
    expect(visitor.locator("#progress")).to_have_text("2 labelled, 1 to go.")
    rows = (tmp_path / "captured" / "labels.csv").read_text().splitlines()
    assert [row.rpartition(",")[2] for row in rows[1:]] == ["dog", "dog"]
