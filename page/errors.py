"""Errors of the page, and how each is answered: as a page to a browser, as JSON to a script.

PageError         exit code 2: the page cannot start as asked
"""

import re
from collections.abc import Mapping
from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from page.rendering import render, wants_html
from serving.errors import (
    BusyError,
    InputError,
    NoServerError,
    RequestError,
    ServingError,
    UnreachableError,
)

SENTENCES = {
    404: "There is no page at this address.",
    405: "This address does not take such a request.",
    500: "Something failed here that should not have. The output of headswap page has the details.",
}
# The errors of the commands begin in lower case. A name or an address at the beginning keeps its spelling.
_FIRST_WORD = re.compile(r"(?:a|an|another|it|its|no|not|only|the|there|this)\b")


class PageError(Exception):
    exit_code = 2


def refuse(status: int, sentence: str, **headers: str) -> HTTPException:
    """Return the exception that answers a request with a sentence for the person at the page."""
    return HTTPException(status, sentence, headers=headers or None)


def as_sentence(text: str) -> str:
    """Return the text of an error with a capital letter at its beginning, where that is an ordinary word."""
    return text[:1].upper() + text[1:] if _FIRST_WORD.match(text) else text


def sentence_of(error: ServingError) -> str:
    """Return what went wrong, for a person who does not run the server."""
    if isinstance(error, UnreachableError | NoServerError):
        return "The server does not answer: it was stopped, or it is still starting."
    return as_sentence(str(error))


def answer_error(
    request: Request,
    status: int,
    sentence: str,
    *,
    code: str = "",
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return the sentence: as a page to a browser that opens an address, as JSON to a script."""
    if wants_html(request):
        response = render(request, "error.html.j2", status=status, sentence=sentence)
        response.headers.update(headers or {})
        return response
    content = {"error": sentence, "code": code}
    return JSONResponse(content, status_code=status, headers=headers)


def answer_refusal(request: Request, error: Exception) -> Response:
    """Return the answer for a HTTPException."""
    assert isinstance(error, HTTPException)
    is_bare = error.detail == HTTPStatus(error.status_code).phrase
    sentence = SENTENCES.get(error.status_code, error.detail) if is_bare else error.detail
    return answer_error(request, error.status_code, sentence, headers=error.headers)


def answer_serving_error(request: Request, error: Exception) -> Response:
    """Return the answer for an error of the client or of a rollout: its sentence, and its code where it has one."""
    assert isinstance(error, ServingError)
    code = getattr(error, "code", "")
    return answer_error(request, _status_of(error), sentence_of(error), code=code)


def answer_capture_error(request: Request, error: Exception) -> Response:
    """Return the answer where the capture folder, or a label, cannot be used."""
    return answer_error(request, 400, as_sentence(str(error)))


def answer_mistake(request: Request, error: Exception) -> Response:
    """Return the answer for a mistake of ours, which is logged."""
    return answer_error(request, 500, SENTENCES[500])


def _status_of(error: ServingError) -> int:
    if isinstance(error, NoServerError | UnreachableError):
        return 503
    if isinstance(error, BusyError):
        return 409
    if isinstance(error, RequestError):
        # The server's 401 is not the browser's: it is the page that has no valid token then.
        return error.status if error.status >= 400 and error.status not in (401, 403) else 502
    return 400 if isinstance(error, InputError) else 502
