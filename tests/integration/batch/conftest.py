"""An archive of this installation's handlers and a network of a few hundred bytes, and folders for it."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

import handlers
from handlers.contract import ENTRY_FILE
from handlers.images.preprocessing import PreprocessingSpec
from handlers.model_card import ModelCard
from tests.unit.handlers.helpers import (
    COLOURS,
    SIZE_PX,
    colour_model,
    colour_probabilities,
    encode,
)

ArchiveMaker = Callable[..., Path]
SPEC = PreprocessingSpec(image_size_px=SIZE_PX)


def photo(colour: tuple[int, int, int], size: tuple[int, int] = (40, 30)) -> bytes:
    return encode(Image.new("RGB", size, colour))


def write_archive(
    path: Path, *, version: str = "1.0", patches: dict[str, str] | None = None
) -> Path:
    """Write the archive; `patches` are lines to append to files of its handlers, which makes them foreign."""
    card = ModelCard(
        name="colours", version=version, architecture="resnet18", class_names=tuple(COLOURS),
        preprocessing=SPEC, temperature=1.0, metrics={}, training_run="runs/colours",
        data_fingerprint="0" * 64, weights_sha256="0" * 64, library_versions={}, precision="float32",
        quantisation={}, licence_note="Made for a test.",
    )  # fmt: skip
    probes = {name: photo(colour) for name, colour in COLOURS.items()}
    described = [
        {"file": f"{name}.jpg", "probabilities": colour_probabilities(data, SPEC)}
        for name, data in probes.items()
    ]
    model = {
        "modelName": "colours", "modelVersion": version, "handler": ENTRY_FILE,
        "configFile": "model-config.yaml",
    }  # fmt: skip
    content = {
        "MAR-INF/MANIFEST.json": json.dumps({"model": model}).encode(),
        "model_card.json": card.to_json().encode(),
        "model-config.yaml": b"handler: {default_top_k: 2}\n",
        "model.onnx": colour_model().SerializeToString(),
        "probes/probes.json": json.dumps({"tolerance": 0.01, "probes": described}).encode(),
        **{f"probes/{name}.jpg": data for name, data in probes.items()},
    }
    folder = Path(handlers.__file__).parent
    content[ENTRY_FILE] = (folder / ENTRY_FILE).read_bytes()
    for file in sorted(folder.rglob("*.py")):
        name = f"handlers/{file.relative_to(folder).as_posix()}"
        content[name] = file.read_bytes() + (patches or {}).get(name, "").encode()
    with zipfile.ZipFile(path, "w") as packed:
        for name, data in content.items():
            packed.writestr(name, data)
    return path


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_archive(tmp_path_factory.mktemp("archive") / "colours-1.0.mar")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Return a folder of 23 photos, of which three cannot be classified."""
    folder = tmp_path / "photos"
    (folder / "sub").mkdir(parents=True)
    colours = list(COLOURS.values())
    for number in range(20):
        name = f"{'sub/' if number % 2 else ''}{number:02}.jpg"
        (folder / name).write_bytes(photo(colours[number % 3]))
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "text.jpg").write_text("not a photo")
    # As large as the disk, as it says: it must not be read.
    with (folder / "sub" / "huge.jpg").open("wb") as file:
        file.truncate(1 << 40)
    return folder
