"""Each page by mouse and by keyboard, at 400 and 1,400 px, in light and dark, without a serious fault for axe."""

from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from page.context import PageContext
from tests.integration.page.conftest import sign_in
from tests.unit.page.helpers import HOSTILE_CLASS, PageServer, png

PHOTO = {"name": "<b>hostile</b> $(id) 'name'.png", "mimeType": "image/png", "buffer": png()}
METRICS = """
# TYPE handler_predictions_total counter
handler_predictions_total{{model="tiny",version="1.0",transport="http",label="dog"}} {0}.0
handler_predictions_total{{model="tiny",version="1.0",transport="http",label="<b>cat</b>"}} {1}.0
# TYPE handler_errors_total counter
handler_errors_total{{model="tiny",version="1.0",transport="http",code="undecodable_image"}} 3.0
# TYPE handler_total_seconds histogram
handler_total_seconds_bucket{{model="tiny",version="1.0",transport="http",le="0.025"}} {0}.0
handler_total_seconds_bucket{{model="tiny",version="1.0",transport="http",le="+Inf"}} {0}.0
# TYPE handler_confidence histogram
handler_confidence_sum{{model="tiny",version="1.0",transport="http"}} {0}.0
handler_confidence_count{{model="tiny",version="1.0",transport="http"}} {2}.0
"""


def fill_history(context: PageContext, server: PageServer) -> None:
    server.metrics[:] = [METRICS.format(n * 10, n * 3, n * 13) for n in range(8)]
    for _ in range(8):
        context.history.look(context.session)


def try_photo(page: Page) -> None:
    page.locator("#choose").set_input_files(PHOTO)
    expect(page.locator(".bars .name").first).to_be_visible()


