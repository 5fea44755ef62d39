"""A session opens each client once, with its first use, and closes what it has opened."""

import pytest

from serving.client import Client
from serving.errors import UnreachableError
from serving.rollout.session import ServerSession
from tests.helpers import free_ports
from tests.unit.serving.rollout.helpers import FakeTorchServe


class Closing(FakeTorchServe):
    closed = 0

    def close(self) -> None:
        self.closed += 1


def test_a_client_is_opened_once_and_reopened_after_closing(settings_of) -> None:
    with ServerSession(settings_of()) as session:
        http, grpc = session.http, session.grpc
        assert (session.http, session.grpc) == (http, grpc)
        assert session.management is grpc.management
        session.close()
        assert session.http is not http


def test_leaving_closes_the_clients_that_were_handed_in(settings_of) -> None:
    server = Closing({})
    client = Client(server)
    with ServerSession(settings_of(), http=client) as session:
        assert session.http is client
    assert server.closed == 1


def test_a_metrics_address_that_does_not_answer_is_named(settings_of) -> None:
    (port,) = free_ports(1)
    settings = settings_of(f"metrics_address=http://127.0.0.1:{port}")
    with (
        ServerSession(settings) as session,
        pytest.raises(UnreachableError, match=f":{port}/metrics does not answer"),
    ):
        session.read_metrics()
