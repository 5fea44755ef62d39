"""TLS from two lines of config.properties, with a self-signed certificate, over both transports."""

import ipaddress
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from serving.client import GrpcClient, HttpClient
from serving.client.tokens import read_token
from serving.errors import RequestError, UnreachableError
from serving.rollout.promotion import promote
from serving.rollout.rollback import rollback
from serving.rollout.session import ServerSession
from serving.rollout.startup import choose_live
from serving.server.server import Server
from serving.settings import ServerSettings, load_settings

DEADLINE_S = 90.0


def make_certificate(folder: Path, name: str, *names: x509.GeneralName) -> tuple[Path, Path]:
    """Write NAME.pem and NAME.key, self-signed, as for a single server."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem, key_file = folder / f"{name}.pem", folder / f"{name}.key"
    pem.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return pem, key_file


@pytest.fixture(scope="module")
def secured(
    archives: dict[str, Path],
    tmp_path_factory: pytest.TempPathFactory,
    config_writer: Callable[[Path], Path],
) -> Iterator[ServerSettings]:
    """Yield the settings of a server that uses TLS under the names photos.example and 127.0.0.1."""
    folder = tmp_path_factory.mktemp("tls")
    names = (
        x509.DNSName("photos.example"),
        x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
    )
    make_certificate(folder, "server", *names)
    config = config_writer(folder / "config.properties")
    text = config.read_text()
    for line in ("private_key_file=server.key", "certificate_file=server.pem"):
        # As a user does it: the lines exist, commented out.
        assert f"# {line}" in text
        text = text.replace(f"# {line}", line)
    config.write_text(text)
    settings = load_settings(config=config, model_store=folder / "store", state=folder / "state")
    choose_live(settings.model_store, [archives["1.0"]])
    with Server(settings) as server:
        server.start()
        server.wait_ready()
        yield settings


def test_clients_on_this_machine_verify_the_server_by_its_certificate(
    secured: ServerSettings, photos: list[bytes]
) -> None:
    assert secured.inference_url.startswith("https://")
    with HttpClient(secured) as http, GrpcClient(secured) as grpc:
        assert http.predict("clothing", photos[0]) == grpc.predict("clothing", photos[0])
        assert http.models() == grpc.models() == ["clothing"]


@pytest.mark.parametrize("client_class", [HttpClient, GrpcClient])
def test_remote_clients_trust_the_given_authority_and_no_other(
    secured: ServerSettings,
    photos: list[bytes],
    client_class: type[HttpClient | GrpcClient],
    tmp_path: Path,
) -> None:
    is_http = client_class is HttpClient
    address = secured.inference_url if is_http else f"https://{secured.grpc_target}"
    token = read_token(secured.key_file, "inference")
    ca_file = secured.certificate_file
    with client_class.to(address, token=token, ca_file=ca_file) as client:
        assert client.predict("clothing", photos[0]).version == "1.0"
    other, _ = make_certificate(tmp_path, "other", x509.DNSName("photos.example"))
    for not_trusted in (other, None):
        with (
            client_class.to(address, token=token, ca_file=not_trusted) as client,
            pytest.raises(UnreachableError),
        ):
            client.predict("clothing", photos[0], timeout_s=5)
    # The certificate names 127.0.0.1 and not localhost.
    other_name = address.replace("127.0.0.1", "localhost")
    with (
        client_class.to(other_name, token=token, ca_file=ca_file) as client,
        pytest.raises(UnreachableError),
    ):
        client.predict("clothing", photos[0], timeout_s=5)
    plain = address.replace("https://", "http://")
    with client_class.to(plain, token=token) as client, pytest.raises(RequestError):
        client.predict("clothing", photos[0], timeout_s=5)


def test_plain_http_is_rejected(secured: ServerSettings, photos: list[bytes]) -> None:
    token = read_token(secured.key_file, "inference")
    response = requests.post(
        f"{secured.inference_url.replace('https', 'http')}/predictions/clothing",
        data=photos[0],
        headers={"Authorization": f"Bearer {token}"},
        timeout=30,
    )
    assert response.status_code == 403
    assert "only accepts HTTPS" in response.text


def test_the_commands_work_over_tls(
    secured: ServerSettings, archives: dict[str, Path], photos: list[bytes], tmp_path: Path
) -> None:
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(photos[0])
    token = read_token(secured.key_file, "inference")
    remote = ["--address", secured.inference_url, "--model", "clothing", "--token", token]
    server = ["--config", str(secured.config), "--model-store", str(secured.model_store)]
    for arguments in (
        ["ready"],
        ["predict", str(photo)],
        ["predict", str(photo), "--transport", "grpc"],
        ["predict", str(photo), *remote, "--ca-file", str(secured.certificate_file)],
    ):
        command = [
            sys.executable,
            "-m",
            "headswap",
            *arguments,
            *server,
            "--state",
            str(secured.state),
        ]
        completed = subprocess.run(
            command, capture_output=True, text=True, timeout=DEADLINE_S, check=False
        )
        assert completed.returncode == 0, completed.stderr
    with ServerSession(secured) as session:
        assert promote(session, archives["2.0"], report=lambda _: None).live == "2.0"
        assert rollback(session, None, report=lambda _: None).live == "1.0"
