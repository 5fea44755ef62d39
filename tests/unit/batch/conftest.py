"""The trees of files of the photo folder's tests."""

from tests.unit.photo_folder.conftest import photos_in

__all__ = ["photos_in"]
