"""FolderError: the one error of this package, which each command reports as an error of its own kind."""


class FolderError(Exception):
    """A folder, or a file of labels, that cannot be read as labelled photos."""
