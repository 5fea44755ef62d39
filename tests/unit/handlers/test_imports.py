"""What a process that serves an archive imports: nothing that its engine does not need."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from training.export.mnn import convert

ROOT = Path(__file__).parents[3]

# As batch/worker.py and a replica on Ray do: TorchServe's own worker imports torch whatever it serves.
ANSWER = """
import sys
from pathlib import Path
from handlers.classifier import load_classifier

folder = Path(sys.argv[1])
classifier = load_classifier(folder, model_config={}, gpu_id=None, metric_cache=None)
body = (folder / "probes" / "red.jpg").read_bytes()
[response] = classifier.respond([{"body": body}], [{"host": "localhost", "url_path": ""}])
assert response.status == 200, response.body
print(classifier.pipeline.name)
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""


def imported_by(folder: Path) -> tuple[str, set[str]]:
    """Return the pipeline, and the top-level modules of a process that has answered with it."""
    done = subprocess.run(
        [sys.executable, "-c", ANSWER, str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    *_, pipeline, names = done.stdout.splitlines()
    return pipeline, set(names.split())


def add_unknown_score(folder: Path) -> None:
    one = np.ones(1, np.float32)
    arrays = {
        "components": one[:, None],
        "prototypes": one[:, None],
        "head_weight": one[:, None],
        "head_bias": one,
        "discriminant_weight": one[:, None],
        "discriminant_bias": one,
        "standards": np.ones(6, np.float32),
        "scale": np.array([0, 1], np.float32),
    }
    save_file(arrays, folder / "unknown.safetensors")
    sha256 = hashlib.sha256((folder / "unknown.safetensors").read_bytes()).hexdigest()
    card = json.loads((folder / "model_card.json").read_text())
    (folder / "model_card.json").write_text(json.dumps(card | {"unknown": {"sha256": sha256}}))


@pytest.mark.parametrize("engine", ["ONNX Runtime", "MNN"])
def test_a_process_that_explains_nothing_has_no_pytorch_in_memory(
    archive_folder: Path, engine: str
) -> None:
    add_unknown_score(archive_folder)
    if engine == "MNN":
        # Of a network without features, as archives of earlier versions have it.
        convert(archive_folder / "model.onnx", archive_folder / "model.mnn")
        (archive_folder / "model.onnx").unlink()
        card = json.loads((archive_folder / "model_card.json").read_text())
        (archive_folder / "model_card.json").write_text(json.dumps(card | {"unknown": {}}))
    pipeline, names = imported_by(archive_folder)
    assert engine in pipeline
    assert not names & {"torch", "torchvision", "captum", "onnx", "safetensors"}
