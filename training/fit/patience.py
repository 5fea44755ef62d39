"""When to stop early: val has not become better for too long."""

from collections.abc import Mapping, Sequence
from typing import Any

from training.config import TrainConfig
from training.fit.checkpoint import Score


def is_out_of_patience(history: Sequence[Mapping[str, Any]], config: TrainConfig) -> bool:
    """Say whether the run should end, from its lines of metrics.jsonl alone.

    The head's epochs before the whole network's do not count: they are nearly free, and what comes
    after them starts from another place.
    """
    last_stage = [line for line in history if line["frozen"] == (config.freeze == "body")]
    if not config.patience_epochs or not last_stage:
        return False
    scores = [Score.of(line) for line in last_stage]
    return len(scores) - 1 - scores.index(max(scores)) >= config.patience_epochs
