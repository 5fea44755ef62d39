"""The values of --group-by."""

import re

from training.errors import ConfigError

FOLDER = "folder"
EXIF_BURST = "exif-burst"


def check_group_by(group_by: str) -> None:
    """Check the value of --group-by. Raises ConfigError."""
    if group_by in (FOLDER, EXIF_BURST):
        return
    try:
        re.compile(group_by)
        if group_by:
            return
        reason = "it is empty"
    except re.error as error:
        reason = f"as a regular expression: {error}"
    raise ConfigError(
        f"--group-by {group_by!r} cannot be used ({reason}); give {FOLDER}, {EXIF_BURST} or a regular expression "
        "such as 'patient[0-9]+', which is searched in each photo's path."
    )
