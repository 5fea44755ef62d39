"""Sign an archive with a private key; the signature is a file beside it.

Example:
    headswap sign model_store/clothing-2.0.mar --key release.key
"""

from dataclasses import dataclass
from pathlib import Path

import tyro

from headswap.output import stdout


@dataclass(frozen=True, kw_only=True)
class Command:
    archive: tyro.conf.Positional[Path]
    """The archive that `headswap export` made."""
    key: Path
    """The private key that `headswap keygen` made."""


def run(command: Command) -> int:
    from serving.archive.reader import read_archive
    from serving.archive.signature import sign

    stdout.print(str(sign(read_archive(command.archive), command.key)))
    return 0
