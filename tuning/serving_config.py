"""What is tuned: one way to serve an archive, as its model-config.yaml says it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

from handlers.settings import FRONTEND_DEFAULTS, HandlerSettings


@dataclass(frozen=True, kw_only=True)
class ServingConfig:
    workers: int
    threads: int
    """CPU threads of a worker's network."""
    batch_size: int
    max_delay_ms: int
    """How long the first request of a batch waits for company."""
    engine: str = "auto"
    precision: str = "auto"

    def changed(self, changes: Mapping[str, Any]) -> Self:
        """Return this setting with some values replaced."""
        return replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def to_model_config(self, base: Mapping[str, Any]) -> dict[str, Any]:
        """Return an archive's settings with these in them; what is not tuned stays as `base` has it."""
        handler = {
            **(base.get("handler") or {}),
            "engine": self.engine,
            "precision": self.precision,
            "threads_per_worker": self.threads,
        }
        return {
            **FRONTEND_DEFAULTS,
            **base,
            "minWorkers": self.workers,
            "maxWorkers": self.workers,
            "batchSize": self.batch_size,
            "maxBatchDelay": self.max_delay_ms,
            "handler": handler,
        }

    def __str__(self) -> str:
        told = (
            f"{_count(self.workers, 'worker')} of {_count(self.threads, 'thread')}, batches of up to "
            f"{self.batch_size} within {self.max_delay_ms} ms, {self.engine}"
        )
        return told if self.precision == "auto" else f"{told}, {self.precision}"


def read_setting(model_config: Mapping[str, Any], *, workers: int) -> ServingConfig:
    """Return how an archive with these settings is served; `workers` where it leaves their number to the host.

    Raises:
        handlers.errors.SettingsError: its `handler:` section is wrong.
    """
    handler = HandlerSettings.from_model_config(model_config)
    config = {**FRONTEND_DEFAULTS, **model_config}
    return ServingConfig(
        workers=int(config.get("minWorkers") or workers),
        threads=handler.thread_count,
        batch_size=int(config["batchSize"]),
        max_delay_ms=int(config["maxBatchDelay"]),
        engine=handler.engine,
        precision=handler.precision,
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' if number != 1 else ''}"
