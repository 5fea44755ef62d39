"""Initial weights: torchvision's, the embedded ones, those of a file, or random ones."""

import hashlib
import json
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from unicodedata import normalize
from urllib.error import URLError

import torch
from torch import nn

from handlers.engines.efficientnet_lite import EFFICIENTNET_LITES
from handlers.engines.network import Network, find_head
from training.errors import ConfigError, DownloadError, WeightsError

PRETRAINED = Path(__file__).parents[1] / "pretrained"
EMBEDDED: Mapping[str, tuple[str, str]] = {
    "resnet18": (
        "resnet18-tiny-imagenet.safetensors",
        "6971795bd4b72793f68c920b94bde76c4cef6f8b8e0211f7d455df645a782c16",
    ),
    "efficientnet_lite0": (
        "efficientnet_lite0-imagenet.safetensors",
        "a9e52d61bb8740caf051e4b4ba224ef3c4182a933028bd12e6f7d5fced40f8ef",
    ),
    "efficientnet_lite1": (
        "efficientnet_lite1-imagenet.safetensors",
        "5847211195fb2c20f3b9ed2deacb7d6a5151e0933e930ffa1467ac65337deb78",
    ),
    "efficientnet_lite2": (
        "efficientnet_lite2-imagenet.safetensors",
        "a1792c0bfc6f54d61e7a0929c6b6154f335b2c05685eebee87201fc656b605fd",
    ),
}
# In the metadata of a .safetensors file: the classes of its head's rows, as JSON.
CLASS_NAMES = "class_names"
LITE_NOTE = (
    "Started from EfficientNet-Lite's ImageNet weights (Copyright 2020 The TensorFlow Authors, and for their "
    "conversion ML Illustrated; Apache License 2.0); ImageNet's images are for non-commercial research and education."
)
LICENCE_NOTES = {
    "embedded": "Started from weights pretrained on Tiny ImageNet, a subset of ImageNet, whose "
    "images are for non-commercial research and education.",
    "imagenet": "Started from torchvision's ImageNet weights; ImageNet's images are for "
    "non-commercial research and education.",
    "none": "Trained from scratch on the user's own photos.",
}


def load_pretrained(
    network: Network,
    *,
    weights: str,
    architecture: str,
    image_size_px: int,
    class_names: Sequence[str] = (),
) -> str:
    """Load the initial weights into the network's backbone and return a note on their licence.

    Of a file that names its classes, the head's rows of `class_names` are loaded too; the other rows stay as they are.
    The network is run once on a black photo, so that a size it does not support fails here.

    Raises:
        ConfigError: the network does not support photos of this size.
        WeightsError: there are no such weights, or they are of another architecture.
        DownloadError: torchvision's weights are not cached and could not be downloaded.
    """
    try:
        with torch.inference_mode():
            pixels = torch.zeros(1, image_size_px, image_size_px, 3, dtype=torch.uint8)
            network.eval().logits(pixels)
    except (AssertionError, RuntimeError, ValueError) as error:
        raise ConfigError(
            f"{architecture} does not support photos of {image_size_px} px "
            f"({' '.join(str(error).split())[:120]}); use another --image-size-px, such as 224."
        ) from None
    note = load_backbone(network.backbone_and_head, weights, architecture=architecture)
    if Path(weights).suffix == ".safetensors":
        _copy_head_rows(network, Path(weights), class_names)
    return note


def load_backbone(classifier: nn.Module, weights: str, *, architecture: str) -> str:
    """Load the weights into the classifier's backbone, not its head, and return a note on their licence.

    Raises:
        WeightsError: there are no such weights, or they are of another architecture.
        DownloadError: torchvision's weights are not cached and could not be downloaded.
    """
    if weights == "none":
        return LICENCE_NOTES["none"]
    is_lite = architecture in EFFICIENTNET_LITES
    # What torchvision would download for others is included for these: weights trained on ImageNet.
    if weights == "embedded" or (weights == "imagenet" and is_lite):
        state_dict, weights = _read_embedded(architecture), "embedded"
    elif weights == "imagenet":
        state_dict = _read_imagenet(architecture)
    else:
        state_dict = _read_file(Path(weights))
    _copy_backbone(classifier, state_dict, source=weights, architecture=architecture)
    if weights == "embedded" and is_lite:
        return LITE_NOTE
    return LICENCE_NOTES.get(weights, f"Started from the file {Path(weights).name}.")


