"""What a network starts from: torchvision's weights, the embedded ones, a file, or nothing."""

import hashlib
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from urllib.error import URLError

import torch
from torch import nn

from handlers.engines.network import Network, find_head
from training.config import TrainConfig
from training.errors import ConfigError, DownloadError, WeightsError

PRETRAINED = Path(__file__).parents[1] / "pretrained"
EMBEDDED: Mapping[str, tuple[str, str]] = {
    "resnet18": (
        "resnet18-tiny-imagenet.safetensors",
        "6971795bd4b72793f68c920b94bde76c4cef6f8b8e0211f7d455df645a782c16",
    ),
    "efficientnet_b0": (
        "efficientnet_b0-tiny-imagenet.safetensors",
        "c41eb63a475e6377e7f476d989e92f01340609f493f358137e6afabcd35213d8",
    ),
}
LICENCE_NOTES = {
    "embedded": "Started from weights pretrained on Tiny ImageNet, a subset of ImageNet, whose "
    "images are for non-commercial research and education.",
    "imagenet": "Started from torchvision's ImageNet weights; ImageNet's images are for "
    "non-commercial research and education.",
    "none": "Trained from scratch on the user's own photos.",
}


def start(network: Network, config: TrainConfig) -> str:
    """Fill the network's body with the config's weights, try it, and return where they came from.

    Raises:
        WeightsError, DownloadError: as load_starting_weights.
        ConfigError: the network cannot take photos of this size.
    """
    side = config.image_size_px
    try:
        with torch.inference_mode():
            network.eval().logits(torch.zeros(1, side, side, 3, dtype=torch.uint8))
    except (AssertionError, RuntimeError, ValueError) as error:
        raise ConfigError(
            f"{config.architecture} cannot take photos of {side} px ({' '.join(str(error).split())[:120]}); "
            "give another --image-size-px, such as 224."
        ) from None
    return load_starting_weights(
        network.backbone_and_head, config.weights, architecture=config.architecture
    )


def load_starting_weights(classifier: nn.Module, weights: str, *, architecture: str) -> str:
    """Fill the classifier's body in place (its head stays new); return where the weights came from.

    Raises:
        WeightsError: no such weights, or a file of another architecture.
        DownloadError: torchvision's weights are not here and could not be fetched.
    """
    if weights == "none":
        return LICENCE_NOTES["none"]
    if weights == "embedded":
        state = _read_embedded(architecture)
    elif weights == "imagenet":
        state = _read_imagenet(architecture)
    else:
        state = _read_file(Path(weights))
    _fill_backbone(classifier, state, source=weights, architecture=architecture)
    return LICENCE_NOTES.get(weights, f"Started from the file {Path(weights).name}.")


def _read_embedded(architecture: str) -> dict[str, torch.Tensor]:
    from safetensors.torch import load

    if architecture not in EMBEDDED:
        raise WeightsError(
            f"there are no embedded weights for {architecture!r}; "
            f"there are for {', '.join(EMBEDDED)}. Use --weights imagenet, none or a file."
        )
    name, sha256 = EMBEDDED[architecture]
    data = (PRETRAINED / name).read_bytes()
    if hashlib.sha256(data).hexdigest() != sha256:
        raise WeightsError(
            f"training/pretrained/{name} is damaged: its sha256 is not {sha256[:12]}…. "
            "Check it out again."
        )
    return dict(load(data))


def _read_imagenet(architecture: str) -> dict[str, torch.Tensor]:
    from torchvision.models import get_model_weights

    weights = get_model_weights(architecture).DEFAULT
    file_name = Path(weights.url).name
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    try:
        # check_hash: the file's name carries the first digits of its sha256.
        return dict(weights.get_state_dict(progress=False, check_hash=True))
    except (URLError, OSError, RuntimeError) as error:
        reason = getattr(error, "reason", None) or error
        raise DownloadError(
            f"torchvision's weights for {architecture} could not be downloaded ({reason}). "
            f"Put {file_name} into {folder}, or start from --weights embedded."
        ) from None


def _read_file(path: Path) -> dict[str, torch.Tensor]:
    if not path.is_file():
        raise WeightsError(
            f"--weights {str(path)!r} is neither a file nor one of embedded, imagenet and none."
        )
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return dict(load_file(path))
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        # safetensors, zipfile, pickle and torch each have their own errors for a broken file.
        raise WeightsError(
            f"{path} cannot be read as weights: {' '.join(str(error).split())[:200]}"
        ) from None
    if isinstance(state, dict) and all(isinstance(value, torch.Tensor) for value in state.values()):
        return state
    raise WeightsError(
        f"{path} is no state dict of tensors; save `model.state_dict()` or use .safetensors."
    )


def _fill_backbone(
    classifier: nn.Module, state: Mapping[str, torch.Tensor], *, source: str, architecture: str
) -> None:
    head = find_head(classifier)
    own = classifier.state_dict()
    state = _with_positions_of(classifier, state)
    # Counters of batches are of no use here, and small files leave them out.
    wanted = {
        name
        for name in own
        if not name.startswith(f"{head}.") and not name.endswith("num_batches_tracked")
    }
    misfits = [
        name for name in sorted(wanted) if name not in state or state[name].shape != own[name].shape
    ]
    if misfits:
        raise WeightsError(
            f"the weights {source!r} are not of {architecture}: {len(misfits)} of "
            f"{len(wanted)} tensors are missing or have another shape, the first {misfits[0]!r}."
        )
    with torch.no_grad():
        for name in wanted:
            own[name].copy_(state[name])


def _with_positions_of(
    classifier: nn.Module, state: Mapping[str, torch.Tensor]
) -> Mapping[str, torch.Tensor]:
    """Return the state of a vision transformer with its places spread over the classifier's size of photo."""
    from torchvision.models.vision_transformer import VisionTransformer, interpolate_embeddings

    places = state.get("encoder.pos_embedding")
    if not isinstance(classifier, VisionTransformer) or places is None:
        return state
    spread = OrderedDict(state)
    try:
        # It puts them into the dictionary it is given.
        interpolate_embeddings(classifier.image_size, classifier.patch_size, spread)
    except ValueError:
        # Places of no square: told as what does not fit.
        return state
    return spread
