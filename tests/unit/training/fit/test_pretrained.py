import hashlib
import json
from pathlib import Path
from urllib.error import URLError

import pytest
import torch
from safetensors.torch import load_file, save_file
from torchvision import models
from torchvision.models.vision_transformer import VisionTransformer

from handlers.engines.efficientnet_lite import EFFICIENTNET_LITES
from handlers.engines.network import build_network, find_head, replace_head
from handlers.images.preprocessing import PreprocessingSpec
from training.errors import ConfigError, DownloadError, WeightsError
from training.fit.pretrained import (
    CLASS_NAMES,
    EMBEDDED,
    PRETRAINED,
    load_backbone,
    load_pretrained,
)


@pytest.fixture
def network() -> torch.nn.Module:
    built = models.resnet18(weights=None)
    replace_head(built, 3)
    return built


def other_weights() -> dict[str, torch.Tensor]:
    return models.resnet18(weights=None).state_dict()


def backbone_of(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    head = find_head(network)
    return {
        name: value.clone()
        for name, value in network.state_dict().items()
        if not name.startswith(f"{head}.") and not name.endswith("num_batches_tracked")
    }


@pytest.mark.parametrize("architecture", sorted(EMBEDDED))
def test_embedded_files_have_their_sha256(architecture: str) -> None:
    name, sha256 = EMBEDDED[architecture]
    assert hashlib.sha256((PRETRAINED / name).read_bytes()).hexdigest() == sha256


def test_embedded_weights_fill_the_backbone_and_not_the_head(network: torch.nn.Module) -> None:
    head_before = network.get_submodule("fc").weight.clone()
    before = backbone_of(network)
    note = load_backbone(network, "embedded", architecture="resnet18")
    after = backbone_of(network)
    assert torch.equal(network.get_submodule("fc").weight, head_before)
    assert all(value.dtype == before[name].dtype for name, value in after.items())
    changed = [name for name, value in after.items() if not torch.equal(value, before[name])]
    assert len(changed) == len(after)
    assert "Tiny ImageNet" in note
    assert "non-commercial" in note


@pytest.mark.parametrize("weights", ["embedded", "imagenet"])
@pytest.mark.parametrize("architecture", EFFICIENTNET_LITES)
def test_efficientnet_lites_start_from_imagenet_without_a_network(
    architecture: str, weights: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.hub.download_url_to_file", None)
    spec = PreprocessingSpec(image_size_px=64)
    built = build_network(architecture=architecture, class_count=3, preprocessing=spec)
    note = load_pretrained(built, weights=weights, architecture=architecture, image_size_px=64)
    original = load_file(PRETRAINED / EMBEDDED[architecture][0])
    for name, value in backbone_of(built.backbone_and_head).items():
        assert torch.equal(value, original[name].float()), name
    for part in ("TensorFlow Authors", "ML Illustrated", "Apache License 2.0", "non-commercial"):
        assert part in note


def test_the_licence_lies_beside_the_weights_it_is_for() -> None:
    licence = (PRETRAINED / "LICENSE-efficientnet-lite").read_text()
    assert "Apache License" in licence
    assert "Version 2.0, January 2004" in licence
    origin = (PRETRAINED / "README.md").read_text()
    for file_name, sha256 in EMBEDDED.values():
        assert file_name in origin
        assert sha256[:8] in origin
    files = {path.name for path in PRETRAINED.glob("*.safetensors")}
    assert files == {file_name for file_name, _ in EMBEDDED.values()}


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_a_file_fills_the_backbone(network: torch.nn.Module, tmp_path: Path, suffix: str) -> None:
    path, state = tmp_path / f"mine{suffix}", other_weights()
    if suffix == ".pth":
        torch.save(state, path)
    else:
        save_file(state, path)
    note = load_backbone(network, str(path), architecture="resnet18")
    assert all(torch.equal(value, state[name]) for name, value in backbone_of(network).items())
    assert path.name in note


def test_none_changes_nothing(network: torch.nn.Module) -> None:
    before = backbone_of(network)
    load_backbone(network, "none", architecture="resnet18")
    assert all(torch.equal(value, before[name]) for name, value in backbone_of(network).items())


def test_another_architecture_is_refused_and_nothing_is_filled(
    network: torch.nn.Module, tmp_path: Path
) -> None:
    path, state = tmp_path / "mine.safetensors", other_weights()
    del state["layer4.1.conv2.weight"]
    save_file(state, path)
    before = backbone_of(network)
    with pytest.raises(
        WeightsError, match=r"not those of resnet18: 1 of .*'layer4\.1\.conv2\.weight'"
    ):
        load_backbone(network, str(path), architecture="resnet18")
    assert all(torch.equal(value, before[name]) for name, value in backbone_of(network).items())


@pytest.mark.parametrize("name", ["broken.safetensors", "broken.pth"])
def test_a_broken_file_is_refused(network: torch.nn.Module, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"\x00 not weights")
    with pytest.raises(WeightsError, match=name):
        load_backbone(network, str(path), architecture="resnet18")


def test_code_in_a_pickle_is_never_executed(network: torch.nn.Module, tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (tmp_path / "sprung",)  # type: ignore[return-value]

    torch.save({"conv1.weight": Trap()}, tmp_path / "trap.pth")
    with pytest.raises(WeightsError):
        load_backbone(network, str(tmp_path / "trap.pth"), architecture="resnet18")
    assert not (tmp_path / "sprung").exists()


def test_a_missing_file_lists_what_is_allowed(network: torch.nn.Module) -> None:
    with pytest.raises(WeightsError, match="auto, imagenet, embedded, none or an existing file"):
        load_backbone(network, "imagnet", architecture="resnet18")


def test_an_architecture_without_embedded_weights_lists_those_that_have_them() -> None:
    with pytest.raises(WeightsError, match=r"vgg16.*resnet18"):
        load_backbone(torch.nn.Linear(1, 1), "embedded", architecture="vgg16")


def test_a_failed_download_says_which_file_goes_where(
    network: torch.nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise URLError("no route to host")

    monkeypatch.setattr("torch.hub.get_dir", lambda: str(tmp_path))
    monkeypatch.setattr("torch.hub.download_url_to_file", refuse)
    with pytest.raises(DownloadError, match="no route to host") as caught:
        load_backbone(network, "imagenet", architecture="resnet18")
    assert "resnet18-f37072fd.pth" in str(caught.value)
    assert str(tmp_path / "checkpoints") in str(caught.value)
    assert "--weights embedded has them for resnet18, efficientnet_lite0" in str(caught.value)
    assert caught.value.exit_code == 2


def small_transformer(image_size_px: int) -> VisionTransformer:
    return VisionTransformer(
        image_size=image_size_px, patch_size=16, num_layers=1, num_heads=1, hidden_dim=8, mlp_dim=8
    )


def test_position_embeddings_are_interpolated_to_another_image_size(tmp_path: Path) -> None:
    larger = small_transformer(64)
    columns = torch.arange(4.0).repeat(4)[:, None].expand(16, 8)
    larger.encoder.pos_embedding.data[0, 1:] = columns
    save_file(larger.state_dict(), tmp_path / "larger.safetensors")
    smaller = small_transformer(32)
    load_backbone(smaller, str(tmp_path / "larger.safetensors"), architecture="vit")
    # Each of the two rows from left to right.
    assert smaller.encoder.pos_embedding[0, 1:, 0].tolist() == pytest.approx([0, 3, 0, 3], abs=0.2)


def test_position_embeddings_of_another_kind_are_refused(tmp_path: Path) -> None:
    torch.save({"encoder.pos_embedding": torch.zeros(1, 4, 8)}, tmp_path / "odd.pth")
    with pytest.raises(WeightsError, match="not those of vit"):
        load_backbone(small_transformer(32), str(tmp_path / "odd.pth"), architecture="vit")


def test_photos_too_small_for_the_network_are_refused() -> None:
    spec = PreprocessingSpec(image_size_px=32)
    network = build_network(architecture="alexnet", class_count=2, preprocessing=spec)
    with pytest.raises(
        ConfigError, match="alexnet does not support photos of 32 px .*--image-size-px"
    ):
        load_pretrained(network, weights="none", architecture="alexnet", image_size_px=32)


def test_the_heads_rows_of_the_same_classes_are_kept(tmp_path: Path) -> None:
    spec = PreprocessingSpec(image_size_px=32)
    before = build_network(architecture="resnet18", class_count=2, preprocessing=spec)
    path = tmp_path / "live.safetensors"
    state = before.backbone_and_head.state_dict()
    save_file(state, path, metadata={CLASS_NAMES: json.dumps(["dog", "Cafe\u0301"])})
    network = build_network(architecture="resnet18", class_count=3, preprocessing=spec)
    fresh = network.head.weight.detach().clone()
    load_pretrained(
        network, weights=str(path), architecture="resnet18", image_size_px=32,
        class_names=["Caf\u00e9", "ant", "dog"],
    )  # fmt: skip
    assert torch.equal(network.head.weight[[0, 2]], before.head.weight[[1, 0]])
    assert torch.equal(network.head.bias[[0, 2]], before.head.bias[[1, 0]])
    assert torch.equal(network.head.weight[1], fresh[1])


@pytest.mark.parametrize("names", [None, "{", "3", '["bird"]'])
def test_the_head_of_a_file_that_names_no_such_class_is_not_used(
    tmp_path: Path, names: str | None
) -> None:
    path = tmp_path / "other.safetensors"
    save_file(other_weights(), path, metadata=names and {CLASS_NAMES: names})
    spec = PreprocessingSpec(image_size_px=32)
    network = build_network(architecture="resnet18", class_count=3, preprocessing=spec)
    fresh = network.head.weight.detach().clone()
    load_pretrained(
        network, weights=str(path), architecture="resnet18", image_size_px=32,
        class_names=["a", "b", "c"],
    )  # fmt: skip
    assert torch.equal(network.head.weight, fresh)
