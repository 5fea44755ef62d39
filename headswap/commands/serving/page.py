"""Open the page of a running server in the browser: try photos, swap versions, watch.

Example:
    headswap page
    headswap token                   prints what the page asks for, to try photos
    headswap token --management      the same, to swap versions and watch

headswap serve --page starts both together.
"""

from dataclasses import dataclass, field
from pathlib import Path

from headswap.options import ServerOptions, TrustOptions
from headswap.output import stderr
from headswap.page_options import PageOptions


@dataclass(frozen=True, kw_only=True)
class Command:
    capture: Path | None = None
    """Folder of `headswap serve --capture`, to label its photos on the page."""
    page: PageOptions = field(default_factory=PageOptions)
    trust: TrustOptions = field(default_factory=TrustOptions)
    server: ServerOptions = field(default_factory=ServerOptions)


def run(command: Command) -> int:
    command.page.run(
        command.server.settings(),
        trust=command.trust.trust(),
        report=stderr.print,
        capture=command.capture,
    )
    return 0
