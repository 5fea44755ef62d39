"""Which archives may be promoted: those that lie in the model store itself."""

import pytest

from serving.errors import ArchiveError
from serving.rollout.trust import refuse_outside


def test_an_archive_outside_the_model_store_is_refused(archive_maker, tmp_path):
    store = tmp_path / "store"
    store.mkdir()
    outside = archive_maker()
    inside = store / "tiny-1.0.mar"
    inside.symlink_to(outside)
    for path in (outside, inside, store / ".." / outside.name):
        with pytest.raises(ArchiveError, match="--allow-outside-store"):
            refuse_outside(path, store)
    inside.unlink()
    inside.write_bytes(outside.read_bytes())
    refuse_outside(inside, store)
    refuse_outside(store / "absent.mar", store)
