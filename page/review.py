"""Review: the captured photos, most useful first; a label a key, taken back as easily."""

from functools import partial
from threading import Lock
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response

from capture.answers import CapturedPhoto
from capture.errors import NotFilledError
from capture.labels import LabelBook
from capture.order import to_review
from page.context import PageContext, context_of, read_form
from page.errors import refuse
from page.rendering import render
from serving.errors import ServingError
from serving.rollout.live_record import open_entry, read_record

SHOWN = 50
# Two people may label the same photo in the same moment.
_one_at_a_time = Lock()
MEDIA_TYPES = {
    ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png", ".webp": "image/webp",
    ".gif": "image/gif", ".bmp": "image/bmp", ".avif": "image/avif",
}  # fmt: skip


async def show(request: Request) -> Response:
    return render(request, "review.html.j2")


async def list_photos(request: Request) -> Response:
    """Return the next photos without a label, how many there are, and the classes of the live versions."""
    return JSONResponse(await run_in_threadpool(_list, context_of(request)))


def _list(context: PageContext) -> dict[str, Any]:
    if context.capture is None:
        raise refuse(404, "This page was started without --capture FOLDER, so there is nothing to review.")  # fmt: skip
    book = LabelBook(context.capture)
    try:
        photos = to_review(context.capture)
    except NotFilledError:
        photos = []
    labels = book.read()
    # Those that a person has added come after the network's.
    added = [label.class_name for label in labels.values() if label.class_name is not None]
    return {
        "photos": [_describe(photo) for photo in photos[:SHOWN]],
        "waiting": len(photos),
        "labelled": len(labels),
        "classes": list(dict.fromkeys([*_class_names(context, photos), *added])),
    }


async def photo(request: Request) -> Response:
    """Return the bytes of a captured photo, as an image or as a file to keep, never as a page."""
    entry = await run_in_threadpool(_find, context_of(request), request.path_params["sha256"])
    media_type = MEDIA_TYPES.get(entry.path.suffix.lower(), "application/octet-stream")
    return FileResponse(entry.path, media_type=media_type)


async def label(request: Request) -> Response:
    """Label a photo: `class` is a class name, or null for none of these."""
    context, form = context_of(request), await read_form(request)
    sha256, class_name = form.get("photo"), form.get("class", 0)
    if not isinstance(sha256, str) or not (class_name is None or isinstance(class_name, str)):
        raise refuse(400, "A label needs the photo and its class; null is none of these.")
    await run_in_threadpool(_write, context, sha256, class_name)
    return JSONResponse({})


async def undo(request: Request) -> Response:
    """Take back the label of `photo`, or of the photo labelled last where it is null.

    It comes back for review where it is still kept.
    """
    context, form = context_of(request), await read_form(request)
    sha256 = form.get("photo")
    if not (sha256 is None or isinstance(sha256, str)):
        raise refuse(400, "Taking back a label needs its photo; null is the last one.")
    if context.capture is None:
        raise refuse(404, "There is nothing to take back.")
    book = LabelBook(context.capture)
    taken_back = await run_in_threadpool(partial(book.remove, sha256) if sha256 else book.undo)
    return JSONResponse({"photo": taken_back.sha256 if taken_back else None})


def _write(context: PageContext, sha256: str, class_name: str | None) -> None:
    if context.capture is None:
        raise refuse(404, "There is nothing to label.")
    book = LabelBook(context.capture)
    with _one_at_a_time:
        before = book.read().get(sha256)
        if before is None:
            book.write(_find(context, sha256), class_name)
            return
    # A browser that has lost the answer sends the same label again.
    if before.class_name != class_name:
        name = "none of these" if before.class_name is None else before.class_name
        raise refuse(409, f"Somebody else has labelled this photo meanwhile: {name}.")


def _find(context: PageContext, sha256: str) -> CapturedPhoto:
    photos = to_review(context.capture) if context.capture is not None else []
    for entry in photos:
        if entry.sha256 == sha256:
            return entry
    raise refuse(404, "This photo is not there any more: newer ones have taken its place.")


def _describe(entry: CapturedPhoto) -> dict[str, Any]:
    return {
        "id": entry.sha256,
        "time": entry.time,
        "version": f"{entry.model} {entry.version}",
        "reasons": entry.reasons,
        "is_unknown": entry.is_unknown,
        "predictions": [
            {"label": each.label, "probability": each.probability} for each in entry.predictions[:3]
        ],
    }


def _class_names(context: PageContext, photos: list[CapturedPhoto]) -> list[str]:
    """Return the classes of the live versions that answered these photos, in the networks' order."""
    store = context.settings.model_store
    models = {entry.model for entry in photos}
    names: dict[str, None] = {}
    try:
        for model, deployment in read_record(store).items():
            if model in models or not models:
                names |= dict.fromkeys(open_entry(store, deployment.live, model=model).class_names)
    except ServingError:
        # The answers name the likeliest classes at least.
        names |= dict.fromkeys(each.label for entry in photos for each in entry.predictions)
    return list(names)
