"""Errors of classifying without a server.

BatchError                  exit code 1
    WorkerError             a worker process cannot load the archive, or ends again and again; exit code the worker's
    BatchInputError         exit code 2
        SourceError         a file, a folder or an object store that cannot be listed
        OutputError         a folder for answers that holds something else, is in use or cannot be written
        ExtraError          a package is not installed
"""


class BatchError(Exception):
    exit_code = 1


class WorkerError(BatchError):
    """Travels between processes, hence the arguments that pickle gives back."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message, exit_code)
        self.exit_code = exit_code

    def __str__(self) -> str:
        return str(self.args[0])


class BatchInputError(BatchError):
    exit_code = 2


class SourceError(BatchInputError):
    pass


class OutputError(BatchInputError):
    pass


class ExtraError(BatchInputError):
    def __init__(self, package: str, *, needed_for: str, command: str) -> None:
        super().__init__(f"{needed_for} needs the package {package!r}: {command}.")
