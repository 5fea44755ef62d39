"""Lines of metrics.jsonl."""

from typing import Any


def lines(*epochs: int) -> list[dict[str, Any]]:
    return [
        {
            "epoch": epoch, "frozen": False, "train_loss": 1 / epoch, "val_loss": 2 / epoch,
            "val_accuracy": 1 - 0.5 / epoch, "learning_rate": 1e-3, "seconds": 0.5,
            "learning_rates": {"head": 1e-3 * epoch, "backbone": 5e-4 * epoch},
        }
        for epoch in epochs
    ]  # fmt: skip
