"""The HTML of a page: the frame that all share, everything escaped."""

from pathlib import Path
from typing import Any

import jinja2
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

FOLDER = Path(__file__).parent
_environment = jinja2.Environment(
    autoescape=True,
    loader=jinja2.FileSystemLoader(FOLDER / "templates"),
    undefined=jinja2.StrictUndefined,
)


def wants_html(request: Request) -> bool:
    """Return whether a browser opens an address, rather than a script of the page asking for something."""
    return request.method == "GET" and "text/html" in request.headers.get("accept", "")


def render(request: Request, template: str, *, status: int = 200, **values: Any) -> Response:
    """Return a page from a template, with what the frame needs: who is signed in, and where."""
    person = getattr(request.state, "person", None)
    context = request.app.state.context
    html = _environment.get_template(template).render(
        person=person,
        path=request.url.path,
        has_review=context.capture is not None,
        uses_tokens=context.settings.uses_tokens,
        **values,
    )
    return HTMLResponse(html, status_code=status)
