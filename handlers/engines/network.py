"""The network from pixels to probabilities, as it is trained, evaluated, exported and served.

B batch, S image size, K classes. Normalisation and softmax are part of it, so that nobody who has a `Network`, or the
ONNX file exported from it, can get them wrong.
"""

from typing import Any

import torch
from torch import nn

from handlers.engines.efficientnet_lite import EFFICIENTNET_LITES, build_efficientnet_lite
from handlers.engines.weights import read_weights
from handlers.errors import ArchitectureError, WeightsError
from handlers.extracted import ExtractedArchive
from handlers.images.preprocessing import PreprocessingSpec


class Network(nn.Module):
    """pixels `(B, S, S, 3) uint8`, 0..255 RGB -> probabilities `(B, K) float32`, each row with the sum 1.

    `backbone_and_head` is the architecture; weights.safetensors holds its state dict.
    """

    mean: torch.Tensor
    std: torch.Tensor
    temperature: torch.Tensor

    def __init__(
        self,
        backbone_and_head: nn.Module,
        *,
        preprocessing: PreprocessingSpec,
        temperature: float = 1.0,
    ) -> None:
        super().__init__()
        self.backbone_and_head = backbone_and_head
        # Buffers, so that they follow .to(device); not persistent, because the model card stores them.
        self.register_buffer("mean", _per_channel(preprocessing.mean), persistent=False)
        self.register_buffer("std", _per_channel(preprocessing.std), persistent=False)
        self.register_buffer("temperature", torch.tensor(float(temperature)), persistent=False)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return torch.softmax(self.logits(pixels) / self.temperature, dim=1)

    @property
    def head(self) -> nn.Linear:
        """The last layer."""
        head = self.backbone_and_head.get_submodule(find_head(self.backbone_and_head))
        assert isinstance(head, nn.Linear)
        return head

    def outputs(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the probabilities `(B, K)` and the features `(B, D)`, the inputs of the head, both float32."""
        inputs: list[torch.Tensor] = []
        hook = self.head.register_forward_pre_hook(lambda _, args: inputs.append(args[0]))
        try:
            probabilities = self(pixels)
        finally:
            hook.remove()
        return probabilities, inputs[0].float()

    def logits(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return `(B, K) float32`, before temperature and softmax."""
        logits: torch.Tensor = self.backbone_and_head(self.normalise(pixels))
        return logits.float()

    def normalise(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return `(B, 3, S, S)` in the network's dtype, normalised per channel, from `(B, S, S, 3) uint8`."""
        planes = pixels.permute(0, 3, 1, 2).to(self.mean.dtype)
        return (planes / 255 - self.mean) / self.std


def build_network(
    *,
    architecture: str,
    class_count: int,
    preprocessing: PreprocessingSpec,
    temperature: float = 1.0,
) -> Network:
    """Return the network with random weights and `class_count` outputs.

    Raises:
        ArchitectureError: there is no such classifier, it cannot be built for this image size, or its head is not a
        single linear layer.
    """
    classifier = _build_classifier(architecture, preprocessing.image_size_px)
    replace_head(classifier, class_count)
    return Network(classifier, preprocessing=preprocessing, temperature=temperature)


def _build_classifier(architecture: str, image_size_px: int) -> nn.Module:
    if architecture in EFFICIENTNET_LITES:
        return build_efficientnet_lite(architecture)
    # torchvision takes seconds to import, and a worker that runs the ONNX file never needs it.
    from torchvision import models

    if architecture not in models.list_models(module=models):
        raise ArchitectureError(
            f"there is no classifier {architecture!r}; allowed are {', '.join(EFFICIENTNET_LITES)} and those of "
            "torchvision, such as 'resnet18'."
        )
    options = _builder_options(architecture, image_size_px)
    try:
        classifier: nn.Module = models.get_model(architecture, weights=None, **options)
    except (AssertionError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ArchitectureError(
            f"{architecture} cannot be built for images of {image_size_px} px: {reason}"
        ) from None
    return classifier


def find_head(classifier: nn.Module) -> str:
    """Return the dotted name of the head: the last module with weights, which must be a linear layer.

    Raises:
        ArchitectureError: the last such module is not linear.
    """
    last: tuple[str, nn.Module] = [
        (name, module)
        for name, module in classifier.named_modules()
        if next(module.parameters(recurse=False), None) is not None
    ][-1]
    name, layer = last
    if not isinstance(layer, nn.Linear):
        raise ArchitectureError(
            f"{type(classifier).__name__} ends in {name} ({type(layer).__name__}); "
            "only classifiers whose head is a single linear layer can be used."
        )
    return name


def replace_head(classifier: nn.Module, class_count: int) -> nn.Linear:
    """Replace the head by a new linear layer with `class_count` outputs and return it.

    Raises:
        ArchitectureError: as `find_head`, or `class_count` is below 1.
    """
    if class_count < 1:
        raise ArchitectureError(f"a network needs at least one class, not {class_count}.")
    name = find_head(classifier)
    parent_name, _, child_name = name.rpartition(".")
    old = classifier.get_submodule(name)
    assert isinstance(old, nn.Linear)
    new = nn.Linear(old.in_features, class_count)
    setattr(classifier.get_submodule(parent_name), child_name, new)
    return new


def load_network(archive: ExtractedArchive) -> Network:
    """Return the network with the archive's weights, in float32 on the CPU and in eval mode.

    Raises:
        WeightsError: the file is broken or belongs to another architecture.
        ArchitectureError: there is no such architecture.
    """
    card = archive.card
    weights = read_weights(archive.weights_path, sha256=card.weights_sha256)
    network = build_network(
        architecture=card.architecture,
        class_count=card.class_count,
        preprocessing=card.preprocessing,
        temperature=card.temperature,
    )
    try:
        network.backbone_and_head.load_state_dict(
            {name: torch.from_numpy(array) for name, array in weights.items()}
        )
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:300]
        raise WeightsError(f"the weights do not fit {card.architecture}: {reason}") from None
    return network.eval()


def _builder_options(architecture: str, image_size_px: int) -> dict[str, Any]:
    if architecture in ("googlenet", "inception_v3"):
        # One output in training as in serving; the auxiliary heads only help when training from scratch. The pretrained
        # weights expect -1 to 1, which transform_input makes of the usual normalisation.
        return {"aux_logits": False, "init_weights": True, "transform_input": True}
    if architecture.startswith("vit_"):
        return {"image_size": image_size_px}
    if architecture.startswith("maxvit"):
        return {"input_size": (image_size_px, image_size_px)}
    return {}


def _per_channel(values: tuple[float, float, float]) -> torch.Tensor:
    return torch.tensor(values).view(1, 3, 1, 1)
