"""Errors of tuning.

TuningError           exit code 1: nothing could be measured
    InputError        exit code 2: photos that cannot be used, a budget or bound that is none
"""


class TuningError(Exception):
    exit_code = 1


class InputError(TuningError):
    exit_code = 2
