"""Errors of the page.

PageError         exit code 2: the page cannot start as asked
"""

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse

from serving.errors import BusyError, InputError, NoServerError, RequestError, ServingError


class PageError(Exception):
    exit_code = 2


def refuse(status: int, sentence: str, **headers: str) -> HTTPException:
    """Return the exception that answers a request with a sentence for the person at the page."""
    return HTTPException(status, sentence, headers=headers or None)


def answer_refusal(request: Request, error: Exception) -> JSONResponse:
    """Return the answer for a HTTPException."""
    assert isinstance(error, HTTPException)
    return JSONResponse(
        {"error": error.detail}, status_code=error.status_code, headers=error.headers
    )


def answer_serving_error(request: Request, error: Exception) -> JSONResponse:
    """Return the answer for an error of the client or of a rollout: its sentence, and its code where it has one."""
    assert isinstance(error, ServingError)
    return JSONResponse(
        {"error": str(error), "code": getattr(error, "code", "")}, status_code=_status_of(error)
    )


def answer_capture_error(request: Request, error: Exception) -> JSONResponse:
    """Return the answer where the capture folder, or a label, cannot be used."""
    return JSONResponse({"error": str(error)}, status_code=400)


def _status_of(error: ServingError) -> int:
    if isinstance(error, NoServerError):
        return 503
    if isinstance(error, BusyError):
        return 409
    if isinstance(error, RequestError):
        # The server's 401 is not the browser's: it is the page that has no valid token then.
        return error.status if error.status >= 400 and error.status not in (401, 403) else 502
    return 400 if isinstance(error, InputError) else 502
