"""The page's process: a socket, uvicorn, until TERM or Ctrl-C."""

import signal
import socket

import uvicorn

from page.app import create_app
from page.context import PageContext
from page.errors import PageError
from serving.rollout.session import Report

# An open stream of events would keep the process from ending.
SHUTDOWN_TIMEOUT_S = 2


def run_page(context: PageContext, *, report: Report) -> None:
    """Serve the page until TERM or INT.

    Raises:
        PageError: the address cannot be used.
    """
    access = context.access
    with _listen(access.host, access.port) as listener:
        report(f"the page is on {access.url}")
        config = uvicorn.Config(
            create_app(context),
            log_level="warning",
            access_log=False,
            server_header=False,
            # The addresses of clients count for the limit on sign-ins: a client must not choose its own.
            proxy_headers=False,
            timeout_graceful_shutdown=SHUTDOWN_TIMEOUT_S,
            ssl_certfile=access.certificate,
            ssl_keyfile=access.private_key,
        )
        # uvicorn raises the signal again once it has stopped; by then it has been obeyed, and a promotion that runs
        # in a thread is finished first.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)
        uvicorn.Server(config).run(sockets=[listener])


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise PageError(
            f"the page cannot listen on {host}:{port} ({error.strerror}); give another --page-port, or stop what "
            "uses it."
        ) from None
