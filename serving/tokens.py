"""TorchServe's tokens: read from the key file it writes, renewed before they expire."""

import json
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import requests

from serving.errors import NoServerError, ServerError
from serving.sessions import local_session
from serving.settings import ServerSettings

TokenKind = Literal["inference", "management"]
# Renewed when less than this share of its life is left: a renewal ends the old token at once, so not too often.
RENEW_BEFORE = timedelta(minutes=5)
CHECK_EVERY_S = 30.0
TIMEOUT_S = (5.0, 30.0)
# Writing 300 bytes takes microseconds; a file that stays broken this long is broken.
REWRITE_TIMEOUT_S = 0.5


def read_token(key_file: Path, kind: TokenKind) -> str:
    """Return the current token.

    Raises:
        NoServerError: there is no key file, so no server runs with this state folder.
    """
    return str(_read(key_file)[kind]["key"])


def _read(key_file: Path) -> dict[str, dict[str, str]]:
    deadline = time.monotonic() + REWRITE_TIMEOUT_S
    while True:
        try:
            keys: dict[str, dict[str, str]] = json.loads(key_file.read_text())
            return keys
        except OSError:
            break
        except ValueError:
            # Java rewrites the file in place: for a moment it is empty or cut short.
            if time.monotonic() > deadline:
                break
    raise NoServerError(
        f"no server runs with the state folder {str(key_file.parent)!r}: it has no key_file.json. "
        "Start one with headswap serve, or give its --state."
    )


def expires_within(key_file: Path, kind: TokenKind, margin: timedelta) -> bool:
    told = _read(key_file)[kind]["expiration time"]
    # Java writes nanoseconds; Python reads six digits.
    expiry = datetime.fromisoformat(told[:26].rstrip("Z")).replace(tzinfo=UTC)
    return expiry - datetime.now(UTC) < margin


def renew(settings: ServerSettings, kind: TokenKind) -> None:
    """Have TorchServe write a new token into the key file. Raises ServerError when it refuses."""
    api_key = _read(settings.key_file)["API"]["key"]
    session = local_session(tls=settings.tls)
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
