"""Review in a real browser: one key a label, skip, none of these, undo."""

from pathlib import Path

import pytest
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
    visitor.keyboard.press("s")
    shows(ids[1])
    visitor.keyboard.press("2")
    shows(ids[2])
    visitor.keyboard.press("0")
    shows(ids[0])
    expect(visitor.locator("#progress")).to_have_text("2 labelled, 1 to go.")
    visitor.keyboard.press("u")
    expect(visitor.locator("#progress")).to_have_text("1 labelled, 2 to go.")
    shows(ids[2])
    visitor.get_by_role("button", name="dog").click()
    expect(visitor.locator("#progress")).to_have_text("2 labelled, 1 to go.")
    rows = (tmp_path / "captured" / "labels.csv").read_text().splitlines()
    assert [row.rpartition(",")[2] for row in rows[1:]] == ["dog", "dog"]


@pytest.fixture
def reviewing(visitor: Page, context: PageContext, tmp_path: Path) -> Page:
    """Return the page with three photos to label, signed in."""
    object.__setattr__(context, "capture", tmp_path / "captured")
    fill_capture(tmp_path / "captured")
    sign_in(visitor, "/review")
    expect(visitor.locator("#progress")).to_have_text("0 labelled, 3 to go.")
    return visitor


def labels(folder: Path) -> list[str]:
    rows = (folder / "captured" / "labels.csv").read_text().splitlines()[1:]
    return [row.rpartition(",")[2] for row in rows]


def test_a_session_that_ends_while_labelling_loses_nothing(
    reviewing: Page, context: PageContext, tmp_path: Path
) -> None:
    reviewing.keyboard.press("2")
    expect(reviewing.locator("#progress")).to_have_text("1 labelled, 2 to go.")
    context.sessions.close_all()
    reviewing.keyboard.press("0")
    dialog = reviewing.locator("#sign-in-again")
    expect(dialog).to_contain_text("Nothing is lost")
    # A token's characters are keys of labels too: they must not count while the form is open.
    reviewing.keyboard.type("20us")
    reviewing.keyboard.press("Enter")
    expect(dialog).to_contain_text("This is not the current token")
    reviewing.locator("#token-again").fill("manage")
    reviewing.keyboard.press("Enter")
    expect(reviewing.locator("#progress")).to_have_text("2 labelled, 1 to go.")
    assert labels(tmp_path) == ["dog", "none of these"]
    reviewing.keyboard.press("2")
    expect(reviewing.locator("#empty")).to_be_visible()
    assert labels(tmp_path) == ["dog", "none of these", "dog"]


def test_signing_in_can_wait_and_another_tab_may_do_it(
    reviewing: Page, context: PageContext, tmp_path: Path
) -> None:
    context.sessions.close_all()
    reviewing.keyboard.press("2")
    expect(reviewing.locator("#sign-in-again")).to_be_visible()
    reviewing.keyboard.press("Escape")
    expect(reviewing.locator("#problem")).to_contain_text("You are signed out.")
    tab = sign_in(reviewing.context.new_page(), "/review")
    expect(tab.locator("#progress")).to_have_text("0 labelled, 3 to go.")
    reviewing.keyboard.press("2")
    expect(reviewing.locator("#progress")).to_have_text("1 labelled, 2 to go.")
    assert labels(tmp_path) == ["dog"]


def test_a_network_that_is_cut_while_labelling_loses_nothing(
    reviewing: Page, tmp_path: Path
) -> None:
    reviewing.context.set_offline(True)
    reviewing.keyboard.press("2")
    expect(reviewing.locator("#problem")).to_contain_text("This device is offline.")
    reviewing.context.set_offline(False)
    reviewing.keyboard.press("2")
    expect(reviewing.locator("#progress")).to_have_text("1 labelled, 2 to go.")
    expect(reviewing.locator("#problem")).to_be_hidden()
    assert labels(tmp_path) == ["dog"]


def test_two_people_label_the_same_photo(reviewing: Page, tmp_path: Path) -> None:
    second = reviewing.context.new_page()
    second.goto("/review")
    expect(second.locator("#progress")).to_have_text("0 labelled, 3 to go.")
    reviewing.keyboard.press("2")
    expect(reviewing.locator("#progress")).to_have_text("1 labelled, 2 to go.")
    second.keyboard.press("0")
    expect(second.locator("#problem")).to_contain_text("labelled this photo meanwhile: dog.")
    expect(second.locator("#progress")).to_have_text("1 labelled, 2 to go.")
    assert labels(tmp_path) == ["dog"]


def test_a_class_that_the_network_does_not_know(reviewing: Page, tmp_path: Path) -> None:
    progress = reviewing.locator("#progress")
    reviewing.keyboard.press("+")
    reviewing.keyboard.type(" horse 2us0 ")
    reviewing.keyboard.press("Enter")
    expect(progress).to_have_text("1 labelled, 2 to go.")
    assert labels(tmp_path) == ["horse 2us0"]
    expect(reviewing.locator("#classes bdi").nth(2)).to_have_text("horse 2us0")
    reviewing.keyboard.press("3")
    expect(progress).to_have_text("2 labelled, 1 to go.")
    reviewing.keyboard.press("+")
    reviewing.keyboard.type("a/b")
    reviewing.keyboard.press("Enter")
    expect(reviewing.locator("#problem")).to_contain_text("cannot be the name of a class folder")
    reviewing.keyboard.press("+")
    reviewing.keyboard.type("DOG")
    reviewing.keyboard.press("Enter")
    expect(reviewing.locator("#empty")).to_be_visible()
    assert labels(tmp_path) == ["horse 2us0", "horse 2us0", "dog"]
