"""Tokens: TorchServe's key file as it is written and rewritten, and what a client does when a token is rejected."""

import json
import threading
from datetime import UTC, datetime, timedelta

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from serving.client import HttpClient
from serving.client.endpoint import Endpoint
from serving.client.token_sources import GivenToken, ServerToken, TokenFile, find_token
from serving.client.tokens import expires_within, read_token, renew_token
from serving.errors import NoServerError, ServerError, SettingsError, UnauthorisedError

PAST = "2020-01-01T00:00:00.123456789Z"
FUTURE = "2100-01-01T00:00:00.123456789Z"


@pytest.fixture
def local(settings_of, httpserver: HTTPServer):
    """Return settings whose two HTTP addresses are the local stub server."""
    address = f"http://127.0.0.1:{httpserver.port}"
    return settings_of(f"inference_address={address}", f"management_address={address}")


def test_the_key_file_is_read_as_java_writes_it(settings_of, key_file_writer):
    settings = settings_of()
    key_file_writer(settings.key_file, inference="one", expires=PAST)
    assert read_token(settings.key_file, "inference") == "one"
    assert read_token(settings.key_file, "management") == "manage"


@pytest.mark.parametrize("digits", ["", ".1", ".123", ".123456", ".123456789"])
def test_timestamps_may_have_up_to_nine_digits(settings_of, key_file_writer, digits):
    file = settings_of().key_file
    soon = (datetime.now(UTC) + timedelta(minutes=3)).strftime(f"%Y-%m-%dT%H:%M:%S{digits}Z")
    key_file_writer(file, inference="one", expires=soon)
    assert expires_within(file, "inference", timedelta(minutes=5))
    assert not expires_within(file, "inference", timedelta(minutes=1))


def test_without_a_key_file_there_is_no_server(settings_of):
    with pytest.raises(NoServerError, match="headswap serve"):
        read_token(settings_of().key_file, "inference")


@pytest.mark.parametrize("content", ["", '{"infer', "[]", '{"management": {}}'])
def test_with_a_damaged_key_file_there_is_no_server(settings_of, content, monkeypatch):
    monkeypatch.setattr("serving.client.tokens.REWRITE_TIMEOUT_S", 0.01)
    settings = settings_of()
    settings.key_file.parent.mkdir()
    settings.key_file.write_text(content)
    with pytest.raises(NoServerError):
        read_token(settings.key_file, "inference")


def test_a_key_file_being_rewritten_is_read_again(settings_of, key_file_writer):
    file = settings_of().key_file
    file.parent.mkdir()
    file.write_text("")
    writer = threading.Timer(
        0.05, key_file_writer, [file], {"inference": "whole", "expires": FUTURE}
    )
    writer.start()
    assert read_token(file, "inference") == "whole"
    writer.join()


def test_an_expired_token_is_renewed_with_the_api_key(
    local, key_file_writer, httpserver: HTTPServer, answer
):
    key_file_writer(local.key_file, inference="old", expires=PAST)

    def renewing(request: Request) -> Response:
        assert request.headers["Authorization"] == "Bearer api"
        assert request.args["type"] == "inference"
        key_file_writer(local.key_file, inference="new", expires=FUTURE)
        return Response("{}")

    httpserver.expect_request("/token").respond_with_handler(renewing)
    expect_token(httpserver, "new", answer)
    with HttpClient(local) as client:
        assert client.predict("clothing", b"photo").version == "1.0"
        assert client.predict("clothing", b"photo").version == "1.0"
    assert [request.path for request, _ in httpserver.log].count("/token") == 1


def expect_token(httpserver, token, answer):
    def handle(request: Request) -> Response:
        if request.headers.get("Authorization") == f"Bearer {token}":
            return Response(json.dumps(answer))
        rejection = {"code": 400, "type": "InvalidKeyException", "message": "Token either expired"}
        return Response(json.dumps(rejection), status=400)

    httpserver.expect_request("/predictions/clothing").respond_with_handler(handle)


def test_a_token_already_renewed_is_only_read_again(
    local, key_file_writer, httpserver: HTTPServer, answer
):
    key_file_writer(local.key_file, inference="old", expires=PAST)
    source = ServerToken(local, "inference")
    assert source.read() == "old"
    key_file_writer(local.key_file, inference="new", expires=FUTURE)
    assert source.renew("old")
    assert source.read() == "new"
    assert httpserver.log == []


def test_a_token_rejected_before_it_expires_is_not_renewed(local, key_file_writer, monkeypatch):
    monkeypatch.setattr("serving.client.token_sources.REWRITE_TIMEOUT_S", 0.01)
    key_file_writer(local.key_file, inference="odd", expires=FUTURE)
    assert not ServerToken(local, "inference").renew("odd")


def test_a_failed_renewal_is_reported(local, key_file_writer, httpserver: HTTPServer):
    key_file_writer(local.key_file, inference="old", expires=PAST)
    httpserver.expect_request("/token").respond_with_data("no", status=500)
    with pytest.raises(ServerError, match="could not be renewed: 500 no"):
        renew_token(local, "inference")
    assert not ServerToken(local, "inference").renew("old")


def test_a_token_file_is_read_again_when_its_token_is_rejected(
    tmp_path, httpserver: HTTPServer, answer
):
    file = tmp_path / "token"
    file.write_text("old\n")
    expect_token(httpserver, "new", answer)
    with HttpClient.to(f"127.0.0.1:{httpserver.port}", token_file=file) as client:
        with pytest.raises(UnauthorisedError):
            client.predict("clothing", b"photo")
        file.write_text("new\n")
        assert client.predict("clothing", b"photo").version == "1.0"
        assert client.predict("clothing", b"photo").version == "1.0"
    # Rejected and not renewed; rejected and renewed; accepted at once.
    assert len(httpserver.log) == 1 + 2 + 1


@pytest.mark.parametrize("content", [b"", b"two words", b"\xff\xfe"])
def test_a_file_that_holds_no_token_is_reported(tmp_path, content):
    file = tmp_path / "token"
    file.write_bytes(content)
    for path in (file, tmp_path / "absent"):
        with pytest.raises(SettingsError, match="token file"):
            TokenFile(path).read()


def test_the_argument_comes_before_the_file_and_the_file_before_the_environment(
    tmp_path, monkeypatch
):
    monkeypatch.delenv("HEADSWAP_TOKEN", raising=False)
    file = tmp_path / "token"
    file.write_text("file")
    assert find_token(None, None) is None
    monkeypatch.setenv("HEADSWAP_TOKEN", "environment")
    sources = [find_token("argument", file), find_token(None, file), find_token(None, None)]
    assert [source.read() for source in sources] == ["argument", "file", "environment"]


def test_a_given_token_cannot_be_renewed(httpserver: HTTPServer, answer):
    expect_token(httpserver, "new", answer)
    endpoint = Endpoint(address=f"http://127.0.0.1:{httpserver.port}", token=GivenToken("old"))
    with HttpClient(endpoint) as client, pytest.raises(UnauthorisedError):
        client.predict("clothing", b"photo")
    assert len(httpserver.log) == 1
