"""Grad-CAM points at the place that speaks for the class, as JSON and as an image."""

import io
import json

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from handlers.engines import explanation
from handlers.engines.explanation import Explainer
from handlers.engines.grad_cam import grad_cam
from handlers.engines.network import Network
from handlers.errors import InvalidRequestError
from tests.unit.handlers.helpers import HTTP

pytestmark = [
    # From captum's own imports, and its warning that it sets requires_grad on the input.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning:captum"),
]


class RedOrBlue(nn.Module):
    """A convolution that keeps places, then one logit per colour."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 2, 4, stride=4, bias=False)
        with torch.no_grad():
            self.convolution.weight.zero_()
            self.convolution.weight[0, 0] = 1.0
            self.convolution.weight[1, 2] = 1.0

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.convolution(images)).mean(dim=(2, 3))


@pytest.fixture
def network(spec) -> Network:
    return Network(RedOrBlue(), preprocessing=spec).eval()


@pytest.fixture
def pixels() -> np.ndarray:
    """Black, with a red quarter at the top left and a blue one at the bottom right."""
    pixels = np.zeros((16, 16, 3), dtype=np.uint8)
    pixels[:8, :8, 0] = 255
    pixels[8:, 8:, 2] = 255
    return pixels


def test_the_heat_map_points_at_the_class(network, pixels) -> None:
    for index, corner in ((0, (0, 0)), (1, (3, 3))):
        heat = grad_cam(network, pixels, index)
        assert heat.shape == (4, 4)
        assert heat[corner] == pytest.approx(1)
        assert heat[3 - corner[0], 0] == pytest.approx(0, abs=1e-6)


class Residual(RedOrBlue):
    """The same logits, but the last convolution only subtracts from what comes before it."""

    def __init__(self) -> None:
        super().__init__()
        self.correction = nn.Conv2d(2, 2, 1, bias=False)
        nn.init.constant_(self.correction.weight, -0.1)
        self.pool = nn.Identity()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        kept = torch.relu(self.convolution(images))
        return self.pool(kept + self.correction(kept)).mean(dim=(2, 3))


def test_the_output_of_a_residual_block_is_explained_not_its_convolution(spec, pixels) -> None:
    heat = grad_cam(Network(Residual(), preprocessing=spec).eval(), pixels, 0)
    assert heat[0, 0] == pytest.approx(1)


def test_a_network_without_a_feature_map_says_so(spec, pixels) -> None:
    flat = Network(nn.Sequential(nn.Flatten(), nn.Linear(768, 3)), preprocessing=spec)
    with pytest.raises(InvalidRequestError, match="has no feature map"):
        grad_cam(flat, pixels, 0)


def test_captum_is_optional(network, pixels, monkeypatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "captum.attr", None)
    with pytest.raises(InvalidRequestError, match="captum is not installed"):
        grad_cam(network, pixels, 0)


@pytest.fixture
def explaining_worker(worker, network, monkeypatch):
    network.backbone_and_head.convolution = nn.Conv2d(3, 3, 4, stride=4)
    monkeypatch.setattr(Explainer, "_load", lambda self: network)
    return worker


def test_json_holds_the_class_and_the_heat_map(explaining_worker, photos) -> None:
    status, body = explaining_worker.respond_one(
        {"body": bytearray(photos["green"])}, {"explain": "True"}
    )
    content = body["explanation"]
    assert status == 200
    assert (content["label"], content["index"], content["method"]) == ("green", 1, "grad-cam")
    assert np.array(content["heat_map"]).shape == (4, 4)
    assert 0 <= np.min(content["heat_map"]) <= np.max(content["heat_map"]) <= 1


def test_the_class_to_explain_may_be_named(explaining_worker, photos) -> None:
    item = {"body": bytearray(photos["green"]), "class": bytearray(b"blue")}
    _, body = explaining_worker.respond_one(item, {"explain": "True"})
    assert body["explanation"]["label"] == "blue"
    status, body = explaining_worker.respond_one(item | {"class": "purple"}, {"explain": "True"})
    assert (status, body["error"]["code"]) == (400, "invalid_request")
    assert "red, green, blue" in body["error"]["message"]


def test_explanations_and_predictions_share_a_batch(explaining_worker, photos) -> None:
    item = {"body": bytearray(photos["red"])}
    explain = HTTP | {"explain": "True", "Accept": "image/png"}
    responses = explaining_worker.respond(
        [item, item, {"body": bytearray(b"bad")}], [HTTP, explain, explain]
    )
    assert "predictions" in json.loads(responses[0][2])
    assert responses[1][1]["content-type"] == "image/png"
    assert Image.open(io.BytesIO(responses[1][2])).size == (16, 16)
    assert (responses[2][0], json.loads(responses[2][2])["error"]["code"]) == (
        400,
        "undecodable_image",
    )


def test_several_images_are_rejected(explaining_worker, photos) -> None:
    item = {name: bytearray(data) for name, data in photos.items()}
    status, body = explaining_worker.respond_one(item, {"explain": "True"})
    assert (status, body["error"]["code"]) == (400, "invalid_request")


def test_the_colours_run_from_blue_to_red() -> None:
    scale = Image.fromarray(np.array([[0, 128, 255]], dtype=np.uint8))
    cold, middle, hot = np.asarray(explanation._colourise(scale))[0]
    assert cold.argmax() == 2
    assert middle.argmax() == 1
    assert hot.argmax() == 0
