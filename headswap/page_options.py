"""Options of the page, for `headswap page` and `headswap serve --page`, and the page made from them."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from headswap.errors import ArgumentError

if TYPE_CHECKING:
    from serving.rollout.session import Report
    from serving.rollout.trust import Trust
    from serving.settings import ServerSettings


@dataclass(frozen=True, kw_only=True)
class PageOptions:
    """The page in the browser. It listens on this machine alone unless it has TLS or a proxy before it."""

    page_listen: str = "127.0.0.1"
    """Address for the page; other than loopback only with TLS or behind a proxy."""
    page_port: int = 8090
    """Port of the page."""
    page_certificate: Path | None = None
    """PEM certificate, for https."""
    page_private_key: Path | None = None
    """PEM private key of --page-certificate."""
    page_public_address: str | None = None
    """The address in the browser where a proxy stands before the page, such as https://page.example.org."""

    def flags(self) -> list[str]:
        """Return these options as `headswap page` takes them."""
        given = {f"--{name.replace('_', '-')}": value for name, value in vars(self).items()}
        return [f"{flag}={value}" for flag, value in given.items() if value is not None]

    def run(
        self,
        settings: "ServerSettings",
        *,
        trust: "Trust",
        report: "Report",
        capture: Path | None = None,
    ) -> None:
        """Serve the page until TERM or Ctrl-C.

        Raises:
            ArgumentError: the page's packages are not installed. PageError: it cannot listen as asked.
        """
        try:
            from page.access import Access
            from page.context import PageContext
            from page.server import run_page
        except ModuleNotFoundError as error:
            raise ArgumentError(
                f"the page needs the package {error.name!r}: pip install 'headswap[host,page]'."
            ) from None
        from headswap.promotion_log import PromotionLog
        from serving.rollout.session import ServerSession

        access = Access(
            host=self.page_listen,
            port=self.page_port,
            certificate=self.page_certificate,
            private_key=self.page_private_key,
            public_address=self.page_public_address,
        )
        context = PageContext(
            settings=settings,
            open_session=lambda: ServerSession(settings),
            open_log=lambda command, subject: PromotionLog(settings, command, subject=subject),
            access=access,
            trust=trust,
            capture=capture,
        )
        run_page(context, report=report)
