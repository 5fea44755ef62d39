"""Sign an archive with a private key and write the signature next to it, as ARCHIVE.sig.

Example:
    headswap sign model_store/clothing-2.0.mar --key release.key
"""

from dataclasses import dataclass
from pathlib import Path

from headswap.options import ArchivePath
from headswap.output import stdout


@dataclass(frozen=True, kw_only=True)
class Command:
    archive: ArchivePath
    """The archive to sign."""
    key: Path
    """The private key that `headswap keygen` created."""


def run(command: Command) -> int:
    from serving.archive.reader import read_archive
    from serving.archive.signature import sign

    stdout.print(str(sign(read_archive(command.archive), command.key)))
    return 0