def _read_embedded(architecture: str) -> dict[str, torch.Tensor]:
    from safetensors.torch import load

    if architecture not in EMBEDDED:
        raise WeightsError(
            f"there are no embedded weights for {architecture!r}, only for {', '.join(EMBEDDED)}; "
            "use --weights imagenet, none or a file."
        )
    name, sha256 = EMBEDDED[architecture]
    data = (PRETRAINED / name).read_bytes()
    if hashlib.sha256(data).hexdigest() != sha256:
        raise WeightsError(
            f"training/pretrained/{name} is damaged: its sha256 does not begin with {sha256[:12]}. "
            "Check the file out again."
        )
    return dict(load(data))


def _read_imagenet(architecture: str) -> dict[str, torch.Tensor]:
    from torchvision.models import get_model_weights

    weights = get_model_weights(architecture).DEFAULT
    file_name = Path(weights.url).name
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    try:
        # check_hash: the file's name contains the first digits of its sha256.
        return dict(weights.get_state_dict(progress=False, check_hash=True))
    except (URLError, OSError, RuntimeError) as error:
        reason = getattr(error, "reason", None) or error
        raise DownloadError(
            f"torchvision's weights for {architecture} could not be downloaded ({reason}). "
            f"Put {file_name} into {folder}, or use an architecture whose weights are included: --weights embedded has "
            f"them for {', '.join(EMBEDDED)}."
        ) from None


def _read_file(path: Path) -> dict[str, torch.Tensor]:
    if not path.is_file():
        raise WeightsError(
            f"--weights must be auto, imagenet, embedded, none or an existing file, not {str(path)!r}."
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
        f"{path} is not a state dict of tensors; save `model.state_dict()` or use .safetensors."
    )


def _copy_backbone(
    classifier: nn.Module, state_dict: Mapping[str, torch.Tensor], *, source: str, architecture: str
) -> None:
    head = find_head(classifier)
    target = classifier.state_dict()
    state_dict = _with_resized_positions(classifier, state_dict)
    # The counters of batches are not used here, and small files leave them out.
    names = {
        name
        for name in target
        if not name.startswith(f"{head}.") and not name.endswith("num_batches_tracked")
    }
    mismatched = [
        name
        for name in sorted(names)
        if name not in state_dict or state_dict[name].shape != target[name].shape
    ]
    if mismatched:
        raise WeightsError(
            f"the weights {source!r} are not those of {architecture}: {len(mismatched)} of "
            f"{len(names)} tensors are missing or have another shape, the first is {mismatched[0]!r}."
        )
    with torch.no_grad():
        for name in names:
            target[name].copy_(state_dict[name])


def _copy_head_rows(network: Network, path: Path, class_names: Sequence[str]) -> None:
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        rows = _read_class_names((file.metadata() or {}).get(CLASS_NAMES))
        names = [normalize("NFC", name) for name in class_names]
        if not set(rows) & set(names):
            return
        head = find_head(network.backbone_and_head)
        weight, bias = file.get_tensor(f"{head}.weight"), file.get_tensor(f"{head}.bias")
    with torch.no_grad():
        for row, name in enumerate(names):
            if name in rows:
                network.head.weight[row] = weight[rows.index(name)]
                network.head.bias[row] = bias[rows.index(name)]


def _read_class_names(text: str | None) -> list[str]:
    try:
        return [normalize("NFC", str(name)) for name in json.loads(text or "[]")]
    except (ValueError, TypeError):
        # Of another program that uses the same key.
        return []


def _with_resized_positions(
    classifier: nn.Module, state_dict: Mapping[str, torch.Tensor]
) -> Mapping[str, torch.Tensor]:
    """Return a vision transformer's state dict with position embeddings interpolated to the classifier's image size."""
    from torchvision.models.vision_transformer import VisionTransformer, interpolate_embeddings

    positions = state_dict.get("encoder.pos_embedding")
    if not isinstance(classifier, VisionTransformer) or positions is None:
        return state_dict
    resized = OrderedDict(state_dict)
    try:
        # It replaces them in the dictionary it is given.
        interpolate_embeddings(classifier.image_size, classifier.patch_size, resized)
    except ValueError:
        # Not the positions of a square: reported as a tensor of another shape.
        return state_dict
    return resized
