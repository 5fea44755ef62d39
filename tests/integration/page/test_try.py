"""Try in a real browser: photos of any name, number and kind, and the network that goes away."""

import threading

import pytest
from playwright.sync_api import Page, expect

from page.context import PageContext
from serving.client.transport import Request
from tests.integration.page.conftest import sign_in
from tests.integration.page.helpers import PHOTO, photo_files, serious_faults, try_photo
from tests.unit.page.helpers import HOSTILE_CLASS, PageServer, png

HOSTILE_NAMES = [
    "<img src=x onerror=alert(1)>.png", "\u202egnp.exe", "a\nb.png", "x" * 255, "‏שלום.png", "", "\u200b",
]  # fmt: skip
MEGABYTE = 1_000_000


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
        photo_files(visitor, event, (f"{event}.png", "image/png", png()))
        expect(visitor.locator("figcaption", has_text=f"{event}.png")).to_be_visible()
    expect(visitor.locator(".result .bars")).to_have_count(2)


def test_names_of_any_kind_stay_names(visitor: Page, server: PageServer) -> None:
    server.names = HOSTILE_NAMES
    visitor.set_viewport_size({"width": 400, "height": 900})
    sign_in(visitor)
    visitor.get_by_label("Heat map").check()
    photo_files(visitor, "drop", *[(name, "image/png", png()) for name in HOSTILE_NAMES])
    expect(visitor.locator(".result .bars")).to_have_count(len(HOSTILE_NAMES))
    shown = visitor.locator(".result figcaption[title]").evaluate_all(
        "all => all.map((each) => each.textContent)"
    )
    assert shown == [*HOSTILE_NAMES[:5], "pasted photo", "(no name)"]
    labels = (
        visitor.locator(".bars")
        .first.locator("bdi")
        .evaluate_all(
            "all => all.map((each) => [each.textContent, getComputedStyle(each).unicodeBidi])"
        )
    )
    names = [*HOSTILE_NAMES[:5], "(no name)", "(no name)"]
    assert labels == [[name, "isolate"] for name in names]
    assert visitor.locator("img[src=x]").count() == 0
    assert visitor.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    assert serious_faults(visitor) == []


def test_two_hundred_photos_are_answered_and_a_bad_one_stops_none(
    visitor: Page, context: PageContext
) -> None:
    context.settings.properties["max_request_size"] = str(20 * MEGABYTE)
    sign_in(visitor)
    visitor.evaluate(
        """([bytes, large]) => {
          const data = new DataTransfer();
          const add = (content, name) => data.items.add(new File([content], name, {type: "image/png"}));
          add(new Uint8Array(large), "large.png");
          add("", "empty.png");
          for (let n = 0; n < 210; n += 1) add(new Uint8Array(bytes), `${n}.png`);
          document.dispatchEvent(new DragEvent("drop", {bubbles: true, cancelable: true, dataTransfer: data}));
        }""",
        [list(png(side_px=8)), 50 * MEGABYTE],
    )
    expect(visitor.locator("#problem")).to_contain_text("200 of 212 were added")
    expect(visitor.locator("#count")).to_have_text("200 of 200 photos are answered.")
    expect(visitor.locator("#done")).to_have_text("200 of 200 photos are answered.")
    assert visitor.locator(".result .bars").count() == 198
    large = visitor.locator(".result", has_text="large.png").locator(".notice")
    expect(large).to_contain_text("This file has 50 MB; the server takes at most 20 MB.")
    empty = visitor.locator(".result", has_text="empty.png").locator(".notice")
    expect(empty).to_have_text("This file is empty.")
    visitor.get_by_role("button", name="Remove all photos").click()
    expect(visitor.locator(".result")).to_have_count(0)


def test_what_was_asked_with_other_settings_is_not_shown(
    visitor: Page, server: PageServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    send, may_answer = server.send, threading.Event()

    def send_late(request: Request, *, timeout_s: float) -> bytes:
        assert request.version is not None or may_answer.wait(60)
        return send(request, timeout_s=timeout_s)

    monkeypatch.setattr(server, "send", send_late)
    server.loaded.add("2.0")
    sign_in(visitor)
    visitor.locator("#choose").set_input_files(PHOTO)
    expect(visitor.locator(".answers")).to_have_text("Asking the server …")
    visitor.get_by_label("Version", exact=True).select_option("2.0")
    expect(visitor.locator(".result h3").first).to_have_text("Version 2.0")
    may_answer.set()
    visitor.locator("#choose").set_input_files(PHOTO)
    expect(visitor.locator(".answer h3")).to_have_text(["Version 2.0", "Version 2.0"])


def test_a_network_that_is_cut_loses_nothing(visitor: Page) -> None:
    sign_in(visitor)
    expect(visitor.locator("#model option")).to_have_count(1)
    visitor.context.set_offline(True)
    visitor.locator("#choose").set_input_files(PHOTO)
    expect(visitor.locator(".result .notice")).to_contain_text("This device is offline.")
    visitor.context.set_offline(False)
    visitor.get_by_role("button", name="Try again").click()
    expect(visitor.locator(".result .bars")).to_be_visible()


@pytest.mark.parametrize("status", [503, 409, 400])
def test_what_the_server_refuses_is_said_beside_the_photo(visitor: Page, status: int) -> None:
    sign_in(visitor)
    visitor.route(
        "**/api/predict?**", lambda route: route.fulfill(status=status, json={"error": "Not now."})
    )
    visitor.locator("#choose").set_input_files(PHOTO)
    expect(visitor.locator(".result .notice")).to_have_text("Not now.")
    again = visitor.get_by_role("button", name="Try again")
    expect(again).to_have_count(1 if status == 503 else 0)


def test_a_photo_waits_for_a_server_that_is_not_there_yet(
    visitor: Page, server: PageServer
) -> None:
    server.loaded.clear()
    visitor.clock.install()
    sign_in(visitor)
    expect(visitor.locator("#problem")).to_contain_text("No model is loaded yet.")
    visitor.locator("#choose").set_input_files(PHOTO)
    expect(visitor.locator(".answers")).to_have_text("Waiting …")
    server.loaded.add("1.0")
    visitor.clock.fast_forward(5000)
    expect(visitor.locator(".result .bars")).to_be_visible()
    expect(visitor.locator("#problem")).to_be_hidden()


def test_the_models_that_come_late_do_not_wipe_out_what_is_said_of_the_photos(
    visitor: Page, server: PageServer
) -> None:
    server.loaded.clear()
    visitor.clock.install()
    sign_in(visitor)
    problem = visitor.locator("#problem")
    expect(problem).to_contain_text("No model is loaded yet.")
    photo_files(visitor, "drop", *[(f"{n}.png", "image/png", png()) for n in range(201)])
    expect(problem).to_contain_text("No model is loaded yet.")
    expect(problem).to_contain_text("200 of 201 were added")
    server.loaded.add("1.0")
    visitor.clock.fast_forward(5000)
    expect(visitor.locator("#count")).to_have_text("200 of 200 photos are answered.")
    expect(problem).not_to_contain_text("No model is loaded yet.")
    expect(problem).to_contain_text("200 of 201 were added")
    visitor.get_by_role("button", name="Remove all photos").click()
    expect(problem).to_be_hidden()
