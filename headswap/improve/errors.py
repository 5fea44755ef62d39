"""Why an improvement did not make its version live.

NotBetterError           the new version is not better: the improvement is over
InterruptedStepError     a full disk, or the like: the same command continues
"""


class NotBetterError(Exception):
    """The new version does not improve on the live one, or cannot: it is not promoted."""

    exit_code = 1


class InterruptedStepError(Exception):
    exit_code = 1
