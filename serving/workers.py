"""How many workers a version gets, and why."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from serving.errors import SettingsError
from serving.gpus import count_gpus

KEY = "default_workers_per_model"


@dataclass(frozen=True, kw_only=True)
class WorkerCount:
    count: int
    reason: str
    """Why so many, as the end of a sentence."""

    def __str__(self) -> str:
        return f"{self.count} worker{'s' if self.count != 1 else ''}, {self.reason}"

    def of_archive(self, model_config: Mapping[str, Any]) -> "WorkerCount":
        """Return the count for an archive with this model-config.yaml, which takes precedence."""
        count = model_config.get("minWorkers")
        if not isinstance(count, int) or isinstance(count, bool) or count < 1:
            return self
        return WorkerCount(count=count, reason="minWorkers in the archive's model-config.yaml")


def count_workers(properties: Mapping[str, str], environment: Mapping[str, str]) -> WorkerCount:
    """Return the number of workers per version: the user's, else one per GPU, else one per CPU that may be used.

    Raises:
        SettingsError: the user's number is not a whole number of 1 or more, or CUDA_VISIBLE_DEVICES cannot be read.
    """
    given = properties.get(KEY)
    if given:
        if not (given.isascii() and given.isdecimal()) or int(given) < 1:
            raise SettingsError(
                f"{KEY}={given!r} must be a whole number of 1 or more; without it there is one worker per GPU or CPU."
            )
        return WorkerCount(count=int(given), reason=f"{KEY} in the configuration")
    gpus = count_gpus(environment)
    if gpus:
        return WorkerCount(count=gpus, reason="one per GPU")
    # Not at the top: the client imports the settings, and needs no code of the handlers.
    from handlers.cgroup import available_cpus

    cpus = available_cpus()
    return WorkerCount(count=cpus.count, reason=f"one per CPU: {cpus.reason}")
