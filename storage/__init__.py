"""Files on disk: written whole or not at all, hashed no more often than they change, used by one process at a time."""

from storage.atomic import atomic_path, atomic_write
from storage.hashing import remembered_sha256, sha256_of

__all__ = ["atomic_path", "atomic_write", "remembered_sha256", "sha256_of"]
