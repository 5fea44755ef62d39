"""TLS as a client sees it: which certificates to trust, and which name the server's must carry."""

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from serving.errors import SettingsError

PKCS8_HEAD = b"-----BEGIN PRIVATE KEY-----"


@dataclass(frozen=True, kw_only=True)
class Tls:
    ca_file: Path | None = None
    """PEM certificates to trust, such as a self-signed server's own; None: the system's."""
    server_name: str | None = None
    """The name the server's certificate must carry; None: the address's host."""

    def context(self) -> ssl.SSLContext:
        """Return an SSL context that trusts `ca_file`. Raises SettingsError if it holds no certificate."""
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
        except (OSError, ssl.SSLError) as error:
            raise _unreadable(self.ca_file, error) from None
        # A server's own certificate is trusted without the authority that signed it, as gRPC does too.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        return context

    def read_ca(self) -> bytes | None:
        """Return the bytes of `ca_file`. Raises SettingsError if they cannot be read."""
        if self.ca_file is None:
            return None
        try:
            return self.ca_file.read_bytes()
        except OSError as error:
            raise _unreadable(self.ca_file, error) from None


@cache
def pinned(certificate_file: Path) -> Tls:
    """Return the trust of a client on the server's own machine: exactly this certificate, whatever its host.

    Raises:
        SettingsError: the file holds no certificate, or one without a name that clients could check.
    """
    return Tls(ca_file=certificate_file, server_name=certificate_name(certificate_file))


def certificate_name(certificate_file: Path) -> str:
    """Return the first DNS name or IP address of a PEM certificate's subjectAltName. Raises SettingsError."""
    # Imported here because most servers use plain HTTP on loopback, and clients do without cryptography.
    from cryptography import x509

    try:
        certificate = x509.load_pem_x509_certificate(certificate_file.read_bytes())
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (OSError, ValueError) as error:
        raise _unreadable(certificate_file, error) from None
    except x509.ExtensionNotFound:
        names = None
    hosts: list[str] = []
    if names is not None:
        hosts += names.get_values_for_type(x509.DNSName)
        hosts += [str(address) for address in names.get_values_for_type(x509.IPAddress)]
    if not hosts:
        raise SettingsError(
            f"the certificate {certificate_file} names no host (subjectAltName), so no client would trust it; create "
            "one with the server's name or address in it."
        )
    return hosts[0]


def check_key(certificate_file: Path, key_file: Path) -> None:
    """Check that TorchServe can use the two for TLS: an unencrypted RSA key in PKCS #8, a named certificate for it.

    Raises:
        SettingsError: it cannot; Java would report that as a stack trace.
    """
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        content = key_file.read_bytes()
        key = load_pem_private_key(content, password=None)
        certificate = x509.load_pem_x509_certificate(certificate_file.read_bytes())
    except OSError as error:
        raise SettingsError(f"{error.filename!r} cannot be read: {error.strerror}.") from None
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key, content = None, b""
    if not isinstance(key, RSAPrivateKey) or PKCS8_HEAD not in content:
        raise SettingsError(
            f"{key_file} and {certificate_file} cannot be used: TorchServe needs an RSA key in PKCS #8 without a "
            "password (it begins with BEGIN PRIVATE KEY; `openssl pkcs8 -topk8 -nodes` converts one) and a PEM "
            "certificate."
        )
    if certificate.public_key() != key.public_key():
        raise SettingsError(
            f"the certificate {certificate_file} belongs to another key than {key_file}; give two that belong "
            "together."
        )
    if certificate.not_valid_after_utc < datetime.now(UTC):
        raise SettingsError(
            f"the certificate {certificate_file} expired on {certificate.not_valid_after_utc:%Y-%m-%d}; renew it."
        )
    certificate_name(certificate_file)


def _unreadable(file: Path | None, error: Exception) -> SettingsError:
    reason = getattr(error, "strerror", None) or "it holds no PEM certificate"
    return SettingsError(f"the certificate file {str(file)!r} cannot be used: {reason}.")
