"""What a training starts from: on pretrained features a head of zeros, from scratch a random one."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from handlers.engines.network import Network, build_network
from handlers.images.preprocessing import PreprocessingSpec
from training.fit.starting_network import make_starting_network

SPEC = PreprocessingSpec(image_size_px=32)


def start(weights: str, class_names: tuple[str, ...] = ("hat", "shoe", "sock")) -> Network:
    network, _ = make_starting_network(
        architecture="resnet18",
        weights=weights,
        class_count=len(class_names),
        preprocessing=SPEC,
        class_names=class_names,
    )
    return network


def test_on_pretrained_features_no_class_is_more_likely_at_first() -> None:
    pixels = torch.randint(0, 256, (2, 32, 32, 3), dtype=torch.uint8)
    assert torch.equal(start("embedded").eval().logits(pixels), torch.zeros(2, 3))


def test_from_scratch_the_head_is_random() -> None:
    assert start("none").head.weight.std() > 0.01


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    network = build_network(architecture="resnet18", class_count=2, preprocessing=SPEC)
    path = tmp_path / "earlier.safetensors"
    save_file(
        network.backbone_and_head.state_dict(), path, metadata={"class_names": '["shoe", "hat"]'}
    )
    return path


def test_the_rows_of_known_classes_are_kept_and_those_of_new_ones_zero(weights: Path) -> None:
    hat, shoe, sock = start(str(weights)).head.weight
    assert hat.abs().sum() > 0
    assert shoe.abs().sum() > 0
    assert sock.abs().sum() == 0
