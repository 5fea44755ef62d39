"""Versions: what is live, kept and loaded; promote, rollback and retire by the functions of the commands."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from handlers.contract import is_plain_name
from page.context import PageContext, context_of, read_form
from page.errors import refuse
from page.rendering import render
from page.rollouts import Rollout
from serving.errors import InputError
from serving.rollout.gates import Gates
from serving.rollout.live_record import read_record
from serving.rollout.promotion import PromotionOptions, promote
from serving.rollout.retirement import retire
from serving.rollout.rollback import rollback
from serving.rollout.session import Report, ServerSession
from serving.rollout.status import VersionStatus, read_status
from serving.rollout.trust import refuse_outside

POLL_S = 0.1
# A comment now and then, so that a proxy does not take the stream for dead.
HEARTBEAT_POLLS = 150
GATE_FIELDS = frozenset(field.name for field in fields(Gates))
NUMBERS = {"min_accuracy": float, "max_drop": float, "max_p99_ms": float, "shadow": int}


async def show(request: Request) -> Response:
    return render(request, "versions.html.j2")


async def list_versions(request: Request) -> Response:
    """Return the rows of `headswap status`, the archives of the model store and the rollout that runs or ran last."""
    context = context_of(request)
    rows = await run_in_threadpool(read_status, context.session)
    latest = context.rollouts.latest
    return JSONResponse(
        {
            "versions": [asdict(row) for row in rows],
            "archives": await run_in_threadpool(_archives, context.settings.model_store, rows),
            "rollout": None if latest is None else _describe(latest),
        }
    )


def _archives(store: Path, rows: Sequence[VersionStatus]) -> list[dict[str, str]]:
    """Return the archives of the store by name, each with the state of its version; empty: it is not loaded."""
    states = {f"{row.model}-{row.version}.mar": row.state for row in rows}
    for deployment in read_record(store).values():
        states |= {entry.archive: "kept" for entry in deployment.kept}
        states[deployment.live.archive] = "live"
    names = sorted(path.name for path in store.glob("*.mar") if path.is_file())
    return [{"name": name, "state": states.get(name, "")} for name in names]


async def start_promotion(request: Request) -> Response:
    context, form = context_of(request), await read_form(request)
    archive = _archive_path(context, form)
    options = _options(context, form)

    def work(session: ServerSession, report: Report) -> str:
        result = promote(session, archive, report=report, options=options)
        return f"{result.model} {result.live} is live after {result.seconds:.1f} s."

    return _start(context, "promote", str(archive), f"Promote {archive.name}", work)


async def start_rollback(request: Request) -> Response:
    context, form = context_of(request), await read_form(request)
    model, why = _text(form, "model"), _text(form, "why")

    def work(session: ServerSession, report: Report) -> str:
        result = rollback(session, model, report=report, why=why)
        return f"{result.model} {result.live} is live again after {result.seconds:.1f} s."

    return _start(context, "rollback", model, f"Roll back {model or 'the model'}", work)


async def start_retirement(request: Request) -> Response:
    context, form = context_of(request), await read_form(request)
    model, version = _text(form, "model"), _text(form, "version")
    if model is None or version is None:
        raise refuse(400, "Retiring needs the model and the version.")

    def work(session: ServerSession, report: Report) -> str:
        retire(session, model, version, report=report)
        return f"{model} {version} is unloaded."

    return _start(context, "retire", f"{model} {version}", f"Retire {model} {version}", work)


async def timeline(request: Request) -> Response:
    """Return the steps of the latest rollout as server-sent events, those so far first; it ends with the rollout."""
    rollout = context_of(request).rollouts.latest
    if rollout is None:
        raise refuse(404, "Nothing was promoted, rolled back or retired from this page yet.")
    seen = request.headers.get("last-event-id", "0")
    start = int(seen) if seen.isascii() and seen.isdecimal() and len(seen) < 9 else 0
    return StreamingResponse(_events(rollout, start), media_type="text/event-stream")


def _start(
    context: PageContext,
    command: str,
    subject: str | None,
    title: str,
    work: Callable[[ServerSession, Report], str],
) -> Response:
    """Start the work with a session and a log of its own, as a command has them."""

    def run(show_step: Report) -> str:
        with context.open_session() as session, context.open_log(command, subject) as log:

            def report(step: str) -> None:
                log(step)
                show_step(step)

            return work(session, report)

    return JSONResponse(_describe(context.rollouts.start(title, run)), status_code=202)


async def _events(rollout: Rollout, start: int) -> AsyncIterator[str]:
    sent, polls = start, 0
    while True:
        # Read before the steps are: what is reported last must not be missed.
        has_ended = not rollout.is_running
        for number, (after_s, step) in list(enumerate(rollout.steps, 1))[sent:]:
            data = json.dumps({"after_s": after_s, "step": step})
            yield f"id: {number}\nevent: step\ndata: {data}\n\n"
            sent = number
        if has_ended:
            yield f"event: end\ndata: {json.dumps(_describe(rollout))}\n\n"
            return
        polls += 1
        if polls % HEARTBEAT_POLLS == 0:
            yield ": waiting\n\n"
        await asyncio.sleep(POLL_S)


def _describe(rollout: Rollout) -> dict[str, Any]:
    return {
        "title": rollout.title,
        "number": rollout.number,
        "began": rollout.began,
        "is_running": rollout.is_running,
        "succeeded": rollout.succeeded,
    }


def _archive_path(context: PageContext, form: dict[str, Any]) -> Path:
    name = _text(form, "archive")
    store = context.settings.model_store
    if name is None or not is_plain_name(name) or not (store / name).is_file():
        raise refuse(400, f"Choose an archive of the model store {store}.")
    refuse_outside(store / name, store)
    return store / name


def _options(context: PageContext, form: dict[str, Any]) -> PromotionOptions:
    """Return the options of the form. Raises InputError, as the flags of `headswap promote` do."""
    gates: dict[str, Any] = {
        name: value for name in GATE_FIELDS if (value := _value(form, name)) is not None
    }
    for name in ("data", "labels"):
        if name in gates:
            gates[name] = Path(gates[name])
    return PromotionOptions(
        allow_class_change=form.get("allow_class_change") is True,
        trust=context.trust,
        gates=Gates(**gates),
        bake_s=_number(form, "bake_s", float) or 0.0,
        why=_text(form, "why") or "promoted from the page",
    )


def _value(form: dict[str, Any], name: str) -> float | str | None:
    return _number(form, name, NUMBERS[name]) if name in NUMBERS else _text(form, name)


def _text(form: dict[str, Any], name: str) -> str | None:
    value = form.get(name)
    if value is not None and not isinstance(value, str):
        raise InputError(f"{name} must be a text, not {value!r:.50}.")
    return value or None


def _number(form: dict[str, Any], name: str, kind: Callable[[Any], float]) -> float | None:
    value = form.get(name)
    if value is None or value == "":
        return None
    try:
        number = kind(value)
    except (TypeError, ValueError, OverflowError):
        number = float("nan")
    if not abs(number) < 1e9 or isinstance(value, bool):
        raise InputError(f"{name} must be a number, not {value!r:.50}.")
    return number
