"""The network that a training starts from, and the features it has before it has learned any label."""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import nn

from handlers.engines.network import Network, build_network
from handlers.images.preprocessing import PreprocessingSpec
from training.data.dataset import served_pixels
from training.data.photos import Photo
from training.distributed import SINGLE_PROCESS, ProcessGroup
from training.fit.features import compute_features
from training.fit.pretrained import load_pretrained
from training.threads import limit_torch_threads

BATCH_SIZE = 32
# Computed at a time between two reports of progress.
CHUNK = 8 * BATCH_SIZE


def make_starting_network(
    *,
    architecture: str,
    weights: str,
    class_count: int,
    preprocessing: PreprocessingSpec,
    group: ProcessGroup = SINGLE_PROCESS,
    class_names: Sequence[str] = (),
) -> tuple[Network, str]:
    """Return the network on the group's device, the same in every process, and a note on its weights' licence.

    The head is new, but for the rows of `class_names` in a file that has them (training/fit/pretrained.py). On
    pretrained features it starts from zero: random directions among the many are noise that few photos do not unlearn.

    Raises:
        ConfigError, WeightsError, DownloadError: as load_pretrained does.
    """
    network = build_network(
        architecture=architecture, class_count=class_count, preprocessing=preprocessing
    )
    if weights != "none":
        for parameter in network.head.parameters():
            nn.init.zeros_(parameter)
    licence_note = group.on_rank_zero(
        load_pretrained,
        network,
        weights=weights,
        architecture=architecture,
        image_size_px=preprocessing.image_size_px,
        class_names=class_names,
    )
    network.to(group.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    group.broadcast(network.state_dict().values())
    return network, licence_note


def embedded_features(
    photos: Sequence[Photo],
    *,
    architecture: str,
    preprocessing: PreprocessingSpec,
    progress: Callable[[int, int], object] = lambda *_: None,
) -> torch.Tensor:
    """Return `(N, D) float32`, N >= 1, by the embedded weights; `progress` is called with the numbers done and in all.

    Raises:
        PhotoError, OSError: a photo has changed or vanished since it was listed.
    """
    limit_torch_threads()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network, _ = make_starting_network(
        architecture=architecture,
        weights="embedded",
        class_count=2,
        preprocessing=preprocessing,
        group=ProcessGroup(device=device),
    )

    def chunks() -> Iterator[torch.Tensor]:
        for start in range(0, len(photos), CHUNK):
            part = photos[start : start + CHUNK]
            pixels = served_pixels(part, preprocessing, batch_size=BATCH_SIZE)
            yield compute_features(network, pixels, device)[0]
            progress(start + len(part), len(photos))

    return torch.cat(list(chunks()))
