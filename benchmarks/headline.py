"""Writes README.md's table of six figures from the result files of `make bench`; a test holds the two equal.

python -m benchmarks.headline
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks import document

RESULTS = Path(__file__).parent / "results"
CONNECTIONS = "8"
LOAD = "50%"
STOCK = "stock-tuned"
PEERS = {
    "fastapi": "FastAPI + ONNX Runtime",
    "litserve": "LitServe + ONNX Runtime",
    "bentoml": "BentoML + ONNX Runtime",
    "ray": "Ray Serve + ONNX Runtime",
}

Servers = Mapping[str, Mapping[str, Any]]


def table() -> str:
    """Return the table as Markdown: headswap beside the tuned stock handler and the best other server."""
    serving = json.loads((RESULTS / "serving.json").read_text())
    training = json.loads((RESULTS / "training.json").read_text())
    resnet18 = serving["serving resnet18 366x500"]["servers"]
    rows = [
        _throughput("ResNet-18, requests/s", resnet18),
        _tail("ResNet-18, p99 at 50 % load", resnet18),
        _throughput(
            "ResNet-18, 12-megapixel photos, requests/s",
            serving["serving resnet18 12mp"]["servers"],
        ),
        _throughput(
            "EfficientNet-B0, requests/s", serving["serving efficientnet_b0 366x500"]["servers"]
        ),
        _swaps(serving["swaps"]),
        _training(training["resnet18 12mp"]["photos_per_s"]),
    ]
    head = ["| measured | headswap | others |", "|---|---:|---|"]
    return "\n".join([*head, *(f"| {' | '.join(row)} |" for row in rows), ""])


def _throughput(title: str, servers: Servers) -> tuple[str, str, str]:
    per_s = {
        name: server["connections"][CONNECTIONS]["requests_per_s"]
        for name, server in servers.items()
    }
    best = max(PEERS.keys() & per_s, key=per_s.__getitem__)
    shown = {name: f"{figure:.1f}" for name, figure in per_s.items()}
    return title, f"**{shown['headswap']}**", _others(shown, best)


def _tail(title: str, servers: Servers) -> tuple[str, str, str]:
    p99_ms = {
        name: server["open"][LOAD]["p99_ms"]
        for name, server in servers.items()
        if LOAD in server["open"]
    }
    best = min(PEERS.keys() & p99_ms, key=p99_ms.__getitem__)
    shown = {name: f"{figure:.0f} ms" for name, figure in p99_ms.items()}
    return title, f"**{shown['headswap']}**", _others(shown, best)


def _others(shown: Mapping[str, str], best: str) -> str:
    return f"TorchServe's stock handler {shown[STOCK]}; {PEERS[best]} {shown[best]}"


def _swaps(swaps: Mapping[str, Any]) -> tuple[str, str, str]:
    requests = f"of {swaps['requests']} requests; {swaps['wrong_answers']} wrong answers"
    return f"{swaps['swaps']} hot swaps under load", f"**{swaps['failed']} failed**", requests


def _training(photos_per_s: Mapping[str, Mapping[str, float]]) -> tuple[str, str, str]:
    shown = {name: f"{speeds['later_epochs']:.1f}" for name, speeds in photos_per_s.items()}
    others = f"torchvision's recipe {shown['torchvision']}; timm {shown['timm']}"
    return "training on 12-megapixel photos, photos/s", f"**{shown['headswap']}**", others


if __name__ == "__main__":
    document.put("figures", table(), path=document.README)
