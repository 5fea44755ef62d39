"""The management API against a local HTTP server: pages, conflicts, tokens, escaped names, workers awaited."""

import json

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from serving.client import Endpoint, HttpClient
from serving.client.http_management import HttpManagement
from serving.client.token_sources import GivenToken
from serving.errors import AddressError, ConflictError, UnreachableError


def endpoint_of(httpserver: HTTPServer, token: str | None = None) -> Endpoint:
    source = None if token is None else GivenToken(token)
    return Endpoint(address=httpserver.url_for("").rstrip("/"), token=source)


def test_management_needs_an_address(httpserver):
    with (
        HttpClient(endpoint_of(httpserver)) as client,
        pytest.raises(AddressError, match="no management address"),
    ):
        client.models()


def test_every_page_is_read_and_a_conflict_is_raised(httpserver):
    httpserver.expect_request("/models", query_string="limit=100").respond_with_json(
        {"nextPageToken": "1", "models": [{"modelName": "a"}]}
    )
    httpserver.expect_request(
        "/models", query_string="limit=100&next_page_token=1"
    ).respond_with_json({"models": [{"modelName": "b"}]})
    httpserver.expect_request("/models", method="POST").respond_with_json(
        {"code": 409, "type": "ConflictStatusException", "message": "twice"}, status=409
    )
    endpoint = endpoint_of(httpserver, token="secret")
    with HttpClient(endpoint, management=endpoint) as client:
        assert client.models() == ["a", "b"]
        with pytest.raises(ConflictError):
            client.management.register("a.mar", workers=1)
    assert {request.headers["Authorization"] for request, _ in httpserver.log} == {"Bearer secret"}
    with pytest.raises(UnreachableError, match="management address"):
        HttpManagement(Endpoint(address="http://127.0.0.1:9")).models()


def test_names_and_versions_are_escaped_in_the_path(httpserver):
    httpserver.expect_request("/models/a/../b/1?x/set-default").respond_with_json({})
    management = HttpManagement(endpoint_of(httpserver))
    management.set_default("a/../b", "1?x")
    management.close()
    ((request, _),) = httpserver.log
    assert request.environ["RAW_URI"] == "/models/a%2F..%2Fb/1%3Fx/set-default"


def test_register_returns_once_all_workers_are_described_as_ready(httpserver):
    described = []

    def describe(_: Request) -> Response:
        ready = [{"pid": pid, "status": "READY"} for pid in range(len(described))]
        described.append(ready)
        workers = [*ready, {"pid": 9, "status": "UNLOADING"}]
        version = {"modelVersion": "1.0", "minWorkers": 2, "workers": workers}
        return Response(json.dumps([version]))

    httpserver.expect_request("/models", method="POST").respond_with_json({})
    httpserver.expect_request("/models/my-hats/all").respond_with_handler(describe)
    management = HttpManagement(endpoint_of(httpserver))
    management.register("my-hats-1.0.mar", workers=2)
    management.close()
    assert len(described) == 3
