"""Addresses of clusters: one with a token, one without, none."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest

from cluster import probe
from cluster.errors import ClusterAddressError
from tests.helpers import free_port


class Head(grpc.GenericRpcHandler):
    """Ray's head node, as far as it is asked."""

    def __init__(self, code: grpc.StatusCode | None) -> None:
        self._code = code

    def service(self, details: grpc.HandlerCallDetails) -> Any:
        assert details.method == probe.METHOD

        def answer(_: bytes, context: grpc.ServicerContext) -> bytes:
            if self._code is not None:
                context.abort(self._code, "as it is")
            return b""

        return grpc.unary_unary_rpc_method_handler(answer)


@pytest.fixture
def address(request: pytest.FixtureRequest) -> Iterator[str]:
    server = grpc.server(ThreadPoolExecutor(1), handlers=[Head(request.param)])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(None).wait()


@pytest.mark.parametrize(
    ("address", "is_wanted"),
    [
        (None, False),
        (grpc.StatusCode.UNAUTHENTICATED, True),
        # A Ray Client server does not know the method.
        (grpc.StatusCode.UNIMPLEMENTED, False),
    ],
    indirect=["address"],
)
@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_it_says_whether_the_cluster_wants_a_token(
    address: str, is_wanted: bool, scheme: str
) -> None:
    assert probe.wants_token(scheme + address) is is_wanted


@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_an_address_where_nothing_listens_is_one_sentence(scheme: str) -> None:
    with pytest.raises(ClusterAddressError, match="no Ray cluster answers at"):
        probe.wants_token(f"{scheme}127.0.0.1:{free_port()}")


def test_a_machine_without_a_cluster_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "canonicalize_bootstrap_address", lambda _: None)
    with pytest.raises(ClusterAddressError, match="no Ray cluster runs on this machine"):
        probe.wants_token("auto")
