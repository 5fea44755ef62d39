"""Certificates and keys: what TorchServe cannot use is reported before Java starts."""

import ipaddress
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from serving.errors import SettingsError
from serving.settings import parse_properties
from serving.tls import Tls, certificate_name, check_key

PKCS8, PKCS1 = PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL


@cache
def rsa_key(number: int) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def write_key(path: Path, key, *, shape=PKCS8, encryption=None) -> Path:
    path.write_bytes(key.private_bytes(Encoding.PEM, shape, encryption or NoEncryption()))
    return path


def write_certificate(path: Path, key, *names: x509.GeneralName, days: int = 1) -> Path:
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "server")])
    end = datetime.now(UTC) + timedelta(days=days)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(end - timedelta(days=10))
        .not_valid_after(end)
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    path.write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM))
    return path


@pytest.fixture
def certificate(tmp_path):
    return write_certificate(tmp_path / "server.pem", rsa_key(0), x509.DNSName("photos.example"))


def test_a_key_and_its_certificate_turn_tls_on(certificate, tmp_path, settings_of):
    write_key(tmp_path / "server.key", rsa_key(0))
    settings = settings_of("private_key_file=server.key", "certificate_file=server.pem")
    java = parse_properties(settings.render(""), source="rendered")
    assert java["inference_address"] == "https://127.0.0.1:8080"
    assert java["enable_grpc_ssl"] == "true"
    # Java runs in another working directory.
    assert java["private_key_file"] == str(tmp_path / "server.key")
    assert java["certificate_file"] == str(tmp_path / "server.pem")
    assert settings.inference_url == "https://127.0.0.1:8080"
    assert settings.management_url.startswith("http://")
    assert settings.tls == Tls(ca_file=certificate, server_name="photos.example")


@pytest.mark.parametrize(
    "write",
    [
        lambda path: write_key(path, rsa_key(0), shape=PKCS1),
        lambda path: write_key(path, ec.generate_private_key(ec.SECP256R1())),
        lambda path: write_key(path, rsa_key(0), encryption=BestAvailableEncryption(b"secret")),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(
            b"-----BEGIN PRIVATE KEY-----\nAA\n-----END PRIVATE KEY-----"
        ),
    ],
)
def test_keys_torchserve_cannot_use_are_rejected_with_the_command_that_converts_them(
    certificate, tmp_path, write
):
    key = tmp_path / "server.key"
    write(key)
    with pytest.raises(SettingsError, match=r"server\.key.*openssl pkcs8"):
        check_key(certificate, key)


def test_a_certificate_for_another_key_is_rejected(certificate, tmp_path):
    with pytest.raises(SettingsError, match="belong together"):
        check_key(certificate, write_key(tmp_path / "server.key", rsa_key(1)))


def test_an_expired_certificate_is_rejected(tmp_path):
    old = write_certificate(tmp_path / "old.pem", rsa_key(0), days=-2)
    with pytest.raises(SettingsError, match="expired on"):
        check_key(old, write_key(tmp_path / "server.key", rsa_key(0)))


def test_a_certificate_without_a_name_is_rejected_before_the_start(tmp_path):
    nameless = write_certificate(tmp_path / "server.pem", rsa_key(0))
    with pytest.raises(SettingsError, match="names no host"):
        check_key(nameless, write_key(tmp_path / "server.key", rsa_key(0)))


def test_a_missing_file_is_named(certificate, tmp_path):
    with pytest.raises(SettingsError, match=r"absent\.key.*No such file"):
        check_key(certificate, tmp_path / "absent.key")


def test_the_name_is_the_first_that_clients_can_check(tmp_path):
    address = x509.IPAddress(ipaddress.ip_address("192.0.2.7"))
    path = tmp_path / "server.pem"
    named = write_certificate(path, rsa_key(0), address, x509.DNSName("photos.example"))
    assert certificate_name(named) == "photos.example"
    assert certificate_name(write_certificate(path, rsa_key(0), address)) == "192.0.2.7"
    with pytest.raises(SettingsError, match="names no host"):
        certificate_name(write_certificate(path, rsa_key(0)))


@pytest.mark.parametrize("content", [b"", b"no certificate", b"-----BEGIN CERTIFICATE-----\nAA\n"])
def test_an_unusable_certificate_is_named(tmp_path, content):
    path = tmp_path / "server.pem"
    path.write_bytes(content)
    for read in (certificate_name, lambda file: Tls(ca_file=file).context()):
        with pytest.raises(SettingsError, match=r"server\.pem"):
            read(path)
    with pytest.raises(SettingsError, match="No such file"):
        certificate_name(tmp_path / "absent.pem")
