"""Errors of the cluster; like all of ours they become one sentence and an exit code."""


class ClusterError(Exception):
    exit_code = 1


class ClusterAddressError(ClusterError):
    """No Ray cluster answers there."""

    exit_code = 2


class ClusterStateError(ClusterError):
    """What is asked for does not fit what the cluster serves."""

    exit_code = 2


class ArchiveTransferError(ClusterError):
    """An archive did not reach a node as it was given."""


class VersionFailedError(ClusterError):
    """A version did not load."""


class UnknownModelError(ClusterError):
    """Nothing of this name is served."""

    def __init__(self, model: str) -> None:
        super().__init__(f"Model not found: {model}")
        self.model = model


class UnknownVersionError(ClusterError):
    """The model is served, this version of it is not."""

    def __init__(self, model: str, version: str) -> None:
        super().__init__(f"Model version: {version} does not exist for model: {model}")
        self.model, self.version = model, version
