"""Try: one photo in, its classes or a heat map out, by the live version or another."""

import time
from dataclasses import asdict
from functools import partial
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from page.context import PageContext, context_of, read_body
from page.errors import refuse
from page.rendering import render
from serving.rollout.live_record import read_record

TOP_K_MAX = 1000


async def show(request: Request) -> Response:
    return render(request, "try.html.j2")


async def models(request: Request) -> Response:
    """Return what can be tried, and the addresses that the lines to copy need."""
    context = context_of(request)
    settings = context.settings
    return JSONResponse(
        {
            "models": await run_in_threadpool(_models, context),
            "http": settings.inference_url,
            "grpc": f"{'https' if settings.tls else 'http'}://{settings.grpc_target}",
            "uses_tokens": settings.uses_tokens,
            "certificate": str(settings.certificate_file or ""),
            "limit_bytes": settings.request_limit_bytes,
        }
    )


def _models(context: PageContext) -> list[dict[str, Any]]:
    management = context.session.http.management
    record = read_record(context.settings.model_store)
    names = management.models()
    return [
        {
            "name": name,
            "live": record[name].live.version
            if name in record
            else management.default_version(name),
            "versions": sorted(management.versions(name)),
        }
        for name in sorted(names, key=lambda name: (name not in record, name))
    ]


async def predict(request: Request) -> Response:
    """Return the classes of the photo in the body, the version that answered and the milliseconds it took."""
    context, photo = await _photo_of(request)
    parameters = request.query_params
    call = partial(
        context.session.http.predict,
        _needed(request, "model"),
        photo,
        top_k=_top_k(parameters.get("top_k", "5")),
        version=parameters.get("version") or None,
    )
    began = time.perf_counter()
    prediction = await run_in_threadpool(call)
    answer = asdict(prediction)
    answer["milliseconds"] = round((time.perf_counter() - began) * 1e3, 1)
    return JSONResponse(answer)


async def heat_map(request: Request) -> Response:
    """Return a PNG: the network's crop of the photo under the heat map of its likeliest class."""
    context, photo = await _photo_of(request)
    parameters = request.query_params
    call = partial(
        context.session.http.explain_png,
        _needed(request, "model"),
        photo,
        version=parameters.get("version") or None,
    )
    return Response(await run_in_threadpool(call), media_type="image/png")


async def _photo_of(request: Request) -> tuple[PageContext, bytes]:
    context = context_of(request)
    photo = await read_body(request, limit_bytes=context.settings.request_limit_bytes)
    if not photo:
        raise refuse(400, "This file is empty.")
    return context, photo


def _needed(request: Request, name: str) -> str:
    value = request.query_params.get(name)
    if not value:
        raise refuse(400, f"The parameter {name} is missing.")
    return value


def _top_k(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 1 <= int(text[:9]) <= TOP_K_MAX):
        raise refuse(400, f"top_k must be a number from 1 to {TOP_K_MAX}, not {text[:20]!r}.")
    return int(text)
