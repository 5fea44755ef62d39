"""Names of a version's Serve application."""

from urllib.parse import quote

DEPLOYMENT = "version"


def application_name(model: str, version: str) -> str:
    """Return the name of a version's application; different versions have different names.

    Serve uses names in paths of log files: everything but letters, digits and `_.-~` is escaped, and `@` occurs once.
    """
    return f"headswap-{quote(model, safe='')}@{quote(version, safe='')}"
