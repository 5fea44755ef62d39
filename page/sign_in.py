"""The form that asks for a token once, and the end of a session."""

import secrets
from urllib.parse import parse_qs

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from page.context import PageContext, context_of, read_body
from page.guard import cookie_name
from page.rendering import render
from page.sessions import LIFETIME_S, Role
from serving.client.tokens import read_token
from serving.errors import NoServerError

FORM_LIMIT_BYTES = 10_000
PAGES = ("/", "/versions", "/watch", "/review")


async def show(request: Request) -> Response:
    """Return the form."""
    return _form(request, next_path=request.query_params.get("next", "/"))


async def sign_in(request: Request) -> Response:
    """Open a session for the token's role and go on to the page that was asked for; or show the form again."""
    context = context_of(request)
    address = request.client.host if request.client else ""
    body = await read_body(request, limit_bytes=FORM_LIMIT_BYTES)
    fields = parse_qs(body.decode("ascii", errors="replace"))
    next_path = fields.get("next", ["/"])[0]
    wait_s = context.sign_in_limit.wait_s(address)
    if wait_s > 0:
        sentence = f"Too many wrong tokens. Try again in {wait_s:.0f} seconds."
        response = _form(request, next_path=next_path, problem=sentence, status=429)
        response.headers["Retry-After"] = f"{wait_s:.0f}"
        return response
    try:
        role = await run_in_threadpool(_role_of, context, fields.get("token", [""])[0].strip())
    except NoServerError:
        sentence = "No server is running yet. Start one with headswap serve, then try again."
        return _form(request, next_path=next_path, problem=sentence, status=503)
    if role is None:
        context.sign_in_limit.count_failure(address)
        sentence = (
            "This is not the current token. Tokens change about once an hour: print it again."
        )
        return _form(request, next_path=next_path, problem=sentence, status=403)
    return _open_session(request, role, next_path)


async def csrf_token(request: Request) -> Response:
    """Return the CSRF token of this session, for a page whose own is of an earlier one."""
    return JSONResponse({"csrf_token": request.state.person.csrf_token})


async def sign_out(request: Request) -> Response:
    context = context_of(request)
    name = cookie_name(context)
    context.sessions.close(request.cookies.get(name))
    response = JSONResponse({})
    response.delete_cookie(
        name, path="/", secure=context.access.is_secure, httponly=True, samesite="strict"
    )
    return response


def _role_of(context: PageContext, token: str) -> Role | None:
    """Return what a token allows; None: it is not one of this server's. Raises NoServerError."""
    if not context.settings.uses_tokens:
        return "management"
    roles: tuple[Role, ...] = ("management", "inference")
    for role in roles:
        expected = read_token(context.settings.key_file, role)
        if secrets.compare_digest(token.encode(), expected.encode()):
            return role
    return None


def _open_session(request: Request, role: Role, next_path: str) -> Response:
    context = context_of(request)
    response: Response
    if _asks_for_json(request):
        response = JSONResponse({})
    else:
        # Only a page of ours: a link to the form must not lead to another site.
        response = RedirectResponse(next_path if next_path in PAGES else "/", status_code=303)
    response.set_cookie(
        cookie_name(context), context.sessions.open(role), max_age=LIFETIME_S, path="/",
        secure=context.access.is_secure, httponly=True, samesite="strict",
    )  # fmt: skip
    return response


def _asks_for_json(request: Request) -> bool:
    return "application/json" in request.headers.get("accept", "")


def _form(request: Request, *, next_path: str, problem: str = "", status: int = 200) -> Response:
    """Return the form with what is wrong; to a page that is open already and asks itself, the sentence alone."""
    if problem and _asks_for_json(request):
        return JSONResponse({"error": problem}, status_code=status)
    return render(
        request,
        "sign_in.html.j2",
        status=status,
        next=next_path if next_path in PAGES else "/",
        problem=problem,
        needs_management=next_path in PAGES[1:],
    )
