"""Errors of training, evaluating, comparing and exporting.

TrainingError               exit code 1: training, evaluation or export failed
    InterruptedRunError     exit code 130: Ctrl-C; the run can be resumed
    ExportError             the archive could not be made
    DivergedError           the loss is NaN or infinite
    PeerLostError           another process of the run is gone; the run can be resumed
    RankZeroFailedError     process 0 failed and reports why; this process exits with the same code
    DownloadError           exit code 2: files that could not be downloaded; says where to put them
    TrainingInputError      exit code 2: invalid input
        ConfigError         flags that contradict each other or are out of range
        DataError           a photo folder that cannot be trained on
        WeightsError        initial weights that do not fit the network
        RunError            not a run folder, or its run is not finished
        AuditError          corrected labels that cannot be applied, or moves that cannot be undone
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


class RankZeroFailedError(TrainingError):
    def __init__(self, *, exit_code: int) -> None:
        super().__init__("process 0 failed; its own output says why.")
        self.exit_code = exit_code


class DownloadError(TrainingError):
    exit_code = 2


class TrainingInputError(TrainingError):
    exit_code = 2


class ConfigError(TrainingInputError):
    pass


class DataError(TrainingInputError):
    pass


class WeightsError(TrainingInputError):
    pass


class RunError(TrainingInputError):
    pass


class AuditError(TrainingInputError):
    pass
