"""Whether a Ray cluster answers at an address, and whether it asks for a token: known in milliseconds.

`ray.init` itself tries for 15 minutes where nothing listens, and for 20 s where its token is missing. And a driver with
a token refuses the nodes of a cluster without: their objects never arrive.
"""

import grpc
from ray._private.services import canonicalize_bootstrap_address

from cluster.errors import ClusterAddressError

AUTO = "auto"
CLIENT_SCHEME = "ray://"
PROBE_TIMEOUT_S = 10.0
# Of Ray's head node. A Ray Client server does not know it, which is an answer as well.
METHOD = "/ray.rpc.NodeInfoGcsService/GetClusterId"


def wants_token(address: str) -> bool:
    """Return whether the cluster at `auto`, `HOST:6379` or `ray://HOST:10001` asks for Ray's token.

    Raises:
        ClusterAddressError: nothing answers there.
    """
    resolved = canonicalize_bootstrap_address(AUTO) if address == AUTO else address
    if resolved is None:
        raise ClusterAddressError(
            f"no Ray cluster runs on this machine, which {address!r} means; give the address of one."
        )
    with grpc.insecure_channel(resolved.removeprefix(CLIENT_SCHEME)) as channel:
        try:
            channel.unary_unary(METHOD)(b"", timeout=PROBE_TIMEOUT_S)
        except grpc.RpcError as error:
            code = error.code()
            if code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
                raise ClusterAddressError(
                    f"no Ray cluster answers at {resolved!r} ({' '.join(str(error.details()).split())[:200]}); give "
                    "auto on one of its machines, HOST:6379 near it, or ray://HOST:10001 from elsewhere."
                ) from None
            return bool(code == grpc.StatusCode.UNAUTHENTICATED)
    return False
