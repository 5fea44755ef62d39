"""Tokens of the cluster: made once in a file that only its owner reads, checked by their hashes.

The ingress gets the hashes alone, because whatever a Serve deployment is given lies in Ray's state, where everybody
with access to the cluster's own ports can read it.
"""

import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Sequence
from pathlib import Path

from serving.client.token_sources import TokenFile
from storage.atomic import atomic_path

TOKEN_BYTES = 32
BEARER = "Bearer "


def make_tokens(path: Path) -> None:
    """Write new tokens unless the file exists, in the form of TorchServe's key_file.json, which the clients read.

    The token of inference may classify. That of management opens nothing here: who may change a cluster is decided by
    who reaches Ray's own ports. Raises OSError.
    """
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    tokens = {
        kind: {"key": secrets.token_urlsafe(TOKEN_BYTES)}
        for kind in ("inference", "management", "API")
    }
    with atomic_path(path) as temporary:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(tokens, file, indent=2)


def read_token_hashes(path: Path) -> tuple[str, ...]:
    """Return the hash of the token of inference that a file or a mounted Secret holds; raises SettingsError."""
    return (hash_token(TokenFile(path, "inference").read()),)


def hash_token(token: str) -> str:
    """Return the token's sha256. It is 32 random bytes, so a slow hash would protect it no better."""
    return hashlib.sha256(token.encode()).hexdigest()


def is_allowed(authorization: str | None, hashes: Sequence[str]) -> bool:
    """Return whether the header carries one of the tokens, in the same time for every token; without hashes, True."""
    if not hashes:
        return True
    if authorization is None or not authorization.startswith(BEARER):
        return False
    given = hash_token(authorization.removeprefix(BEARER))
    matches = [hmac.compare_digest(given, expected) for expected in hashes]
    return any(matches)
