"""What a model and its versions may be called: both stand in URLs and in file names."""

import re

from training.errors import InputError

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._]*(-[A-Za-z0-9._]+)*")
VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._]*")


def check_name(name: str) -> None:
    """Return if a model may have this name. Raises InputError."""
    _check("--name", name, NAME)


def check_version(version: str) -> None:
    """Return if an archive may have this version. Raises InputError."""
    _check("--version", version, VERSION)


def _check(flag: str, value: str, pattern: re.Pattern[str]) -> None:
    if not pattern.fullmatch(value) or ".." in value:
        raise InputError(
            f"{flag} {value!r} is not allowed; use letters, digits, dots and underscores."
        )
