"""NotBetterError: why the live version serves on."""


class NotBetterError(Exception):
    """The new version does not improve on the live one, or cannot: it is not promoted."""

    exit_code = 1
