"""HTTP sessions: no surprises from the environment, TLS as told."""

from typing import Any
from urllib.parse import urlsplit

import requests

from serving.tls import Tls

LOCAL_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})


def local_session(*, connections: int = 10, tls: Tls | None = None) -> requests.Session:
    """Return a session that goes straight to the server and opens at most `connections` at once.

    A .netrc would put its own password in the token's place, so the environment is not asked.
    """
    session = requests.Session()
    session.trust_env = False
    session.mount("http://", _Adapter(connections=connections, tls=None))
    session.mount("https://", _Adapter(connections=connections, tls=tls))
    if tls is not None and tls.ca_file is not None:
        session.verify = str(tls.ca_file)
    return session


def session_to(address: str, *, connections: int = 10, tls: Tls | None = None) -> requests.Session:
    """Return a session for one address; where that is another machine, the environment's proxies are used."""
    session = local_session(connections=connections, tls=tls)
    if not is_local(address):
        session.proxies.update(requests.utils.get_environ_proxies(address))
    return session


def is_local(address: str) -> bool:
    return urlsplit(address).hostname in LOCAL_HOSTS


class _Adapter(requests.adapters.HTTPAdapter):
    """requests' own, with our trust in it: requests itself knows files of certificates, but no name to expect."""

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
