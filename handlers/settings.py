"""What a host may configure in the handler: the `handler:` section of model-config.yaml.

The other keys of that file are TorchServe's own; FRONTEND_DEFAULTS is what an archive should carry.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, Self, get_args

from handlers.cgroup import cpu_count
from handlers.errors import HandlerSettingsError
from handlers.images.limits import (
    DEFAULT_MAX_BYTES,
    DEFAULT_MAX_HEADER_PIXELS,
    DEFAULT_MAX_PIXELS,
    DecodeLimits,
)

# TorchServe's part of model-config.yaml. minWorkers and maxWorkers are left to the host.
FRONTEND_DEFAULTS: Mapping[str, int] = {
    # On a CPU a batch saves nothing but round trips, and TorchServe hands two waiting requests to one worker while
    # another is idle. 1 against 2: two connections get 93.3 instead of 53.8 photos/s of EfficientNet-B0 and 54.5
    # instead of 35.2 of ResNet-18; with 8 connections it is 1 to 4 % fewer.
    "batchSize": 1,
    # Milliseconds that the first request of a batch waits for others. 1 is the least TorchServe accepts: 0 and a
    # missing key both mean its default of 100, which every request to an idle server would pay.
    "maxBatchDelay": 1,
    # Seconds until TorchServe kills a worker that is still computing, so well above the slowest batch.
    "responseTimeout": 120,
    # Seconds from start to loaded. Without it, TorchServe's 120 would override the host's own default.
    "startupTimeout": 120,
    # Seconds during which a crashing worker is restarted: TorchServe's 300 hide a broken archive.
    "maxRetryTimeoutInSec": 30,
}

EngineChoice = Literal["auto", "mnn", "onnx", "eager"]
Precision = Literal["auto", "float16", "bfloat16", "float32"]


@dataclass(frozen=True, kw_only=True)
class HandlerSettings:
    engine: EngineChoice = "auto"
    """On a CPU. auto: the first of MNN, ONNX Runtime and PyTorch that is installed and whose file the archive holds."""
    precision: Precision = "auto"
    """Of the network on a GPU; auto: float16. A CPU always computes in float32."""
    threads_per_worker: int | None = None
    """CPU threads of a worker, at most one per core. Default: OMP_NUM_THREADS, else 1: the workers share the cores."""
    max_pixels: int = DEFAULT_MAX_PIXELS
    """Of one image, checked before it is decoded; of a baseline JPEG those after scaling."""
    max_header_pixels: int = DEFAULT_MAX_HEADER_PIXELS
    """That the header of a baseline JPEG may claim, before scaling."""
    max_bytes: int = DEFAULT_MAX_BYTES
    """Of one image as sent."""
    max_images_per_request: int = 64
    decode_budget_s: float = 5.0
    """Seconds that one request may spend on decoding; its remaining images are rejected as too large."""
    default_top_k: int = 5
    unknown: bool = True
    """Whether answers say by the unknown score that a photo is like none of the classes."""
    min_probability: float = 0.0
    """Answers whose highest probability is below have the outcome uncertain. 0..1; 0 is never."""
    largest_batch: int = 32
    """Images in one forward pass; a larger batch is split."""

    def __post_init__(self) -> None:
        for name, allowed in (("engine", EngineChoice), ("precision", Precision)):
            if getattr(self, name) not in get_args(allowed):
                raise _invalid(name, getattr(self, name), f"one of {', '.join(get_args(allowed))}")
        if self.threads_per_worker is not None:
            _check_count("threads_per_worker", self.threads_per_worker)
        for name in (
            "max_pixels",
            "max_header_pixels",
            "max_bytes",
            "max_images_per_request",
            "default_top_k",
            "largest_batch",
        ):
            _check_count(name, getattr(self, name))
        if not isinstance(self.unknown, bool):
            raise _invalid("unknown", self.unknown, "true or false")
        least = self.min_probability
        if isinstance(least, bool) or not isinstance(least, (int, float)) or not 0 <= least <= 1:
            raise _invalid("min_probability", least, "a number from 0 to 1")
        budget = self.decode_budget_s
        if isinstance(budget, bool) or not isinstance(budget, (int, float)) or not budget > 0:
            raise _invalid("decode_budget_s", budget, "a number of seconds above 0")

    @property
    def limits(self) -> DecodeLimits:
        return DecodeLimits(
            max_pixels=self.max_pixels,
            max_header_pixels=self.max_header_pixels,
            max_bytes=self.max_bytes,
        )

    @property
    def thread_count(self) -> int:
        """CPU threads of a worker: at least 1, and no more than can compute at once.

        Threads beyond a container's quota only use up its time sooner, and then all of them wait.
        """
        wanted = self.threads_per_worker
        if wanted is None:
            from_environment = os.environ.get("OMP_NUM_THREADS", "")
            wanted = int(from_environment) if from_environment.isdecimal() else 1
        return max(1, min(wanted, cpu_count()))

    @classmethod
    def from_model_config(cls, model_config: Mapping[str, Any] | None) -> Self:
        """Return the settings of a parsed model-config.yaml; the defaults if it has no `handler:`.

        Raises:
            HandlerSettingsError: an unknown key, or a value that is not allowed.
        """
        section = (model_config or {}).get("handler") or {}
        if not isinstance(section, Mapping):
            raise _invalid("", section, "a mapping of settings")
        names = [field.name for field in fields(cls)]
        unknown = sorted(str(name) for name in section if name not in names)
        if unknown:
            raise HandlerSettingsError(
                f"model-config.yaml: handler has no setting {', '.join(unknown)}; "
                f"its settings are {', '.join(names)}."
            )
        return cls(**section)


def _check_count(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise _invalid(name, value, "a whole number of 1 or more")


def _invalid(name: str, value: Any, allowed: str) -> HandlerSettingsError:
    key = f"handler.{name}" if name else "handler"
    return HandlerSettingsError(f"model-config.yaml: {key} must be {allowed}, not {value!r:.100}.")
