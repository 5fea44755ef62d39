"""From where the page may be opened."""

from pathlib import Path

import pytest

from page.access import Access
from page.errors import PageError


def test_elsewhere_needs_tls_or_a_proxy(tmp_path: Path) -> None:
    with pytest.raises(PageError, match="--page-certificate"):
        Access(host="0.0.0.0")
    with pytest.raises(PageError, match="both files"):
        Access(host="0.0.0.0", certificate=tmp_path / "c.pem")
    with pytest.raises(PageError, match="no file"):
        Access(certificate=tmp_path / "c.pem", private_key=tmp_path / "k.pem")
    with pytest.raises(PageError, match="must be http"):
        Access(public_address="page.example.org")


def test_behind_a_proxy_its_name_and_origin_count() -> None:
    access = Access(host="0.0.0.0", public_address="https://page.example.org")
    assert access.is_secure
    assert access.allows_host("page.example.org")
    assert not access.allows_host("other.example.org")
    assert access.allows_origin("https://page.example.org", "page.example.org")
    assert not access.allows_origin("http://page.example.org", "page.example.org")


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_on_loopback_it_is_open_at_once(host: str) -> None:
    access = Access(host=host)
    assert not access.is_secure
    assert access.url.endswith(":8090/")
    assert access.allows_host("localhost:8090")
    assert access.allows_host("[::1]:8090")
