"""Options of `headswap predict` for classifying without a server."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from headswap.errors import ArgumentError
from headswap.options import TrustOptions


@dataclass(frozen=True, kw_only=True)
class BatchOptions:
    """Without a server: the archive's own code and network in processes of this command, or on a Ray cluster."""

    archive: Path | None = None
    """Classify with this archive instead of a server. Its code runs here, after the checks that promote makes."""
    workers: int | None = None
    """Worker processes. Default: one per GPU, else one per CPU."""
    out: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")] = None
    """Write the answers as Parquet files into this folder; the same command again goes on where it was."""
    photos_per_file: int = 1000
    """Photos of each Parquet file of --out: what is classified again after a kill, at most."""
    cluster: Annotated[str | None, tyro.conf.arg(metavar="ADDRESS")] = None
    """Classify on this Ray cluster: auto, HOST:6379 or ray://HOST:10001. Needs --archive and --out."""
    trust: TrustOptions = field(default_factory=TrustOptions)

    def check(self) -> None:
        """Raise ArgumentError where the options contradict each other."""
        if self.archive is None:
            for flag, value in (
                ("--out", self.out), ("--cluster", self.cluster), ("--workers", self.workers),
            ):  # fmt: skip
                if value is not None:
                    raise ArgumentError(f"{flag} needs --archive, the archive to classify with.")
        if self.workers is not None and self.workers < 1:
            raise ArgumentError(f"--workers must be 1 or more, not {self.workers}.")
        if self.cluster is not None and self.out is None:
            raise ArgumentError("--cluster needs --out, the folder for the answers.")

    def paths(self) -> tuple[Path, Path]:
        """Return the archive and the folder for answers; the latter means nothing without --out."""
        assert self.archive is not None
        return self.archive, self.out or Path()
