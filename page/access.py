"""From where the page may be opened: this machine, or elsewhere by TLS or behind a proxy."""

from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from page.errors import PageError

PORT = 8090
LOOPBACK_NAMES = ("127.0.0.1", "localhost", "[::1]")


@dataclass(frozen=True, kw_only=True)
class Access:
    host: str = "127.0.0.1"
    port: int = PORT
    certificate: Path | None = None
    private_key: Path | None = None
    public_address: str | None = None
    """What the browser's address bar shows when a proxy stands before the page: https://HOST."""

    def __post_init__(self) -> None:
        if (self.certificate is None) != (self.private_key is None):
            raise PageError("TLS needs both files: give --page-certificate and --page-private-key.")
        for path in filter(None, (self.certificate, self.private_key)):
            if not path.is_file():
                raise PageError(f"there is no file {str(path)!r}; TLS for the page needs it.")
        if self.public_address is not None and not _is_address(self.public_address):
            raise PageError(
                f"--page-public-address must be http://HOST or https://HOST, not {self.public_address!r}."
            )
        if not (is_loopback(self.host) or self.certificate or self.public_address):
            raise PageError(
                f"the page would send its cookie unprotected through the network on {self.host!r}; give "
                "--page-certificate and --page-private-key, or put a proxy with TLS before it and name its address "
                "with --page-public-address."
            )

    @property
    def is_secure(self) -> bool:
        """Return whether browsers reach the page by https."""
        if self.public_address is not None:
            return self.public_address.startswith("https://")
        return self.certificate is not None

    @property
    def url(self) -> str:
        """Return the address to open."""
        if self.public_address is not None:
            return f"{self.public_address.rstrip('/')}/"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.is_secure else 'http'}://{host}:{self.port}/"

    def allows_host(self, header: str) -> bool:
        """Return whether a Host header names this page: a name that an attacker points here is refused."""
        name = urlsplit(f"//{header}").hostname or "" if _is_plain_host(header) else ""
        if self.public_address is not None and name == urlsplit(self.public_address).hostname:
            return True
        if is_loopback(self.host):
            return name in (host.strip("[]") for host in LOOPBACK_NAMES)
        # By TLS, the certificate already says whose name it is; behind a proxy, only the public one is.
        return self.public_address is None and bool(name)

    def allows_origin(self, origin: str, host_header: str) -> bool:
        """Return whether an Origin header is this page's own."""
        if self.public_address is not None:
            parts = urlsplit(self.public_address)
            return origin == f"{parts.scheme}://{parts.netloc}"
        return origin == f"{'https' if self.is_secure else 'http'}://{host_header}"


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches an address."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return (
            parts.scheme in ("http", "https") and bool(parts.hostname) and parts.path in ("", "/")
        )
    except ValueError:
        return False


def _is_plain_host(header: str) -> bool:
    try:
        return urlsplit(f"//{header}").netloc == header and urlsplit(f"//{header}").port != -1
    except ValueError:
        return False
