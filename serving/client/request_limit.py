"""How large a request may be, said in the same sentence over both transports."""

from serving.client.endpoint import Endpoint
from serving.errors import TooLargeError

# max_request_size in headswap's config.properties, for servers whose own is not known.
DEFAULT_LIMIT_BYTES = 20_000_000


def is_over_limit(size_bytes: int, endpoint: Endpoint) -> bool:
    """Return whether a request has more bytes than the server accepts."""
    return size_bytes > (endpoint.request_limit_bytes or DEFAULT_LIMIT_BYTES)


def too_large(size_bytes: int, endpoint: Endpoint) -> TooLargeError:
    """Return the error of a request that is too large; it names the limit."""
    known = endpoint.request_limit_bytes
    limit = f"by default {DEFAULT_LIMIT_BYTES:,}" if known is None else f"{known:,}"
    return TooLargeError(
        f"the request has {size_bytes:,} bytes, more than the server accepts: {limit} (max_request_size in its "
        "config.properties). Send smaller photos, or fewer at once.",
        status=413,
        code="request_too_large",
    )
