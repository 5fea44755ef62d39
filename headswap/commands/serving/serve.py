"""Run the server in the foreground, with the versions that are live, until TERM or Ctrl-C.

Example:
    headswap serve
    headswap serve model_store/clothing-1.0.mar      the first time, if the store holds several versions

On TERM or Ctrl-C it finishes the pending requests before it exits.
"""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

import tyro

from headswap.capture_options import CaptureOptions
from headswap.options import ServerOptions, TrustOptions
from headswap.output import stderr
from headswap.page_options import PageOptions
from headswap.page_process import page_process


@dataclass(frozen=True, kw_only=True)
class Command:
    archives: tyro.conf.Positional[
        Annotated[tuple[Path, ...], tyro.conf.arg(metavar="[ARCHIVE ...]", help_behavior_hint="")]
    ] = ()
    """Archives to make live; by default those that were live last, or the only one in the model store."""
    listen: str | None = None
    """Host for the two inference addresses, such as 0.0.0.0, instead of the one in the configuration."""
    page: bool = False
    """Serve the page in the browser as well, in a process of its own; headswap page has its options."""
    page_options: PageOptions = field(default_factory=PageOptions)
    capture: CaptureOptions = field(default_factory=CaptureOptions)
    trust: TrustOptions = field(default_factory=TrustOptions)
    server: ServerOptions = field(default_factory=ServerOptions)


def run(command: Command) -> int:
    from serving.server.serve import serve

    settings = replace(
        command.server.settings(listen=command.listen), capture=command.capture.settings()
    )
    with _page(command):
        return serve(
            settings, archives=command.archives, report=stderr.print, trust=command.trust.trust()
        )


def _page(command: Command) -> AbstractContextManager[object]:
    if not command.page:
        return nullcontext()
    return page_process(
        command.page_options,
        server=command.server,
        trust=command.trust,
        capture=command.capture.capture,
    )
