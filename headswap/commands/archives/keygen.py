"""Create a pair of ed25519 keys: the private key signs archives, servers verify them with the public key.

Example:
    headswap keygen release.key

Writes release.key, to be kept secret, and release.key.pub, to be copied to the servers.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from headswap.output import stdout


@dataclass(frozen=True, kw_only=True)
class Command:
    key: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="KEY")]]
    """File for the private key; it must not exist yet. The public key's file has the same name with .pub appended."""


def run(command: Command) -> int:
    from serving.archive.signature import make_keys

    public = make_keys(command.key)
    stdout.print(
        f"{command.key}\n{public}\nNext: headswap sign ARCHIVE --key {command.key}, and on the server: "
        f"headswap promote ARCHIVE --require-signature {public}"
    )
    return 0
