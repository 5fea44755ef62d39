"""The page beside the server: `headswap page` in a process of its own, which ends with `headswap serve`."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from headswap.options import ServerOptions, TrustOptions
from headswap.page_options import PageOptions

STOP_TIMEOUT_S = 10.0


@contextmanager
def page_process(
    page: PageOptions, *, server: ServerOptions, trust: TrustOptions, capture: Path | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Start the page, and stop it on leaving. Whether it can listen as asked is for its own output to say."""
    from serving.server.process import die_with_parent

    command = [
        sys.executable, "-m", "headswap", "page", *page.flags(),
        f"--config={server.config}", f"--model-store={server.model_store}", f"--state={server.state}",
        *(["--allow-custom-handler"] if trust.allow_custom_handler else []),
        *([f"--capture={capture}"] if capture else []),
        *([f"--require-signature={trust.require_signature}"] if trust.require_signature else []),
    ]  # fmt: skip
    # In a session of its own, so that on the terminal's Ctrl-C it serves until `serve` has ended.
    process = subprocess.Popen(command, start_new_session=True, preexec_fn=die_with_parent)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
