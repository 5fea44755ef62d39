"""Tokens: a private file that the clients read, and a check by hashes."""

from pathlib import Path

import pytest

from cluster.ingress.tokens import hash_token, is_allowed, make_tokens, read_token_hashes
from serving.client.tokens import read_token
from serving.errors import SettingsError


def test_a_new_file_is_private_and_is_read_by_the_clients(tmp_path: Path) -> None:
    path = tmp_path / "state" / "key_file.json"
    make_tokens(path)
    assert path.stat().st_mode & 0o077 == 0
    token = read_token(path, "inference")
    assert len(token) > 40
    assert token != read_token(path, "management")
    assert read_token_hashes(path) == (hash_token(token),)
    before = path.read_bytes()
    make_tokens(path)
    assert path.read_bytes() == before


def test_a_secret_with_nothing_but_the_token_will_do(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("abc\n")
    assert is_allowed("Bearer abc", read_token_hashes(path))
    path.write_text("")
    with pytest.raises(SettingsError):
        read_token_hashes(path)


@pytest.mark.parametrize(
    "header",
    [None, "", "abc", "Bearer", "Bearer ", "bearer abc", "Bearer abcd", "Basic abc", "Bearer ä"],
)
def test_other_headers_are_rejected(header: str | None) -> None:
    assert not is_allowed(header, [hash_token("abc")])
    assert is_allowed("Bearer abc", [hash_token("other"), hash_token("abc")])


def test_without_tokens_everybody_is_allowed() -> None:
    assert is_allowed(None, [])
