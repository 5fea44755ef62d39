"""EfficientNet-Lite: ImageNet's answers with the included weights, and every way in which a network is used here."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional

from handlers.engines.efficientnet_lite import (
    EFFICIENTNET_LITES,
    LITE_MEAN,
    LITE_STD,
    build_efficientnet_lite,
)
from handlers.engines.grad_cam import grad_cam
from handlers.engines.network import Network, build_network
from handlers.engines.onnx_engine import OnnxEngine
from handlers.images.preprocessing import PreprocessingSpec, load_pixels
from training.data.photos import PhotoSet, read_photos
from training.export.mnn import add_mnn
from training.export.onnx import check_engine, export_onnx
from training.export.quantisation import quantise_and_compare
from training.fit.freezing import backbone_blocks

ROOT = Path(__file__).parents[4]
SMALL = PreprocessingSpec(image_size_px=64, mean=LITE_MEAN, std=LITE_STD)


def pad_same(convolution: nn.Conv2d) -> None:
    """Pad as TensorFlow's SAME does: the odd pixel of a stride of 2 goes right and below."""
    (kernel, _), (stride, _) = convolution.kernel_size, convolution.stride
    convolution.padding = (0, 0)

    def pad(_: nn.Module, inputs: tuple[torch.Tensor]) -> torch.Tensor:
        size = inputs[0].shape[-1]
        total = max(0, (math.ceil(size / stride) - 1) * stride + kernel - size)
        before, after = total // 2, total - total // 2
        return functional.pad(inputs[0], (before, after, before, after))

    convolution.register_forward_pre_hook(pad)


def read_check(architecture: str) -> dict[str, Any]:
    return json.loads(Path(__file__).with_name(f"{architecture}-check.json").read_text())


@pytest.mark.parametrize("architecture", EFFICIENTNET_LITES)
def test_imagenet_answers_are_those_of_the_original(architecture: str) -> None:
    check = read_check(architecture)
    classifier = build_efficientnet_lite(architecture)
    weights = load_file(ROOT / "training" / "pretrained" / f"{architecture}-imagenet.safetensors")
    assert not classifier.load_state_dict(weights, strict=False).unexpected_keys
    for module in classifier.modules():
        if isinstance(module, nn.Conv2d):
            pad_same(module)
    names = ("image_size_px", "resize_ratio", "interpolation")
    spec = PreprocessingSpec(**{name: check[name] for name in names}, mean=LITE_MEAN, std=LITE_STD)
    network = Network(classifier.eval(), preprocessing=spec)
    photos = [ROOT / output["photo"] for output in check["outputs"]]
    pixels = np.stack([load_pixels(photo.read_bytes(), spec) for photo in photos])
    with torch.inference_mode():
        logits = network.logits(torch.from_numpy(pixels))
    assert len(photos) == 5
    for row, output in zip(logits, check["outputs"], strict=True):
        top = row.topk(5)
        assert top.indices[0] == output["top5"][0]["index"]
        expected = {answer["index"]: answer["logit"] for answer in output["top5"]}
        assert row[list(expected)].tolist() == pytest.approx(list(expected.values()), abs=0.05)


@pytest.mark.parametrize(
    ("architecture", "parameters"),
    [
        ("efficientnet_lite0", 4_652_008),
        ("efficientnet_lite1", 5_416_680),
        ("efficientnet_lite2", 6_092_072),
    ],
)
def test_it_is_made_for_cpus(architecture: str, parameters: int) -> None:
    classifier = build_efficientnet_lite(architecture)
    assert sum(parameter.numel() for parameter in classifier.parameters()) == parameters
    kinds = {type(module) for module in classifier.modules()}
    assert {kind.__name__ for kind in kinds}.isdisjoint({"SiLU", "SqueezeExcitation"})
    assert nn.ReLU6 in kinds
    norms = [module for module in classifier.modules() if isinstance(module, nn.BatchNorm2d)]
    assert {norm.eps for norm in norms} == {1e-3}


@pytest.mark.parametrize("architecture", EFFICIENTNET_LITES)
def test_its_blocks_can_be_unfrozen_one_by_one(architecture: str) -> None:
    with torch.device("meta"):
        network = build_network(architecture=architecture, class_count=3, preprocessing=SMALL)
    # The stem, seven stages and the last convolution.
    assert len(backbone_blocks(network)) == 9


@pytest.fixture(scope="module")
def network() -> Network:
    """Return Lite0 with the included weights, a random head and three classes."""
    torch.manual_seed(0)
    built = build_network(architecture="efficientnet_lite0", class_count=3, preprocessing=SMALL)
    weights = load_file(
        ROOT / "training" / "pretrained" / "efficientnet_lite0-imagenet.safetensors"
    )
    backbone = {name: value for name, value in weights.items() if "classifier" not in name}
    built.backbone_and_head.load_state_dict(backbone, strict=False)
    return built.eval()


@pytest.fixture(scope="module")
def photos() -> PhotoSet:
    return read_photos(ROOT / "sample_data" / "clothing")


@pytest.fixture(scope="module")
def pixels(photos: PhotoSet) -> list[np.ndarray]:
    return [load_pixels(photo.path.read_bytes(), SMALL) for photo in photos.of("test")[:3]]


@pytest.fixture(scope="module")
def onnx_path(network: Network, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("network") / "model.onnx"
    export_onnx(network, path, SMALL)
    return path


def test_it_is_explained_at_its_last_feature_map(network: Network, pixels) -> None:
    # Something speaks for the likeliest class, even for that of a random head.
    with torch.no_grad():
        likeliest = int(network.logits(torch.from_numpy(pixels[0][None])).argmax())
    heat = grad_cam(network, pixels[0], likeliest)
    assert heat.shape == (2, 2)
    assert heat.max() == pytest.approx(1)


def test_every_engine_computes_what_pytorch_does(
    network: Network, pixels, onnx_path: Path, tmp_path: Path
) -> None:
    with torch.inference_mode():
        expected = network(torch.from_numpy(np.stack(pixels))).numpy()
    check_engine(OnnxEngine(onnx_path, thread_count=1), pixels, expected)
    # It raises unless MNN's probabilities are within 1e-4.
    message = add_mnn(
        onnx_path, tmp_path / "model.mnn", pixels=pixels, expected=expected, cpu_engine="mnn"
    )
    assert message.startswith("CPU engine: MNN")


def test_it_can_be_quantised(onnx_path: Path, photos: PhotoSet, tmp_path: Path) -> None:
    cost, _ = quantise_and_compare(onnx_path, tmp_path / "int8.onnx", photos=photos, spec=SMALL)
    assert cost.agreement > 0.8
    assert cost.bytes_int8 < 0.35 * cost.bytes_float32
