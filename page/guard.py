"""What every request passes: the right host, a signed-in person, their own origin and CSRF token; strict headers."""

import secrets
from collections.abc import MutableMapping
from typing import Any
from urllib.parse import quote

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from page.context import PageContext
from page.errors import answer_error
from page.rendering import wants_html
from page.sessions import Role, SignedIn

SAFE_METHODS = frozenset({"GET", "HEAD"})
PUBLIC_PATHS = frozenset({"/sign-in"})
INFERENCE_PATHS = frozenset(
    {
        "/", "/api/models", "/api/predict", "/api/heat-map", "/api/csrf-token", "/api/sign-out",
        "/openapi.json",
    }
)  # fmt: skip
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; "
        "trusted-types 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}


class Guard:
    """Pure ASGI middleware; a path that is not listed above needs the management token."""

    def __init__(self, app: ASGIApp, context: PageContext) -> None:
        self._app, self._context = app, context

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                _add_headers(message, is_static=scope["path"].startswith("/static/"))
            await send(message)

        refusal = self._refusal(Request(scope))
        await (refusal or self._app)(scope, receive, send_with_headers)

    def _refusal(self, request: Request) -> Response | None:
        """Return the answer to a request that may not pass; None where it may."""
        if not self._context.access.allows_host(request.headers.get("host", "")):
            sentence = f"This page does not answer under this host name; open {self._context.access.url} instead."
            return answer_error(request, 400, sentence)
        is_change = request.method not in SAFE_METHODS
        if is_change and not self._has_own_origin(request):
            sentence = "This request came from another site and was refused."
            return answer_error(request, 403, sentence)
        if request.url.path in PUBLIC_PATHS or request.url.path.startswith("/static/"):
            return None
        person = self._context.sessions.find(request.cookies.get(cookie_name(self._context)))
        role = needed_role(request.url.path)
        if person is None or not person.may(role):
            return _ask_to_sign_in(request, role, is_known=person is not None)
        if is_change and not _has_csrf_token(request, person):
            sentence = "This page is out of date; load it again."
            return answer_error(request, 403, sentence, code="csrf_token")
        request.state.person = person
        return None

    def _has_own_origin(self, request: Request) -> bool:
        # Browsers send Origin with every change. What sends none is not a page, and has no business here.
        origin, host = request.headers.get("origin", ""), request.headers.get("host", "")
        return self._context.access.allows_origin(origin, host)


def needed_role(path: str) -> Role:
    return "inference" if path in INFERENCE_PATHS else "management"


def cookie_name(context: PageContext) -> str:
    # Browsers take a __Host- cookie only by https, for this host alone.
    return "__Host-headswap" if context.access.is_secure else "headswap"


def _has_csrf_token(request: Request, person: SignedIn) -> bool:
    given = request.headers.get("x-csrf-token", "").encode(errors="replace")
    return secrets.compare_digest(given, person.csrf_token.encode())


def _ask_to_sign_in(request: Request, role: Role, *, is_known: bool) -> Response:
    if wants_html(request):
        target = f"/sign-in?next={quote(request.url.path)}"
        return RedirectResponse(target, status_code=303)
    if is_known:
        sentence = "This needs the management token; sign in with it."
        return answer_error(request, 403, sentence)
    return answer_error(request, 401, f"Sign in with the {role} token first.")


def _add_headers(message: MutableMapping[str, Any], *, is_static: bool) -> None:
    headers = MutableHeaders(scope=message)
    for name, value in HEADERS.items():
        headers[name] = value
    if is_static:
        # Checked again by its ETag at each load: a page of the new version never runs the old one's script.
        headers["Cache-Control"] = "no-cache"
