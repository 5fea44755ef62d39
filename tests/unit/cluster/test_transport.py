"""The commands' own way to the replicas: the message that gRPC makes of a request, and the failures of every client."""

import asyncio
from collections.abc import Iterator

import pytest
from ray.exceptions import ActorUnavailableError
from ray.serve.exceptions import BackPressureError

from cluster.errors import UnknownModelError, UnknownVersionError
from cluster.message import Parameter
from cluster.replica import Answer
from cluster.rollout import transport
from cluster.rollout.transport import RouterTransport
from serving.client import Client
from serving.errors import (
    BadImageError,
    DeadlineError,
    InternalServerError,
    NotFoundError,
    OverloadedError,
    RequestError,
)
from tests.unit.cluster.helpers import ANSWER

REJECTED = b'{"error": {"status": 400, "code": "empty_body", "message": "There is no image."}}'


class Router:
    """Answers, or raises its `fault`."""

    def __init__(self) -> None:
        self.fault: Exception | None = None
        self.answer = ANSWER
        self.asked: list[tuple[str, str | None, str | None, list[Parameter]]] = []
        self.is_stopped = False

    async def respond(
        self,
        model: str,
        version: str | None,
        correlation_id: str | None,
        parameters: list[Parameter],
        headers: dict[str, str],
    ) -> Answer:
        self.asked.append((model, version, correlation_id, parameters))
        if isinstance(self.fault, TimeoutError):
            await asyncio.sleep(60)
        if self.fault is not None:
            raise self.fault
        return self.answer

    async def stop(self) -> None:
        self.is_stopped = True


@pytest.fixture
def router() -> Router:
    return Router()


@pytest.fixture
def client(router: Router, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    async def open_router() -> Router:
        return router

    monkeypatch.setattr(transport, "open_router", open_router)
    with Client(RouterTransport()) as client:
        yield client
    assert router.is_stopped


def test_a_request_has_the_inputs_that_grpc_gives_it(client: Client, router: Router) -> None:
    client.allows_capture = False
    prediction = client.predict("m", b"photo", top_k=2, version="1.0", correlation_id="id")
    assert (prediction.version, prediction.top.label) == ("1.0", "cat")
    ((model, version, correlation_id, parameters),) = router.asked
    assert (model, version, correlation_id) == ("m", "1.0", "id")
    assert {each.name: each.value for each in parameters} == {
        "top_k": b"2",
        "x-correlation-id": b"id",
        "headswap_capture": b"no",
        "000000": b"photo",
    }


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (UnknownModelError("m"), NotFoundError),
        (UnknownVersionError("m", "1.0"), NotFoundError),
        (BackPressureError(num_queued_requests=1, max_queued_requests=1), OverloadedError),
        (ActorUnavailableError("the node is gone", b"0" * 16), InternalServerError),
        (TimeoutError(), DeadlineError),
    ],
)
def test_what_fails_is_raised_as_over_http(
    client: Client, router: Router, fault: Exception, kind: type[RequestError]
) -> None:
    router.fault = fault
    with pytest.raises(kind):
        client.predict("m", b"photo", timeout_s=0.05)


def test_an_answer_that_is_an_error_is_raised_with_its_code(client: Client, router: Router) -> None:
    router.answer = Answer(400, "Bad Request", "application/json", {}, REJECTED)
    with pytest.raises(BadImageError, match="There is no image") as error:
        client.predict("m", b"")
    assert error.value.code == "empty_body"


def test_a_router_that_does_not_open_leaves_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    async def open_router() -> Router:
        raise UnknownModelError("m")

    monkeypatch.setattr(transport, "open_router", open_router)
    with pytest.raises(UnknownModelError):
        RouterTransport()
