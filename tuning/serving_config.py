"""What is tuned: one way to serve an archive, as its model-config.yaml states it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

from handlers.settings import FRONTEND_DEFAULTS, HandlerSettings


@dataclass(frozen=True, kw_only=True)
class ServingConfig:
    workers: int
    threads: int
    """CPU threads per worker."""
    batch_size: int
    """Largest batch."""
    max_delay_ms: int
    """How long the first request of a batch waits for others."""
    engine: str = "auto"
    precision: str = "auto"

    def changed(self, changes: Mapping[str, Any]) -> Self:
        """Return this configuration with some values replaced."""
        return replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def to_model_config(self, base: Mapping[str, Any]) -> dict[str, Any]:
        """Return the content of a model-config.yaml: `base` with this configuration's values in it."""
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
        text = (
            f"{_count(self.workers, 'worker')} with {_count(self.threads, 'thread')} each, batches of up to "
            f"{self.batch_size} within {self.max_delay_ms} ms, {self.engine}"
        )
        return text if self.precision == "auto" else f"{text}, {self.precision}"


def read_serving_config(model_config: Mapping[str, Any], *, workers: int) -> ServingConfig:
    """Return how an archive with this model-config.yaml is served.

    `workers` is the host's number of workers, used where the archive does not set one.

    Raises:
        handlers.errors.SettingsError: the `handler:` section is wrong.
    """
    handler = HandlerSettings.from_model_config(model_config)
    frontend = {**FRONTEND_DEFAULTS, **model_config}
    return ServingConfig(
        workers=int(frontend.get("minWorkers") or workers),
        threads=handler.thread_count,
        batch_size=int(frontend["batchSize"]),
        max_delay_ms=int(frontend["maxBatchDelay"]),
        engine=handler.engine,
        precision=handler.precision,
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' if number != 1 else ''}"
