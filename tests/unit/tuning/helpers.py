"""Trials made by hand, and a host that is a formula."""

from tuning.serving_config import ServingConfig
from tuning.trial import Level, Trial

START = ServingConfig(workers=2, threads=1, batch_size=4, max_delay_ms=1, engine="onnx")


def level(
    photos_per_s: float, p99_ms: float = 50.0, *, connections: int = 8, failed: int = 0
) -> Level:
    return Level(
        connections=connections,
        photos_per_s=photos_per_s,
        p50_ms=20.0,
        p99_ms=p99_ms,
        failed=failed,
    )


def trial(
    config: ServingConfig, *levels: Level, memory_mb: float = 1000, error: str | None = None
) -> Trial:
    return Trial(config=config, levels=levels, memory_mb=memory_mb, error=error)


def measure(config: ServingConfig) -> Trial:
    """Return the trial on two cores: a worker uses one, further threads lose a fifth, a third worker slows the rest."""
    used = min(2.0, config.workers * (1 + 0.6 * (config.threads - 1)))
    crowd = max(0, config.workers * config.threads - 2)
    photos_per_s = 30 * used * (1 - 0.1 * crowd) * (0.5 if config.engine == "eager" else 1)
    photos_per_s *= 1 + 0.02 * config.batch_size
    return trial(config, level(photos_per_s, 10 + config.batch_size * 8 + config.max_delay_ms))
