"""TorchServe's tokens: read from its key file, renewed before they expire."""

import json
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import requests

from serving.client.sessions import local_session
from serving.errors import NoServerError, ServerError
from serving.settings import ServerSettings

TokenKind = Literal["inference", "management"]
KINDS = ("inference", "management", "API")
# A token lives an hour; renewing invalidates the old one at once, so it is done late.
RENEW_BEFORE = timedelta(minutes=5)
CHECK_EVERY_S = 30.0
TIMEOUT_S = (5.0, 30.0)
# Writing 300 bytes takes microseconds; a file still incomplete after this long is damaged.
REWRITE_TIMEOUT_S = 0.5
POLL_S = 0.005
# What parsing an incomplete or foreign file raises.
DAMAGE = (ValueError, KeyError, TypeError, AttributeError, RecursionError)


def read_token(key_file: Path, kind: TokenKind) -> str:
    """Return the current token.

    Raises:
        NoServerError: there is no key file, so no server is running with this state folder.
    """
    return _read(key_file)[kind].text


@dataclass(frozen=True, kw_only=True)
class Token:
    text: str
    expires: datetime | None
    """None: never, as with the API key, which renews the others."""


def _read(key_file: Path) -> dict[str, Token]:
    deadline = time.monotonic() + REWRITE_TIMEOUT_S
    while True:
        try:
            return _parse(key_file.read_bytes())
        except OSError:
            break
        except DAMAGE:
            # Java rewrites the file in place: for a moment it is empty or incomplete.
            if time.monotonic() > deadline:
                break
            time.sleep(POLL_S)
    raise NoServerError(
        f"no server is running with the state folder {str(key_file.parent)!r}: it has no key_file.json. "
        "Start one with headswap serve, or give --state."
    )


def is_complete(content: bytes) -> bool:
    """Return whether this is a key file with all its tokens."""
    try:
        _parse(content)
    except DAMAGE:
        return False
    return True


def _parse(content: bytes) -> dict[str, Token]:
    entries = json.loads(content)
    return {kind: _token(entries[kind]) for kind in KINDS}


def _token(entry: Mapping[str, str]) -> Token:
    timestamp = entry.get("expiration time")
    # Java writes nanoseconds; Python reads up to six digits.
    expires = datetime.fromisoformat(timestamp[:26].rstrip("Z")) if timestamp else None
    return Token(text=entry["key"], expires=expires and expires.replace(tzinfo=UTC))


def expires_within(key_file: Path, kind: TokenKind, margin: timedelta) -> bool:
    """Return whether the token has less than `margin` left. Raises NoServerError as `read_token` does."""
    expires = _read(key_file)[kind].expires
    return expires is not None and expires - datetime.now(UTC) < margin


def renew_token(settings: ServerSettings, kind: TokenKind) -> None:
    """Have TorchServe write a new token to the key file; the old one is invalid at once. Raises ServerError."""
    api_key = _read(settings.key_file)["API"].text
    with local_session(tls=settings.tls) as session:
        response = session.get(
            f"{settings.management_url}/token",
            params={"type": kind},
            headers={"Authorization": f"Bearer {api_key}"},
            timeout=TIMEOUT_S,
        )
    if response.status_code != 200:
        raise ServerError(
            f"the {kind} token could not be renewed: {response.status_code} {response.text.strip()[:200]}"
        )


def keep_renewing(settings: ServerSettings, stopping: threading.Event) -> None:
    """Renew both tokens before they expire until `stopping` is set; retry failures."""
    while not stopping.wait(CHECK_EVERY_S):
        for kind in ("inference", "management"):
            try:
                if expires_within(settings.key_file, kind, RENEW_BEFORE):
                    renew_token(settings, kind)
            except (requests.RequestException, NoServerError, ServerError):
                continue
