"""A run folder and its files, each written whole or not at all: a crash leaves the last good state."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from storage import atomic_write
from training.config import TrainConfig
from training.data.photos import SPLITS, NearLeak, PhotoSet, is_read
from training.data.source import with_absolute_paths
from training.errors import ConfigError, RunError
from training.photo_record import PhotoRecord

# Between the two files of a pair in data.json.
PAIR_SEPARATOR = " ~ "


@dataclass(frozen=True, kw_only=True)
class Run:
    folder: Path

    @property
    def config_path(self) -> Path:
        return self.folder / "config.json"

    @property
    def metrics_path(self) -> Path:
        return self.folder / "metrics.jsonl"

    @property
    def last_path(self) -> Path:
        return self.folder / "last.pt"

    @property
    def best_path(self) -> Path:
        return self.folder / "best.safetensors"

    @property
    def data_path(self) -> Path:
        return self.folder / "data.json"

    @property
    def photos_path(self) -> Path:
        return self.folder / "photos.json"

    @property
    def evaluation_path(self) -> Path:
        return self.folder / "evaluation.json"

    @property
    def unknown_path(self) -> Path:
        return self.folder / "unknown.safetensors"

    @property
    def tracking_path(self) -> Path:
        return self.folder / "tracking.json"

    @property
    def report_path(self) -> Path:
        return self.folder / "report.html"

    def config(self) -> TrainConfig:
        """Return the settings the run was trained with.

        Raises:
            RunError: the folder is not a run folder.
        """
        try:
            return TrainConfig.from_dict(read_json(self.config_path))
        except (OSError, ValueError, ConfigError) as error:
            raise RunError(
                f"{str(self.folder)!r} is not a run folder: {self._fault_of_config(error)}. "
                "Give one that `headswap train` created."
            ) from None

    def _fault_of_config(self, error: Exception) -> str:
        """Return why config.json cannot be read."""
        if not self.folder.is_dir():
            return "there is no such folder" if not self.folder.exists() else "it is not a folder"
        if not self.config_path.exists():
            return f"it has no {self.config_path.name}"
        return f"its {self.config_path.name} cannot be read: {_reason(error)}"

    def history(self) -> list[dict[str, Any]]:
        """Return the lines of metrics.jsonl, one dict per finished epoch.

        Raises:
            RunError: the file is damaged.
        """
        if not self.metrics_path.exists():
            return []
        try:
            return [json.loads(line) for line in self.metrics_path.read_text().splitlines()]
        except ValueError as error:
            raise _damaged(self.metrics_path, error) from None

    def data(self) -> dict[str, Any]:
        """Return data.json: class_names, counts, fingerprint, licence_note and more about the photos.

        Raises:
            RunError: data.json is missing or damaged.
        """
        return self._read(self.data_path)

    def photo_record(self) -> PhotoRecord | None:
        """Return which photos the run has used, from photos.json; None for a run of an earlier version.

        Raises:
            RunError: photos.json is damaged.
        """
        if not self.photos_path.exists():
            return None
        try:
            return PhotoRecord.from_dict(read_json(self.photos_path))
        except (OSError, ValueError) as error:
            raise _damaged(self.photos_path, error) from None

    def near_leaks(self) -> tuple[NearLeak, ...]:
        """Return the near duplicates found when the run began: finding them again would take as long.

        Raises:
            RunError: data.json is missing or damaged.
        """
        pairs = [line.partition(PAIR_SEPARATOR) for line in self.data().get("near_leaks", [])]
        return tuple(
            NearLeak(evaluated=Path(evaluated), other=Path(other)) for evaluated, _, other in pairs
        )

    def evaluation(self) -> dict[str, Any]:
        """Return evaluation.json, which `headswap evaluate` writes.

        Raises:
            RunError: the run has not been evaluated, or evaluation.json is damaged.
        """
        if not self.evaluation_path.exists():
            raise RunError(
                f"the run {str(self.folder)!r} has not been evaluated; "
                f"run `headswap evaluate {self.folder}` first."
            )
        return self._read(self.evaluation_path)

    def _read(self, path: Path) -> dict[str, Any]:
        try:
            return read_json(path)
        except (OSError, ValueError) as error:
            raise _damaged(path, error) from None


def open_finished_run(folder: Path) -> Run:
    """Return the run of a folder in which at least one epoch is finished.

    Raises:
        RunError: it is not a run folder, or no epoch is finished.
    """
    run = Run(folder=folder)
    run.config()
    if not run.best_path.exists():
        raise RunError(
            f"the run {str(folder)!r} has no finished epoch; train it first (or resume it with --resume)."
        )
    return run


def check_run(run: Run, config: TrainConfig, photos: PhotoSet) -> None:
    """Check that the run folder may be created, or resumed with this config and these photos.

    Raises:
        ConfigError: --out holds a run or lies among the photos, or the flags differ from the run's.
        RunError: there is no run to resume, or its photos have changed.
    """
    if not config.resume:
        if run.config_path.exists():
            raise ConfigError(
                f"{run.folder} already holds a run; "
                "give another --out, or --resume to continue that run."
            )
        if config.labels is None and is_read(config.out, config.data):
            raise ConfigError(
                f"--out {str(config.out)!r} is inside --data {str(config.data)!r}, where it would be read as "
                "photos next time; give an --out elsewhere."
            )
        return
    before = with_places_of(run.config(), config)
    if before != config:
        raise ConfigError(
            f"{run.folder} was trained with other flags ({_differences(before, config)}); "
            "resume with those in its config.json."
        )
    if photos.fingerprint != run.data()["fingerprint"]:
        raise RunError(
            f"the photos in {config.data} have changed since {run.folder} was created; start a new run."
        )


def with_places_of(before: TrainConfig, config: TrainConfig) -> TrainConfig:
    """Return the run's config with the folders of another: photos may have moved, and the fingerprint tells.

    Where it is followed is not a setting of the run either.
    """
    unlabeled = before.unlabeled and (config.unlabeled or before.unlabeled)
    weights = before.weights
    if with_absolute_paths(before).weights == with_absolute_paths(config).weights:
        weights = config.weights
    return replace(
        before,
        resume=config.resume,
        log=config.log,
        out=config.out,
        data=config.data,
        labels=config.labels,
        unlabeled=unlabeled,
        weights=weights,
    )


def has_places_of(before: TrainConfig, config: TrainConfig) -> bool:
    """Return whether both name the same folders of photos, and the same labels."""
    old, new = with_absolute_paths(before), with_absolute_paths(config)
    return (old.data, old.labels, old.unlabeled) == (new.data, new.labels, new.unlabeled)


def begin_run(run: Run, config: TrainConfig, photos: PhotoSet, *, licence_note: str) -> None:
    """Create the run folder. config.json is written last: it is what makes the folder a run."""
    run.folder.mkdir(parents=True, exist_ok=True)
    # Of an earlier run whose config.json somebody deleted.
    run.metrics_path.unlink(missing_ok=True)
    run.last_path.unlink(missing_ok=True)
    write_json(
        run.data_path,
        {
            "class_names": list(photos.class_names),
            "counts": {split: list(photos.counts(split)) for split in SPLITS},
            "unlabeled_count": len(photos.unlabeled),
            "fingerprint": photos.fingerprint,
            "labeled_fingerprint": photos.labeled_fingerprint,
            "bad_files": [f"{bad.path}: {bad.reason}" for bad in photos.bad_files],
            "leaks": [f"{leak.dropped} = {leak.kept}" for leak in photos.leaks],
            "group_leaks": [f"{leak.dropped} ({leak.group})" for leak in photos.group_leaks],
            "near_leaks": [
                f"{leak.evaluated}{PAIR_SEPARATOR}{leak.other}" for leak in photos.near_leaks
            ],
            "licence_note": licence_note,
        },
    )
    write_json(run.photos_path, PhotoRecord.of(photos).to_dict())
    write_config(run, config)


def write_config(run: Run, config: TrainConfig) -> None:
    """Write config.json, with absolute paths and without --resume, which is not a setting of the run."""
    write_json(run.config_path, replace(with_absolute_paths(config), resume=False).to_dict())


def _differences(before: TrainConfig, now: TrainConfig) -> str:
    old, new = before.to_dict(), now.to_dict()
    return ", ".join(f"{name} was {old[name]}" for name in old if old[name] != new[name])


def _damaged(path: Path, error: Exception) -> RunError:
    return RunError(
        f"{path} cannot be read: {_reason(error)}. Start a new run, or restore the file."
    )


def _reason(error: Exception) -> str:
    """Return what the kernel or the parser says, without the number and the path of an OSError."""
    return (getattr(error, "strerror", None) or str(error)).rstrip(".")


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write the values as an indented JSON object, whole or not at all."""
    atomic_write(path, json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """Return the JSON object that the file holds. Raises OSError or ValueError."""
    values = json.loads(path.read_text())
    if not isinstance(values, dict):
        raise ValueError(f"{path} does not hold a JSON object")
    return values
