"""Settings of a second server: its own free ports on loopback, no TLS, everything else as the user has it."""

from serving.server.ports import free_ports, on_free_ports


def test_free_ports_differ() -> None:
    assert len(set(free_ports(5))) == 5


def test_every_address_is_replaced_and_tls_is_dropped() -> None:
    properties = {
        "inference_address": "https://0.0.0.0:8080",
        "grpc_inference_address": "0.0.0.0",
        "certificate_file": "server.pem",
        "private_key_file": "server.key",
        "max_request_size": "20000000",
    }
    replaced = on_free_ports(properties)
    http = {"inference_address", "management_address", "metrics_address"}
    grpc = {
        f"grpc_{api}_{part}" for api in ("inference", "management") for part in ("address", "port")
    }
    assert set(replaced) == http | grpc | {"max_request_size"}
    assert all(replaced[key].startswith("http://127.0.0.1:") for key in http)
    ports = [replaced[key].rpartition(":")[2] for key in http | {k for k in grpc if "port" in k}]
    assert len(set(ports)) == 5
    assert replaced["max_request_size"] == "20000000"
