"""Flags that say which archives may run here."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from serving.rollout.trust import Trust

VARIABLE = "HEADSWAP_REQUIRE_SIGNATURE"


def _key_from_environment() -> Path | None:
    given = os.environ.get(VARIABLE)
    return Path(given) if given else None


@dataclass(frozen=True, kw_only=True)
class TrustFlags:
    allow_custom_handler: bool = False
    """Take an archive whose code is not this headswap's own. That code runs with the server's rights."""
    require_signature: Path | None = field(default_factory=_key_from_environment)
    """A public key; archives not signed with its private half are refused (or HEADSWAP_REQUIRE_SIGNATURE)."""

    def trust(self) -> "Trust":
        from serving.rollout.trust import Trust

        return Trust(
            allow_custom_handler=self.allow_custom_handler, public_key=self.require_signature
        )
