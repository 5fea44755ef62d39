"""A client's transport to the replicas of a cluster, by a router of its own: no address, no token, no proxy needed."""

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

from ray.exceptions import RayError
from ray.serve.exceptions import BackPressureError, RayServeException

from cluster.errors import UnknownModelError, UnknownVersionError
from cluster.message import Parameter
from cluster.router import Router, open_router
from serving.client.endpoint import Endpoint
from serving.client.responses import parse_error
from serving.client.transport import Request, photo_names
from serving.errors import (
    DeadlineError,
    InternalServerError,
    NotFoundError,
    OverloadedError,
    RequestError,
)

START_TIMEOUT_S = 60.0

Result = TypeVar("Result")


class RouterTransport:
    """Runs its router in a thread; requests may come from any other."""

    # Of no use here, but every transport has one.
    endpoint = Endpoint(address="ray://cluster")

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        try:
            self._router: Router = self._run(open_router(), timeout_s=START_TIMEOUT_S)
        except BaseException:
            self._end_loop()
            raise

    def send(self, request: Request, *, timeout_s: float) -> bytes:
        """Return the body of the answer, of which an error status is raised as RequestError."""
        names = photo_names(len(request.photos))
        parameters = [
            *(Parameter(name, "", value.encode()) for name, value in request.options.items()),
            *(
                Parameter(name, "", photo)
                for name, photo in zip(names, request.photos, strict=True)
            ),
        ]
        answering = self._router.respond(
            request.model, request.version, request.options.get("x-correlation-id"), parameters, {}
        )
        try:
            answer = self._run(answering, timeout_s=timeout_s)
        except TimeoutError:
            raise DeadlineError(f"no answer from the cluster within {timeout_s:g} s.") from None
        except (UnknownModelError, UnknownVersionError) as error:
            raise NotFoundError(str(error), status=404) from None
        except BackPressureError:
            raise OverloadedError(f"the queue of {request.model} is full.", status=503) from None
        except (RayError, RayServeException) as error:
            raise _failed(request, error) from None
        if answer.status >= 400:
            raise parse_error(answer.body, status=answer.status)
        return answer.body

    def close(self) -> None:
        """Stop the router, for whose acknowledgement nobody waits any longer."""
        self._run(self._router.stop(), timeout_s=START_TIMEOUT_S)
        self._end_loop()

    def _run(self, coroutine: Coroutine[Any, Any, Result], *, timeout_s: float) -> Result:
        future = asyncio.run_coroutine_threadsafe(
            asyncio.wait_for(coroutine, timeout_s), self._loop
        )
        return future.result()

    def _end_loop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def _failed(request: Request, error: Exception) -> RequestError:
    reason = " ".join(str(error).split())[-300:]
    return InternalServerError(f"{request.model} did not answer: {reason}", status=500)
