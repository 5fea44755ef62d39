"""Errors of training, evaluating and exporting.

TrainingError               exit code 1: something failed
    InterruptedRunError     exit code 130: Ctrl-C; the run folder can be resumed
    ExportError             the archive could not be made
    DivergedError           the loss is no longer a number
    PeerLostError           another process of the run is gone; the run folder can be resumed
    EndedElsewhereError     process 0 ended the run and says why; this one has its exit code
    DownloadError           exit code 2: weights that could not be fetched; says where to put them
    InputError              exit code 2: the user gave something wrong
        ConfigError         flags that contradict each other or are out of range
        DataError           a photo folder that cannot be trained on
        WeightsError        starting weights that do not fit
        RunError            a run folder that is none, or is not finished
"""


class TrainingError(Exception):
    exit_code = 1


class InterruptedRunError(TrainingError):
    exit_code = 130


class ExportError(TrainingError):
    pass


class DivergedError(TrainingError):
    pass


class PeerLostError(TrainingError):
    pass


class EndedElsewhereError(TrainingError):
    def __init__(self, *, exit_code: int) -> None:
        super().__init__("process 0 says why the run ended.")
        self.exit_code = exit_code


class DownloadError(TrainingError):
    exit_code = 2


class InputError(TrainingError):
    exit_code = 2


class ConfigError(InputError):
    pass


class DataError(InputError):
    pass


class WeightsError(InputError):
    pass


class RunError(InputError):
    pass
