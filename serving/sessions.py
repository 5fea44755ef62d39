"""HTTP sessions for the server's own addresses."""

import requests


def local_session(*, connections: int = 10) -> requests.Session:
    """Return a session that goes straight to the server.

    Proxies are for other hosts, and a .netrc would put its own password in the token's place.
    """
    session = requests.Session()
    session.trust_env = False
    adapter = requests.adapters.HTTPAdapter(pool_connections=connections, pool_maxsize=connections)
    session.mount("http://", adapter)
    session.mount("https://", adapter)
    return session
