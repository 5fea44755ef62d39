"""Settings of a second server on this machine: free ports, reached from this machine alone."""

import contextlib
import socket
from collections.abc import Mapping

ADDRESSES = ("inference_address", "management_address", "metrics_address")
GRPC_APIS = ("inference", "management")
TLS_FILES = ("certificate_file", "private_key_file")


def on_free_ports(properties: Mapping[str, str]) -> dict[str, str]:
    """Return the properties with free loopback ports in place of their addresses, and without TLS."""
    ports = iter(free_ports(len(ADDRESSES) + len(GRPC_APIS)))
    addresses = {key: f"http://127.0.0.1:{next(ports)}" for key in ADDRESSES}
    for api in GRPC_APIS:
        addresses[f"grpc_{api}_address"] = "127.0.0.1"
        addresses[f"grpc_{api}_port"] = str(next(ports))
    kept = {key: value for key, value in properties.items() if key not in TLS_FILES}
    return kept | addresses


def free_ports(count: int) -> list[int]:
    """Return loopback ports that nothing listens on now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for bound in sockets:
            bound.bind(("127.0.0.1", 0))
        return [int(bound.getsockname()[1]) for bound in sockets]
