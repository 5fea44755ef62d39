"""Start the server with what was promoted, and stay in the foreground until TERM or Ctrl-C.

Example:
    headswap serve
    headswap serve model_store/clothing-1.0.mar      the first time, when the store holds several
"""

from dataclasses import dataclass, field
from pathlib import Path

import tyro

from headswap.options import ServerOptions, TrustOptions
from headswap.output import stderr


@dataclass(frozen=True, kw_only=True)
class Command:
    archives: tyro.conf.Positional[tuple[Path, ...]] = ()
    """Archives to make live; by default what was live last, or the only one in the store."""
    listen: str | None = None
    """Host of the two inference addresses instead of the configuration's, such as 0.0.0.0."""
    trust: TrustOptions = field(default_factory=TrustOptions)
    server: ServerOptions = field(default_factory=ServerOptions)


def run(command: Command) -> int:
    from serving.server.server import serve

    settings = command.server.settings(listen=command.listen)
    return serve(
        settings, archives=command.archives, report=stderr.print, trust=command.trust.trust()
    )
