"""TorchServe's tokens: read from the key file it writes, renewed before they expire."""

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
# Renewed when less than this share of its life is left: a renewal ends the old token at once, so not too often.
RENEW_BEFORE = timedelta(minutes=5)
CHECK_EVERY_S = 30.0
TIMEOUT_S = (5.0, 30.0)
# Writing 300 bytes takes microseconds; a file that stays broken this long is broken.
REWRITE_TIMEOUT_S = 0.5
POLL_S = 0.005


def read_token(key_file: Path, kind: TokenKind) -> str:
    """Return the current token.

    Raises:
        NoServerError: there is no key file, so no server runs with this state folder.
    """
    return _read(key_file)[kind].text


@dataclass(frozen=True, kw_only=True)
class Token:
    text: str
    expires: datetime | None
    """None: never, as the API key that renews the others."""


def _read(key_file: Path) -> dict[str, Token]:
    deadline = time.monotonic() + REWRITE_TIMEOUT_S
    while True:
        try:
            told = json.loads(key_file.read_text())
            return {kind: _token(told[kind]) for kind in KINDS}
        except OSError:
            break
        except (ValueError, KeyError, TypeError, AttributeError):
            # Java rewrites the file in place: for a moment it is empty or cut short.
            if time.monotonic() > deadline:
                break
            time.sleep(POLL_S)
    raise NoServerError(
        f"no server runs with the state folder {str(key_file.parent)!r}: it has no key_file.json. "
        "Start one with headswap serve, or give its --state."
    )


def _token(told: Mapping[str, str]) -> Token:
    moment = told.get("expiration time")
    # Java writes nanoseconds; Python reads six digits.
    expires = datetime.fromisoformat(moment[:26].rstrip("Z")) if moment else None
    return Token(text=told["key"], expires=expires and expires.replace(tzinfo=UTC))


def expires_within(key_file: Path, kind: TokenKind, margin: timedelta) -> bool:
    """Return whether the token has less than `margin` left. Raises NoServerError as `read_token` does."""
    expires = _read(key_file)[kind].expires
    return expires is not None and expires - datetime.now(UTC) < margin


def renew(settings: ServerSettings, kind: TokenKind) -> None:
    """Have TorchServe write a new token into the key file. Raises ServerError when it refuses."""
    api_key = _read(settings.key_file)["API"].text
    with local_session(tls=settings.tls) as session:
        answer = session.get(
            f"{settings.management_url}/token",
            params={"type": kind},
            headers={"Authorization": f"Bearer {api_key}"},
            timeout=TIMEOUT_S,
        )
    if answer.status_code != 200:
        raise ServerError(
            f"the {kind} token could not be renewed: {answer.status_code} {answer.text.strip()[:200]}"
        )


def keep_fresh(settings: ServerSettings, stopping: threading.Event) -> None:
    """Renew both tokens before they expire until `stopping` is set; a failure is tried again."""
    while not stopping.wait(CHECK_EVERY_S):
        for kind in ("inference", "management"):
            try:
                if expires_within(settings.key_file, kind, RENEW_BEFORE):
                    renew(settings, kind)
            except (requests.RequestException, NoServerError, ServerError):
                continue
