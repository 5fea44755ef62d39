"""Errors of the command line itself.

CommandError                 exit code 2: the command cannot be run as typed
    UnknownCommandError      no command of that name
    ArgumentError            an argument does not parse, does not exist or contradicts another
"""

import difflib
from collections.abc import Sequence

INTERRUPTED = 130  # 128 + SIGINT, as shells report it: the exit code after Ctrl-C.


class CommandError(Exception):
    exit_code = 2


class UnknownCommandError(CommandError):
    def __init__(self, name: str, known: Sequence[str]) -> None:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        super().__init__(
            f"there is no command {name!r}; the commands are {', '.join(known)}.{hint}"
        )


class ArgumentError(CommandError):
    pass
