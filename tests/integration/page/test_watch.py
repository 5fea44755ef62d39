"""Watch in a real browser: what was counted, what changed with a version, and a server that goes and comes back."""

from playwright.sync_api import Page, expect

from page.context import PageContext
from serving.errors import UnreachableError
from serving.rollout.promotion import promote
from tests.integration.page.conftest import sign_in
from tests.integration.page.helpers import METRICS, fill_history
from tests.unit.page.helpers import PageServer

REFRESH_MS = 5000


def test_watch_shows_what_was_counted(
    visitor: Page, context: PageContext, server: PageServer
) -> None:
    fill_history(context, server)
    sign_in(visitor, "/watch")
    expect(visitor.locator("#charts .chart")).to_have_count(6)
    expect(visitor.locator("#shares")).to_contain_text("<b>cat</b>")
    expect(visitor.locator("#shares")).to_contain_text("91 photos")


def test_a_promotion_is_a_line_in_every_chart(
    visitor: Page, context: PageContext, server: PageServer
) -> None:
    fill_history(context, server)
    promote(context.session, context.settings.model_store / "tiny-2.0.mar", report=lambda _: None)
    both = METRICS + METRICS.replace('version="1.0"', 'version="2.0"')
    server.metrics[:] = [both.format(n * 10, n * 3, n * 13) for n in range(8, 12)]
    for _ in range(4):
        context.history.look(context.session)
    sign_in(visitor, "/watch")
    for version in ("1.0", "2.0"):
        card = visitor.locator("#shares .card", has_text=f"tiny {version}")
        expect(card).to_contain_text("went live on")
        expect(card.locator(".legend li")).to_have_text(["dog", "<b>cat</b>"])
    confidence = visitor.locator(".chart", has_text="Confidence")
    expect(confidence.locator(".legend li")).to_have_text(["tiny 1.0", "tiny 2.0"])


def test_a_server_that_goes_is_said_and_its_return_seen(
    visitor: Page, context: PageContext, server: PageServer
) -> None:
    fill_history(context, server)
    visitor.clock.install()
    sign_in(visitor, "/watch")
    workers = visitor.locator(".chart", has_text="Workers").locator(".value")
    expect(workers).to_have_text("1 of 1 ready")
    server.faults["metrics"] = UnreachableError("the metrics page does not answer.")
    context.history.look(context.session)
    visitor.clock.fast_forward(REFRESH_MS)
    problem = visitor.locator("#problem")
    expect(problem).to_contain_text("this page goes on by itself")
    expect(workers).to_have_text("not known now")
    del server.faults["metrics"]
    context.history.look(context.session)
    visitor.clock.fast_forward(REFRESH_MS)
    expect(problem).to_be_hidden()
    expect(workers).to_have_text("1 of 1 ready")
