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
