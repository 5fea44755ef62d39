"""HTTP sessions that ignore the environment's settings and verify TLS as configured."""

from typing import Any
from urllib.parse import urlsplit

import requests

from serving.tls import Tls

LOCAL_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})


def local_session(*, connections: int = 10, tls: Tls | None = None) -> requests.Session:
    """Return a session that uses no proxy and opens at most `connections` at once.

    The environment is ignored because requests would replace our token by a password from .netrc.
    """
    session = requests.Session()
    session.trust_env = False
    session.mount("http://", _TlsAdapter(connections=connections, tls=None))
    session.mount("https://", _TlsAdapter(connections=connections, tls=tls))
    if tls is not None and tls.ca_file is not None:
        session.verify = str(tls.ca_file)
    return session


def session_to(address: str, *, connections: int = 10, tls: Tls | None = None) -> requests.Session:
    """Return a session for one address; it uses the environment's proxies unless the address is this machine."""
    session = local_session(connections=connections, tls=tls)
    if not is_local(address):
        session.proxies.update(requests.utils.get_environ_proxies(address))
    return session


def is_local(address: str) -> bool:
    return urlsplit(address).hostname in LOCAL_HOSTS


class _TlsAdapter(requests.adapters.HTTPAdapter):
    """An adapter that can expect another name than the address's host; requests itself only takes a CA file."""

    def __init__(self, *, connections: int, tls: Tls | None) -> None:
        self._tls_arguments: dict[str, Any] = {}
        if tls is not None:
            self._tls_arguments["ssl_context"] = tls.context()
            if tls.server_name is not None:
                self._tls_arguments |= {
                    "server_hostname": tls.server_name,
                    "assert_hostname": tls.server_name,
                }
        super().__init__(pool_connections=1, pool_maxsize=connections, pool_block=True)

    def init_poolmanager(
        self, connections: int, maxsize: int, block: bool = False, **keywords: Any
    ) -> None:
        super().init_poolmanager(connections, maxsize, block, **keywords, **self._tls_arguments)
