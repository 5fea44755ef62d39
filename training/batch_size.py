"""How many photos an optimizer step takes where --batch-size does not say."""

LARGEST = 32
# On 40 to 100 photos, 6 epochs in steps of 8 gained 1 to 3 points over steps of 32 (docs/log.md).
SMALLEST = 8
STEPS_PER_EPOCH = 32


def choose_batch_size(photo_count: int, *, world_size: int = 1) -> int:
    """Return how many photos a step takes, over all processes: fewer where an epoch would have few steps.

    What a few photos can teach takes a number of steps. Frozen BatchNorm statistics let a step be small, and each
    process gets two photos at least.
    """
    return min(LARGEST, max(SMALLEST, 2 * world_size, photo_count // STEPS_PER_EPOCH))
