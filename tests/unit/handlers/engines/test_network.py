"""The network's contract: pixels in, probabilities out, one linear head."""

import pytest
import torch
from torch import nn
from torchvision import models

from handlers.engines.network import Network, build_network, find_head, replace_head
from handlers.errors import ArchitectureError
from handlers.images.preprocessing import PreprocessingSpec

SPEC = PreprocessingSpec(image_size_px=32, mean=(0.5, 0.25, 0.75), std=(0.5, 0.5, 0.25))
PIXELS = torch.randint(0, 256, (2, 32, 32, 3), dtype=torch.uint8)


def test_rows_are_probabilities() -> None:
    network = build_network(architecture="mobilenet_v3_small", class_count=7, preprocessing=SPEC)
    rows = network.eval()(PIXELS)
    assert rows.shape == (2, 7)
    assert rows.dtype == torch.float32
    assert torch.allclose(rows.sum(dim=1), torch.ones(2))


def test_normalises_each_channel_with_its_own_mean_and_std() -> None:
    network = Network(nn.Identity(), preprocessing=SPEC)
    pixels = torch.tensor([0, 128, 255], dtype=torch.uint8).expand(1, 4, 4, 3)
    normalised = network.normalise(pixels)[0, :, 0, 0]
    expected = torch.tensor([(0 - 0.5) / 0.5, (128 / 255 - 0.25) / 0.5, (1 - 0.75) / 0.25])
    assert torch.allclose(normalised, expected)


def test_the_temperature_divides_the_logits() -> None:
    classifier = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 3))
    network = Network(classifier, preprocessing=SPEC, temperature=2.0)
    expected = torch.softmax(network.logits(PIXELS) / 2.0, dim=1)
    assert torch.allclose(network(PIXELS), expected)


def test_the_weights_have_torchvisions_own_names() -> None:
    network = build_network(architecture="resnet18", class_count=3, preprocessing=SPEC)
    names = set(network.backbone_and_head.state_dict())
    assert {"conv1.weight", "fc.weight", "fc.bias"} <= names
    assert not {"mean", "std", "temperature"} & set(network.state_dict())


def test_an_unknown_architecture_is_named() -> None:
    with pytest.raises(ArchitectureError, match="resnet19"):
        build_network(architecture="resnet19", class_count=3, preprocessing=SPEC)


def test_a_head_that_is_a_convolution_is_refused() -> None:
    with pytest.raises(ArchitectureError, match="SqueezeNet ends in classifier.1"):
        build_network(architecture="squeezenet1_1", class_count=3, preprocessing=SPEC)


def test_an_image_size_the_network_cannot_be_built_for_is_refused() -> None:
    spec = PreprocessingSpec(image_size_px=100)
    with (
        torch.device("meta"),
        pytest.raises(ArchitectureError, match="vit_b_32 .* 100 px: .*patch"),
    ):
        build_network(architecture="vit_b_32", class_count=3, preprocessing=spec)


def test_networks_pretrained_with_another_normalisation_get_it() -> None:
    with torch.device("meta"):
        network = build_network(
            architecture="googlenet", class_count=3, preprocessing=PreprocessingSpec()
        )
    assert network.backbone_and_head.transform_input


def test_zero_classes_are_refused() -> None:
    with pytest.raises(ArchitectureError, match="at least one class, not 0"):
        build_network(architecture="resnet18", class_count=0, preprocessing=SPEC)


@pytest.mark.parametrize(
    ("architecture", "head"),
    [
        ("resnet18", "fc"),
        ("efficientnet_b0", "classifier.1"),
        ("vgg11", "classifier.6"),
        ("mobilenet_v3_small", "classifier.3"),
        ("convnext_tiny", "classifier.2"),
        ("densenet121", "classifier"),
        ("swin_t", "head"),
        ("vit_b_32", "heads.head"),
        ("googlenet", "fc"),
    ],
)
def test_the_head_is_found_by_structure(architecture: str, head: str) -> None:
    options = {"init_weights": False} if architecture == "googlenet" else {}
    with torch.device("meta"):
        classifier = models.get_model(architecture, weights=None, **options)
        assert find_head(classifier) == head
        new = replace_head(classifier, 4)
    assert classifier.get_submodule(head) is new
    assert new.out_features == 4


@pytest.mark.parametrize(
    "architecture",
    [name for name in models.list_models(module=models) if not name.startswith("squeezenet")],
)
def test_every_torchvision_classifier_with_a_linear_head_gets_a_new_head(
    architecture: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    widths_of = models.regnet.BlockParams.from_init_params

    def real_widths(*details: object, **options: object) -> object:
        with torch.device("cpu"):
            return widths_of(*details, **options)

    # RegNets compute their widths with tensors, which must hold values.
    monkeypatch.setattr(models.regnet.BlockParams, "from_init_params", real_widths)
    # On the meta device nothing else is computed: 80 networks, the largest of 600 million weights.
    spec = PreprocessingSpec(image_size_px=224)
    with torch.device("meta"):
        network = build_network(architecture=architecture, class_count=5, preprocessing=spec)
        logits = network.eval().backbone_and_head(torch.empty(2, 3, 224, 224))
    assert logits.shape == (2, 5)
