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


def render(request: Request, template: str, *, status: int = 200, **values: Any) -> Response:
    """Return a page from a template, with what the frame needs: who is signed in, and where."""
    person = getattr(request.state, "person", None)
    html = _environment.get_template(template).render(
        person=person,
        path=request.url.path,
        has_review=request.app.state.context.capture is not None,
        **values,
    )
    return HTMLResponse(html, status_code=status)
