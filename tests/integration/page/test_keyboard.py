"""Every function of every page by keyboard alone."""

from pathlib import Path

from playwright.sync_api import Page, expect

from page.context import PageContext
from tests.integration.page.conftest import sign_in
from tests.integration.page.helpers import PHOTO
from tests.unit.page.helpers import PageServer, fill_capture


def tab_to(page: Page, what: str) -> None:
    """Press Tab until the element with this id, name or text has the focus."""
    seen = []
    for _ in range(40):
        page.keyboard.press("Tab")
        seen.append(
            page.evaluate(
                "(({id, ariaLabel, textContent}) => [id, ariaLabel, textContent.trim()])(document.activeElement)"
            )
        )
        if what in seen[-1]:
            return
    raise AssertionError(f"{what!r} is not reached: {seen}")


def test_sign_in_and_out(visitor: Page) -> None:
    visitor.goto("/")
    visitor.keyboard.type("manage")
    visitor.keyboard.press("Enter")
    expect(visitor).to_have_title("Try · headswap")
    visitor.keyboard.press("Tab")
    visitor.keyboard.press("Enter")
    expect(visitor.locator("#content")).to_be_focused()
    visitor.goto("/")
    tab_to(visitor, "Watch")
    visitor.keyboard.press("Enter")
    expect(visitor).to_have_title("Watch · headswap")
    tab_to(visitor, "sign-out")
    visitor.keyboard.press("Enter")
    expect(visitor).to_have_title("Sign in · headswap")


def test_try(visitor: Page, server: PageServer) -> None:
    server.loaded.add("2.0")
    visitor.context.grant_permissions(["clipboard-read", "clipboard-write"])
    sign_in(visitor)
    expect(visitor.locator("#model option")).to_have_count(1)
    # Around both: on a busy machine no chooser came once, where the key followed at once.
    with visitor.expect_file_chooser() as chosen:
        tab_to(visitor, "choose")
        visitor.keyboard.press("Enter")
    chosen.value.set_files(PHOTO)
    expect(visitor.locator(".result h3").first).to_have_text("Version 1.0")
    tab_to(visitor, "camera")
    tab_to(visitor, "version")
    visitor.keyboard.press("End")
    expect(visitor.locator(".result h3").first).to_have_text("Version 2.0")
    tab_to(visitor, "other")
    visitor.keyboard.press("ArrowDown")
    expect(visitor.locator(".answer h3")).to_have_text(["Version 2.0", "Version 1.0"])
    tab_to(visitor, "top-k")
    visitor.keyboard.press("ArrowUp")
    tab_to(visitor, "heat")
    visitor.keyboard.press("Space")
    expect(visitor.get_by_role("img", name="Heat map")).to_have_count(2)
    tab_to(visitor, "remove")
    tab_to(visitor, "Send this from a program")
    visitor.keyboard.press("Enter")
    tab_to(visitor, "Copy the curl lines")
    visitor.keyboard.press("Enter")
    expect(visitor.locator("#toast")).to_have_text("Copied.")
    copied = visitor.evaluate("navigator.clipboard.readText()")
    assert copied == visitor.locator("pre").first.text_content()
    visitor.locator("#remove").focus()
    visitor.keyboard.press("Enter")
    expect(visitor.locator(".result")).to_have_count(0)
    expect(visitor.locator("#choose")).to_be_focused()


def test_promote_roll_back_and_retire(visitor: Page, server: PageServer) -> None:
    sign_in(visitor, "/versions")
    expect(visitor.locator("#archive option")).to_have_text(["tiny-2.0.mar"])
    tab_to(visitor, "archive")
    tab_to(visitor, "Conditions it has to pass")
    visitor.keyboard.press("Enter")
    tab_to(visitor, "why")
    visitor.keyboard.type("better")
    visitor.keyboard.press("Enter")
    expect(visitor.locator("#confirm-title")).to_have_text("Make tiny-2.0.mar live?")
    visitor.keyboard.press("Escape")
    expect(visitor.locator("#confirm")).to_be_hidden()
    assert server.default == "1.0"
    tab_to(visitor, "Make it live …")
    visitor.keyboard.press("Enter")
    tab_to(visitor, "confirm-yes")
    visitor.keyboard.press("Enter")
    expect(visitor.locator("#steps")).to_contain_text("tiny 2.0 is live after")
    expect(visitor.locator("#outcome")).to_have_text("Done.")
    assert server.default == "2.0"
    expect(visitor.locator(".version").first).to_contain_text("better")
    tab_to(visitor, "Roll back to 1.0 …")
    visitor.keyboard.press("Space")
    tab_to(visitor, "confirm-yes")
    visitor.keyboard.press("Enter")
    expect(visitor.locator("#steps")).to_contain_text("tiny 1.0 is live again")
    expect(visitor.locator(".version").first).to_contain_text("tiny 1.0")
    assert server.default == "1.0"
    tab_to(visitor, "Retire …")
    visitor.keyboard.press("Enter")
    tab_to(visitor, "confirm-yes")
    visitor.keyboard.press("Enter")
    expect(visitor.locator(".version")).to_have_count(1)
    assert server.loaded == {"1.0"}


def test_review_by_tab_and_enter(visitor: Page, context: PageContext, tmp_path: Path) -> None:
    object.__setattr__(context, "capture", tmp_path / "captured")
    fill_capture(tmp_path / "captured")
    sign_in(visitor, "/review")
    progress = visitor.locator("#progress")
    expect(progress).to_have_text("0 labelled, 3 to go.")
    tab_to(visitor, "2dog")
    visitor.keyboard.press("Enter")
    expect(progress).to_have_text("1 labelled, 2 to go.")
    # The place is kept: a second photo of the same class needs no search for the button.
    visitor.keyboard.press("Enter")
    expect(progress).to_have_text("2 labelled, 1 to go.")
    tab_to(visitor, "undo")
    visitor.keyboard.press("Enter")
    expect(progress).to_have_text("1 labelled, 2 to go.")
    visitor.locator("#classes button").first.focus()
    tab_to(visitor, "skip")
    visitor.keyboard.press("Enter")
    visitor.locator("#classes button").first.focus()
    tab_to(visitor, "none")
    visitor.keyboard.press("Enter")
    expect(progress).to_have_text("2 labelled, 1 to go.")
    visitor.keyboard.press("Enter")
    expect(visitor.locator("#empty")).to_contain_text("All done: 3 photos are labelled.")
    tab_to(visitor, "Undo the last label")
    visitor.keyboard.press("Enter")
    expect(progress).to_have_text("2 labelled, 1 to go.")
