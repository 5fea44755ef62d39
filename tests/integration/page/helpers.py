"""What the tests of the page in a browser share: counters, photos, and what axe finds."""

from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from page.context import PageContext
from tests.unit.page.helpers import PageServer, png

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


def photo_files(page: Page, event: str, *files: tuple[str, str, bytes]) -> None:
    """Paste or drop files, each a name, a media type and its bytes."""
    page.evaluate(
        """([type, files]) => {
          const data = new DataTransfer();
          for (const [name, media, bytes] of files) {
            data.items.add(new File([new Uint8Array(bytes)], name, {type: media}));
          }
          const options = {bubbles: true, cancelable: true};
          document.dispatchEvent(type === "paste" ? new ClipboardEvent("paste", {...options, clipboardData: data})
            : new DragEvent("drop", {...options, dataTransfer: data}));
        }""",
        [event, [(name, media, list(data)) for name, media, data in files]],
    )


def serious_faults(page: Page) -> list[Any]:
    found = Axe().run(page).response["violations"]
    return [
        (fault["id"], [node["target"] for node in fault["nodes"]])
        for fault in found
        if fault["impact"] in ("serious", "critical")
    ]
