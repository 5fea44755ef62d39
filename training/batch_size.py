"""How many photos an optimizer step takes, and at which learning rate, where the flags do not say."""

BATCH_SIZE_MAX = 32
# Of 20 to 300 photos, steps of 8 gained 8.2 points over earlier defaults, steps of 32 only 7.5 (docs/log.md).
BATCH_SIZE_MIN = 8
STEPS_PER_EPOCH_MIN = 32
# 0.0003 for steps of 8.
LEARNING_RATE_PER_PHOTO = 3e-4 / 8
LEARNING_RATE_MAX = 1e-3


def choose_batch_size(photo_count: int, *, world_size: int = 1) -> int:
    """Return how many photos a step takes, over all processes: fewer where an epoch would have few steps.

    What a few photos can teach takes a number of steps. Frozen BatchNorm statistics let a step be small, and each
    process gets two photos at least.
    """
    return min(
        BATCH_SIZE_MAX, max(BATCH_SIZE_MIN, 2 * world_size, photo_count // STEPS_PER_EPOCH_MIN)
    )


def choose_learning_rate(labeled_per_step: int) -> float:
    """Return the peak learning rate of pretrained weights, for steps of so many labelled photos.

    In proportion to them (Goyal et al., 2017), up to a limit.
    """
    return min(LEARNING_RATE_MAX, LEARNING_RATE_PER_PHOTO * labeled_per_step)
