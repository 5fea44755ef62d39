"""Errors of a capture folder.

CaptureError            exit code 2: what a person has to correct in the folder, or in a label
    NotFilledError      no photo has been kept in the folder yet
"""


class CaptureError(Exception):
    exit_code = 2


class NotFilledError(CaptureError):
    pass
