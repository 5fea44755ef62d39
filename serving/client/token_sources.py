"""Where a client's token comes from, and how it is renewed when the server rejects it."""

import os
import threading
import time
from datetime import timedelta
from pathlib import Path
from typing import Protocol

import requests

from serving.client import tokens
from serving.client.tokens import TokenKind
from serving.errors import ServerError, SettingsError
from serving.settings import ServerSettings

VARIABLE = "HEADSWAP_TOKEN"
# The server invalidates the old token just before it writes the new one to its key file.
REWRITE_TIMEOUT_S = 0.5
POLL_S = 0.02


class TokenSource(Protocol):
    def read(self) -> str:
        """Return the token to send."""

    def renew(self, rejected: str) -> bool:
        """Return whether `read` now returns another token than the rejected one."""


class GivenToken:
    """A token given as text, which cannot be renewed."""

    def __init__(self, text: str) -> None:
        self._text = text

    def read(self) -> str:
        return self._text

    def renew(self, rejected: str) -> bool:
        return self._text != rejected


class TokenFile:
    """A file that holds the token, or TorchServe's key_file.json; something else keeps it up to date."""

    def __init__(self, path: Path, kind: TokenKind = "inference") -> None:
        self._path, self._kind = path, kind
        self._token: str | None = None

    def read(self) -> str:
        """Return the token. Raises SettingsError if the file holds none."""
        if self._token is None:
            self._token = self._read()
        return self._token

    def renew(self, rejected: str) -> bool:
        self._token = self._read()
        return self._token != rejected

    def _read(self) -> str:
        try:
            text = self._path.read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or error
            raise SettingsError(
                f"the token file {str(self._path)!r} cannot be read ({reason})."
            ) from None
        if text.startswith("{"):
            return tokens.read_token(self._path, self._kind)
        if not text or len(text.split()) > 1:
            raise SettingsError(
                f"the token file {str(self._path)!r} must hold one token and nothing else."
            )
        return text


class ServerToken:
    """The token of a server on this machine: read from its key file, renewed when it has expired."""

    def __init__(self, settings: ServerSettings, kind: TokenKind) -> None:
        self._settings, self._kind = settings, kind
        self._token: str | None = None
        self._lock = threading.Lock()

    def read(self) -> str:
        """Return the token. Raises NoServerError if there is no key file."""
        if self._token is None:
            self._token = tokens.read_token(self._settings.key_file, self._kind)
        return self._token

    def renew(self, rejected: str) -> bool:
        # One thread at a time: each renewal invalidates the token that another thread has just received.
        with self._lock:
            deadline = time.monotonic() + REWRITE_TIMEOUT_S
            while not self._differs(rejected):
                if self._has_expired():
                    return self._request_new_token() and self._differs(rejected)
                if time.monotonic() > deadline:
                    return False
                time.sleep(POLL_S)
            return True

    def _differs(self, rejected: str) -> bool:
        self._token = tokens.read_token(self._settings.key_file, self._kind)
        return self._token != rejected

    def _has_expired(self) -> bool:
        return tokens.expires_within(self._settings.key_file, self._kind, timedelta())

    def _request_new_token(self) -> bool:
        try:
            tokens.renew_token(self._settings, self._kind)
        except (ServerError, requests.RequestException):
            return False
        return True


def find_token(token: str | None, token_file: Path | None) -> TokenSource | None:
    """Return the first that is given of `token`, `token_file` and HEADSWAP_TOKEN; None if none is."""
    if token is not None:
        return GivenToken(token)
    if token_file is not None:
        return TokenFile(token_file)
    from_environment = os.environ.get(VARIABLE)
    return GivenToken(from_environment) if from_environment else None
