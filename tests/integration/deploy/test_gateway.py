"""The pod's gateway, run by a real nginx before a real HTTP and a real gRPC server."""

import json
import re
import shutil
import socket
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
import requests
from werkzeug import Request, Response

from serving.client import HttpClient
from serving.errors import TooLargeError
from tests.helpers import free_port

TEMPLATE = Path(__file__).parents[3] / "deploy" / "kubernetes" / "base" / "default.conf.template"
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
TOKEN = "kept-in-a-secret"
METHOD = "/org.pytorch.serve.grpc.inference.InferenceAPIsService/Predictions"
DEADLINE_S = 20

pytestmark = pytest.mark.skipif(NGINX is None, reason="nginx is not installed")


class Echo(grpc.GenericRpcHandler):
    def service(self, call_details):
        if call_details.method != METHOD:
            return None
        return grpc.unary_unary_rpc_method_handler(lambda request, _: request)


@pytest.fixture(scope="module")
def grpc_server_port():
    options = [("grpc.max_receive_message_length", -1)]
    server = grpc.server(ThreadPoolExecutor(2), handlers=[Echo()], options=options)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield port
    server.stop(grace=None).wait(DEADLINE_S)


@pytest.fixture
def gateway(tmp_path, httpserver, grpc_server_port):
    ports = {"http": free_port(), "grpc": free_port()}
    conf = (
        TEMPLATE.read_text()
        .replace("${INFERENCE_TOKEN}", TOKEN)
        .replace("127.0.0.1:8080", f"127.0.0.1:{httpserver.port}")
        .replace("127.0.0.1:7070", f"127.0.0.1:{grpc_server_port}")
        .replace("listen 8000", f"listen 127.0.0.1:{ports['http']}")
        .replace("listen 7000", f"listen 127.0.0.1:{ports['grpc']}")
        .replace("/dev/stdout", str(tmp_path / "access.log"))
    )
    folders = "".join(
        f"{name}_temp_path {tmp_path / name};"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    main = tmp_path / "nginx.conf"
    main.write_text(
        f"daemon off; master_process off; pid {tmp_path / 'pid'};\n"
        f"error_log {tmp_path / 'error.log'};\n"
        f"events {{}}\nhttp {{ {folders}\n{conf}\n}}\n"
    )
    process = subprocess.Popen([NGINX, "-p", tmp_path, "-c", main])
    try:
        wait_until_open(ports["http"], process)
        yield ports
    finally:
        process.terminate()
        process.wait(DEADLINE_S)


def wait_until_open(port, process):
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        assert process.poll() is None, "nginx did not start"
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            continue
    raise AssertionError("nginx opened no port")


def post(gateway, path, body=b"photo", **headers):
    url = f"http://127.0.0.1:{gateway['http']}{path}"
    return requests.post(url, data=body, headers=headers, timeout=DEADLINE_S)


def bearer(token=TOKEN):
    return {"Authorization": f"Bearer {token}"}


def test_a_photo_with_the_token_reaches_the_server(gateway, httpserver):
    httpserver.expect_request("/predictions/clothing", data=b"photo").respond_with_data("answer")
    answer = post(gateway, "/predictions/clothing", **bearer())
    assert (answer.status_code, answer.text) == (200, "answer")


@pytest.mark.parametrize("headers", [{}, bearer("wrong"), {"Authorization": TOKEN}, bearer("")])
def test_without_the_token_nothing_reaches_the_server(gateway, httpserver, headers):
    answer = post(gateway, "/predictions/clothing", **headers)
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "unauthorised"
    assert not httpserver.log


@pytest.mark.parametrize("path", ["/models", "/ping", "/predictions/../models", "/metrics", "/"])
def test_nothing_but_inference_is_reachable(gateway, httpserver, path):
    assert post(gateway, path, **bearer()).status_code == 404
    assert not httpserver.log


def test_a_body_of_more_than_20_mb_is_refused(gateway, httpserver):
    answer = post(gateway, "/predictions/clothing", body=b"x" * (20 * 2**20 + 1), **bearer())
    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "request_too_large"
    assert not httpserver.log
    address = f"http://127.0.0.1:{gateway['http']}"
    with (
        HttpClient.to(address, token=TOKEN) as client,
        pytest.raises(TooLargeError, match="larger than 20 MiB"),
    ):
        client.predict("clothing", bytes(20 * 2**20 + 1))


@pytest.mark.parametrize(
    ("sent", "received"),
    [
        # What curl --data-binary sends by itself; TorchServe answers it with 500 and bytes of the photo.
        ("application/x-www-form-urlencoded", "application/octet-stream"),
        ("Application/X-WWW-Form-Urlencoded; charset=utf-8", "application/octet-stream"),
        ("application/json", "application/json"),
        ("multipart/form-data; boundary=x", "multipart/form-data; boundary=x"),
        ("image/jpeg", "image/jpeg"),
        (None, None),
    ],
)
@pytest.mark.parametrize(
    "path", ["/predictions/clothing", "/v2/models/clothing/versions/1.0/infer"]
)
def test_a_urlencoded_form_is_read_as_bytes(gateway, httpserver, path, sent, received):
    httpserver.expect_request(re.compile("/predictions/.*")).respond_with_data("answer")
    headers = {} if sent is None else {"Content-Type": sent}
    assert post(gateway, path, **bearer(), **headers).text == "answer"
    ((request, _),) = httpserver.log
    assert (request.headers.get("Content-Type"), request.data) == (received, b"photo")


def get(gateway, path, **headers):
    url = f"http://127.0.0.1:{gateway['http']}{path}"
    return requests.get(url, headers=headers, timeout=DEADLINE_S)


def test_kserve_can_ask_for_the_server_without_a_token(gateway, httpserver):
    assert get(gateway, "/v2").json()["extensions"] == ["binary_tensor_data"]
    assert get(gateway, "/v2/health/live").json() == {"live": True}
    assert not httpserver.log
    httpserver.expect_ordered_request("/ping").respond_with_json({"status": "Healthy"})
    httpserver.expect_ordered_request("/ping").respond_with_json({}, status=500)
    for status in (200, 503):
        answer = get(gateway, "/v2/health/ready")
        assert (answer.status_code, answer.json()) == (status, {"ready": status == 200})


@pytest.mark.parametrize(
    ("path", "asked", "query"),
    [
        ("/v2/models/clothing/ready", "/predictions/clothing/", "ready"),
        ("/v2/models/clothing/versions/1.0/ready", "/predictions/clothing/1.0", "ready"),
        ("/v2/models/clothing", "/predictions/clothing/", "metadata"),
        ("/v2/models/clothing/versions/1.0", "/predictions/clothing/1.0", "metadata"),
    ],
)
def test_kserve_can_ask_for_a_model(gateway, httpserver, path, asked, query):
    httpserver.expect_request(asked, method="POST").respond_with_data("answer")
    assert get(gateway, path).status_code == 401
    assert get(gateway, path, **bearer()).text == "answer"
    ((request, _),) = httpserver.log
    assert request.headers["X-Headswap-Model"] == query
    assert (request.headers["Content-Length"], request.data) == ("0", b"")


def test_a_client_cannot_ask_the_model_in_place_of_a_prediction(gateway, httpserver):
    httpserver.expect_request("/predictions/clothing").respond_with_data("answer")
    post(gateway, "/predictions/clothing", **bearer(), **{"X-Headswap-Model": "ready"})
    ((request, _),) = httpserver.log
    assert "X-Headswap-Model" not in request.headers


def test_the_clients_correlation_id_is_handed_on_and_logged(gateway, httpserver, tmp_path):
    def echo(request: Request) -> Response:
        return Response(request.headers["X-Correlation-Id"])

    httpserver.expect_request("/predictions/clothing").respond_with_handler(echo)
    sent = {"X-Correlation-Id": "order-4711", "traceparent": "00-abc-def-01"}
    assert post(gateway, "/predictions/clothing", **bearer(), **sent).text == "order-4711"
    made_up = post(gateway, "/predictions/clothing", **bearer()).text
    assert len(made_up) == 32
    lines = logged(tmp_path / "access.log", count=2)
    assert [line["correlation_id"] for line in lines] == ["order-4711", made_up]
    assert lines[0]["traceparent"] == "00-abc-def-01"
    assert lines[0]["status"] == 200


def logged(path, *, count):
    # nginx writes its line after the client has its answer.
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        lines = path.read_text().splitlines()
        if len(lines) == count:
            return [json.loads(line) for line in lines]
    raise AssertionError(f"{len(lines)} lines in the access log instead of {count}")


def call(gateway, *metadata, method=METHOD, body=b"photo"):
    with grpc.insecure_channel(f"127.0.0.1:{gateway['grpc']}") as channel:
        return channel.unary_unary(method)(body, metadata=metadata, timeout=DEADLINE_S)


def test_grpc_with_the_token_reaches_the_server(gateway):
    assert call(gateway, ("authorization", f"Bearer {TOKEN}")) == b"photo"


def test_grpc_without_the_token_is_unauthenticated(gateway):
    with pytest.raises(grpc.RpcError) as refused:
        call(gateway)
    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED


def test_grpc_of_more_than_20_mib_is_refused_with_the_limit(gateway):
    with pytest.raises(grpc.RpcError) as refused:
        call(gateway, ("authorization", f"Bearer {TOKEN}"), body=bytes(20 * 2**20 + 1))
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "20 MiB" in refused.value.details()


def test_grpc_management_is_unimplemented(gateway):
    with pytest.raises(grpc.RpcError) as refused:
        call(
            gateway,
            ("authorization", f"Bearer {TOKEN}"),
            method="/org.pytorch.serve.grpc.management.ManagementAPIsService/ListModels",
        )
    assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED
