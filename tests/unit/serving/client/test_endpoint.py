"""Server addresses as users type them."""

import pytest

from serving.client.endpoint import parse_address
from serving.errors import AddressError


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("host", "http://host:8080"),
        ("host:1", "http://host:1"),
        ("https://h", "https://h:8080"),
        ("http://h:2/", "http://h:2"),
        ("[::1]:5", "http://[::1]:5"),
    ],
)
def test_a_host_a_port_and_a_whole_address_are_accepted(text, address):
    assert parse_address(text, default_port=8080) == address


@pytest.mark.parametrize(
    "text", ["", "ftp://h", "http://h/path", "http://u:p@h", "h:port", "http://"]
)
def test_other_text_is_rejected(text):
    with pytest.raises(AddressError, match="not a server address"):
        parse_address(text, default_port=8080)
