"""Files of the user's: written whole or not at all."""

from storage.atomic import atomic_path, atomic_write

__all__ = ["atomic_path", "atomic_write"]
