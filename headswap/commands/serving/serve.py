"""Run the server in the foreground, with the versions that are live, until TERM or Ctrl-C.

Example:
    headswap serve
    headswap serve model_store/clothing-1.0.mar      the first time, if the store holds several versions

On TERM or Ctrl-C it finishes the pending requests before it exits.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from headswap.options import ServerOptions, TrustOptions
from headswap.output import stderr


@dataclass(frozen=True, kw_only=True)
class Command:
    archives: tyro.conf.Positional[
        Annotated[tuple[Path, ...], tyro.conf.arg(metavar="[ARCHIVE ...]", help_behavior_hint="")]
    ] = ()
    """Archives to make live; by default those that were live last, or the only one in the model store."""
    listen: str | None = None
    """Host for the two inference addresses, such as 0.0.0.0, instead of the one in the configuration."""
    trust: TrustOptions = field(default_factory=TrustOptions)
    server: ServerOptions = field(default_factory=ServerOptions)


def run(command: Command) -> int:
    from serving.server.serve import serve

    settings = command.server.settings(listen=command.listen)
    return serve(
        settings, archives=command.archives, report=stderr.print, trust=command.trust.trust()
    )
