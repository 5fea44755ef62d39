"""Where a client's token comes from, and what can be done when the server no longer takes it."""

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
# The server changes its mind first and its key file right after.
REWRITE_TIMEOUT_S = 0.5
POLL_S = 0.02


class TokenSource(Protocol):
    def read(self) -> str:
        """Return the token to send."""

    def renew(self, refused: str) -> bool:
        """Return whether `read` now gives another token than the one that was refused."""


class GivenToken:
    """A token as text: nothing can renew it."""

    def __init__(self, text: str) -> None:
        self._text = text

    def read(self) -> str:
        return self._text

    def renew(self, refused: str) -> bool:
        return self._text != refused


class TokenFile:
    """A file that holds the token, or TorchServe's key_file.json; somebody else keeps it fresh."""

    def __init__(self, path: Path, kind: TokenKind = "inference") -> None:
        self._path, self._kind = path, kind
        self._known: str | None = None

    def read(self) -> str:
        """Return the token. Raises SettingsError when the file holds none."""
        if self._known is None:
            self._known = self._read()
        return self._known

    def renew(self, refused: str) -> bool:
        self._known = self._read()
        return self._known != refused

    def _read(self) -> str:
        try:
            text = self._path.read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(
                f"the token file {str(self._path)!r} cannot be read ({error})."
            ) from None
        if text.startswith("{"):
            return tokens.read_token(self._path, self._kind)
        if not text or len(text.split()) > 1:
            raise SettingsError(
                f"the token file {str(self._path)!r} holds no token: one word is wanted."
            )
        return text


class ServerToken:
    """The token of a server on this machine: read from its key file, renewed there when it has expired."""

    def __init__(self, settings: ServerSettings, kind: TokenKind) -> None:
        self._settings, self._kind = settings, kind
        self._known: str | None = None
        self._lock = threading.Lock()

    def read(self) -> str:
        """Return the token. Raises NoServerError when no server has written any."""
        if self._known is None:
            self._known = tokens.read_token(self._settings.key_file, self._kind)
        return self._known

    def renew(self, refused: str) -> bool:
        # One at a time: each renewal ends the token before it, the one another thread has just got too.
        with self._lock:
            deadline = time.monotonic() + REWRITE_TIMEOUT_S
            while not self._differs(refused):
                if self._has_expired():
                    return self._ask_for_another() and self._differs(refused)
                if time.monotonic() > deadline:
                    return False
                time.sleep(POLL_S)
            return True

    def _differs(self, refused: str) -> bool:
        self._known = tokens.read_token(self._settings.key_file, self._kind)
        return self._known != refused

    def _has_expired(self) -> bool:
        return tokens.expires_within(self._settings.key_file, self._kind, timedelta())

    def _ask_for_another(self) -> bool:
        try:
            tokens.renew(self._settings, self._kind)
        except (ServerError, requests.RequestException):
            return False
        return True


def find_token(token: str | None, token_file: Path | None) -> TokenSource | None:
    """Return the argument's token, else the file's, else HEADSWAP_TOKEN's; None when there is none."""
    if token is not None:
        return GivenToken(token)
    if token_file is not None:
        return TokenFile(token_file)
    from_environment = os.environ.get(VARIABLE)
    return GivenToken(from_environment) if from_environment else None
