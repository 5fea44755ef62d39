"""What a run can be evaluated on: its own photos, a folder, a dataset by its name."""

from pathlib import Path

import pytest

from training.evaluation.evaluation import evaluate
from training.run import Run


def test_a_dataset_may_be_named(
    untrained_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADSWAP_DATASETS", str(tmp_path))
    # Unpacked by an earlier start: nothing is downloaded.
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "eurosat").symlink_to(untrained_run.config().data)
    own = untrained_run.evaluation()
    named = evaluate(untrained_run.folder, data=Path("eurosat"))
    assert (named.n, named.accuracy) == (own["n"], own["accuracy"])
    assert all(photo.path.startswith(str(tmp_path)) for photo in named.photos)
    evaluate(untrained_run.folder)
