"""Errors of the command line itself.

CommandError             exit code 2: the command as typed cannot be run
    UnknownVerbError     no such verb
    FlagError            the flags do not parse
    InputError           a photo path that is none, an empty standard input
"""

import difflib
from collections.abc import Sequence


class CommandError(Exception):
    exit_code = 2


class UnknownCommandError(CommandError):
    def __init__(self, name: str, known: Sequence[str]) -> None:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        super().__init__(f"there is no verb {name!r}; the verbs are {', '.join(known)}.{hint}")


class FlagError(CommandError):
    pass


class InputError(CommandError):
    pass
