"""Runs the command line: `headswap`, `python -m headswap`, and torchrun's `-m headswap`.

Little is imported at the top, so that Ctrl-C while the rest loads is answered too.
"""

import os
import sys

from headswap.errors import INTERRUPTED


def main() -> int:
    """Return the exit code of the command line."""
    try:
        _use_utf8()
        # A character that the terminal lacks is shown by its number, and never ends a command.
        for stream in (sys.stdout, sys.stderr):
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
        from headswap import cli
    except KeyboardInterrupt:
        sys.stderr.write("headswap: interrupted\n")
        return INTERRUPTED
    except ModuleNotFoundError as error:
        # `pip install headswap` brings what the Python client needs; the command line needs more.
        sys.exit(
            f"headswap: the package {error.name!r} is not installed; the command line needs headswap[host]: "
            "pip install 'headswap[host]'."
        )
    return cli.main()


def _use_utf8() -> None:
    """Start again in Python's UTF-8 mode where the locale has another encoding, such as ASCII with LC_ALL=C.

    File names, class names and the files headswap writes are UTF-8 on every machine.
    """
    if sys.getfilesystemencoding() != "utf-8" and "utf8" not in sys._xoptions:
        # For the workers of TorchServe and the processes that load photos.
        os.environ["PYTHONUTF8"] = "1"
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
