"""Make a pair of ed25519 keys: the private half signs archives, the public half lets servers check them.

Example:
    headswap keygen release.key       writes release.key, which stays with you, and release.key.pub for the servers
"""

from dataclasses import dataclass
from pathlib import Path

import tyro

from headswap.output import stdout


@dataclass(frozen=True, kw_only=True)
class Command:
    key: tyro.conf.Positional[Path]
    """The file of the private key; it must not exist yet. The public one gets .pub behind its name."""


def run(command: Command) -> int:
    from serving.archive.signature import make_keys

    public = make_keys(command.key)
    stdout.print(
        f"{command.key}\n{public}\nNext: headswap sign ARCHIVE --key {command.key}, and on the server: "
        f"headswap promote ARCHIVE --require-signature {public}"
    )
    return 0
