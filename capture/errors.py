"""CaptureError: what a person has to correct in a capture folder, or in a label."""


class CaptureError(Exception):
    exit_code = 2