def serious_faults(page: Page) -> list[Any]:
    found = Axe().run(page).response["violations"]
    return [
        (fault["id"], [node["target"] for node in fault["nodes"]])
        for fault in found
        if fault["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width_px", [400, 1400])
def test_each_page_is_accessible(
    browser: Browser, url: str, context: PageContext, server: PageServer, width_px: int, scheme: Any
) -> None:
    fill_history(context, server)
    window = browser.new_context(
        base_url=url, viewport={"width": width_px, "height": 900}, color_scheme=scheme
    )
    page = window.new_page()
    page.emulate_media(reduced_motion="reduce")
    page.goto("/")
    assert serious_faults(page) == []
    sign_in(page, "/")
    faults: dict[str, Any] = {}
    for path in ("/", "/versions", "/watch"):
        page.goto(path)
        if path == "/":
            try_photo(page)
            page.get_by_text("Send this from a program").click()
        if path == "/versions":
            expect(page.locator(".version")).to_have_count(1)
            page.get_by_text("Conditions it has to pass").click()
        if path == "/watch":
            expect(page.locator("#charts svg[role=img]")).to_have_count(6)
        faults[path] = serious_faults(page)
        overflow_px = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert overflow_px <= 0, path
    window.close()
    assert faults == {"/": [], "/versions": [], "/watch": []}


def test_a_photo_is_tried_by_mouse(visitor: Page) -> None:
    sign_in(visitor)
    visitor.get_by_label("Heat map").check()
    try_photo(visitor)
    result = visitor.locator(".result")
    expect(result).to_contain_text("Version 1.0")
    expect(result).to_contain_text("ms")
    expect(result.locator(".bars li")).to_have_count(2)
    expect(result.get_by_role("img", name="Heat map")).to_be_visible()


def test_two_versions_stand_side_by_side(visitor: Page, server: PageServer) -> None:
    server.loaded.add("2.0")
    sign_in(visitor)
    visitor.get_by_label("Compare with").select_option("2.0")
    try_photo(visitor)
    expect(visitor.locator(".result h3", has_text="Version")).to_have_text(
        ["Version 1.0", "Version 2.0"]
    )


def test_none_of_these_is_shown_as_such(visitor: Page, server: PageServer) -> None:
    server.outcome = "unknown"
    sign_in(visitor)
    try_photo(visitor)
    expect(visitor.locator(".result .badge")).to_have_text("none of these")


def test_a_hostile_name_stays_text(visitor: Page) -> None:
    sign_in(visitor)
    try_photo(visitor)
    expect(visitor.locator(".bars .name", has_text="<img src=x")).to_have_text(HOSTILE_CLASS)
    expect(visitor.locator("figcaption").first).to_have_text(PHOTO["name"])
    assert visitor.locator("img[src=x]").count() == 0
    assert visitor.title() == "Try · headswap"


def test_the_policy_blocks_a_script_that_got_in(visitor: Page) -> None:
    sign_in(visitor)
    visitor.evaluate(
        """() => {
          window.blocked = [];
          document.addEventListener("securitypolicyviolation", (event) => blocked.push(event.effectiveDirective));
          const script = document.createElement("script");
          try { script.textContent = "window.broken = true"; } catch { blocked.push("trusted-types"); }
          document.head.append(script);
          const image = document.createElement("img");
          image.setAttribute("src", "/nothing");
          try { image.setAttribute("onerror", "window.broken = true"); } catch { blocked.push("trusted-types"); }
          document.body.append(image);
          const html = "<img src=/nothing onerror='window.broken = true'>";
          try { document.body.innerHTML += html; } catch { blocked.push("trusted-types"); }
        }"""
    )
    visitor.wait_for_function("blocked.length >= 2")
    assert visitor.evaluate("window.broken") is None


def test_a_photo_is_pasted_and_one_dropped(visitor: Page) -> None:
    sign_in(visitor)
    for event in ("paste", "drop"):
        visitor.evaluate(
            """([type, bytes]) => {
              const data = new DataTransfer();
              data.items.add(new File([new Uint8Array(bytes)], `${type}.png`, {type: "image/png"}));
              const options = {bubbles: true, cancelable: true};
              document.dispatchEvent(type === "paste" ? new ClipboardEvent("paste", {...options, clipboardData: data})
                : new DragEvent("drop", {...options, dataTransfer: data}));
            }""",
            [event, list(png())],
        )
        expect(visitor.locator("figcaption", has_text=f"{event}.png")).to_be_visible()
    expect(visitor.locator(".result .bars")).to_have_count(2)


def test_promote_and_roll_back_by_keyboard(visitor: Page, server: PageServer) -> None:
    sign_in(visitor, "/versions")
    expect(visitor.locator("#archive option")).to_have_text(["tiny-2.0.mar"])
    visitor.locator("#archive").focus()
    for _ in range(3):
        visitor.keyboard.press("Tab")
        if visitor.evaluate("document.activeElement.textContent").startswith("Make it live"):
            break
    visitor.keyboard.press("Enter")
    expect(visitor.locator("#confirm-title")).to_have_text("Make tiny-2.0.mar live?")
    visitor.keyboard.press("Escape")
    assert server.default == "1.0"
    visitor.keyboard.press("Enter")
    visitor.keyboard.press("Tab")
    visitor.keyboard.press("Enter")
    expect(visitor.locator("#steps")).to_contain_text("tiny 2.0 is live after")
    expect(visitor.locator("#outcome")).to_have_text("Done.")
    assert server.default == "2.0"
    back = visitor.get_by_role("button", name="Roll back to 1.0")
    back.focus()
    visitor.keyboard.press("Space")
    visitor.get_by_role("button", name="Roll back", exact=True).press("Enter")
    expect(visitor.locator("#steps")).to_contain_text("tiny 1.0 is live again")
    assert server.default == "1.0"


def test_watch_shows_what_was_counted(
    visitor: Page, context: PageContext, server: PageServer
) -> None:
    fill_history(context, server)
    sign_in(visitor, "/watch")
    expect(visitor.locator("#charts .chart")).to_have_count(6)
    expect(visitor.locator("#shares")).to_contain_text("<b>cat</b>")
    expect(visitor.locator("#shares")).to_contain_text("91 photos")


def test_everything_is_reached_by_tab(visitor: Page) -> None:
    sign_in(visitor)
    visitor.locator("body").press("Tab")
    reached = []
    for _ in range(14):
        reached.append(
            visitor.evaluate("document.activeElement.id || document.activeElement.textContent")
        )
        visitor.keyboard.press("Tab")
    controls = ["choose", "camera", "model", "version", "other", "top-k", "heat"]
    expected = ["Versions", "Watch", "sign-out", *controls]
    assert [name for name in reached if name in expected] == expected
