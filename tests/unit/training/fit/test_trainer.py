"""When a run stops early."""

from training.fit.trainer import is_out_of_patience


def history(*val: tuple[bool, float]) -> list[dict[str, object]]:
    return [{"frozen": frozen, "val_accuracy": a, "val_loss": 1.0} for frozen, a in val]


def is_over(
    lines: list[dict[str, object]], patience_epochs: int, *, is_head_only: bool = False
) -> bool:
    return is_out_of_patience(lines, patience_epochs=patience_epochs, is_head_only=is_head_only)


def test_a_run_stops_when_val_has_not_improved() -> None:
    assert not is_over(history((False, 0.5), (False, 0.4)), 2)
    assert is_over(history((False, 0.5), (False, 0.4), (False, 0.5)), 2)
    assert not is_over(history((False, 0.5), (False, 0.4), (False, 0.6)), 2)


def test_the_heads_own_epochs_do_not_count() -> None:
    lines = history((True, 0.9), (True, 0.1), (True, 0.1), (False, 0.2), (False, 0.1))
    assert not is_over(lines, 2)
    assert not is_over(lines[:3], 2)
    assert is_over(lines[:3], 2, is_head_only=True)


def test_without_patience_set_a_run_never_stops_early() -> None:
    assert not is_over(history((False, 0.5), (False, 0.4), (False, 0.3)), 0)
