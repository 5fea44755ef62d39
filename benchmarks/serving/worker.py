"""Memory and start-up time of a worker, compared with a plain process that computes the same network.

    python -m benchmarks.serving.worker model_store/clothing-1.0.mar

Prints JSON: resident sizes in MB after loading and after answering, seconds until it is ready, and the ratios of both.
Medians of three processes of each kind, run one after another; the machine must be idle otherwise.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROUNDS = 3

RESIDENT = """
import json, sys, time
started = time.perf_counter()
def resident_mb():
    with open("/proc/self/status") as status:
        line = next(line for line in status if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024
def report(ready_s, loaded_mb):
    print(json.dumps({"ready_s": ready_s, "loaded_mb": loaded_mb, "answered_mb": resident_mb()}))
folder, photo = sys.argv[1:]
"""

# The smallest program that computes the same: PyTorch, torchvision and the archive's weights.
PLAIN = (
    RESIDENT
    + """
import torch, torchvision
from safetensors.torch import load_file
card = json.load(open(folder + "/model_card.json"))
classes = len(card["class_names"])
network = torchvision.models.get_model(card["architecture"], weights=None, num_classes=classes)
network.load_state_dict(load_file(folder + "/weights.safetensors"))
network.eval()
ready_s, loaded_mb = time.perf_counter() - started, resident_mb()
side = card["preprocessing"]["image_size_px"]
torch.set_num_threads(1)
with torch.inference_mode():
    for count in (1, 4):
        network(torch.zeros(count, 3, side, side))
report(ready_s, loaded_mb)
"""
)

# What a TorchServe worker imports and does, without its socket.
WORKER = (
    RESIDENT
    + """
sys.path.insert(0, folder)
import ts.model_service_worker
from ts.model_loader import TsModelLoader
service = TsModelLoader().load("model", folder, "entry.py", None, 4, None, True, None)
ready_s, loaded_mb = time.perf_counter() - started, resident_mb()
classifier = service._entry_point.__self__._classifier
body = open(photo, "rb").read()
headers = {"Host": "localhost", "url_path": ""}
for count in (1, 4):
    responses = classifier.respond([{"body": body}] * count, [headers] * count)
    assert all(response.status == 200 for response in responses), responses
report(ready_s, loaded_mb)
"""
)


def measure(program: str, folder: Path, photo: Path) -> dict[str, float]:
    """Return the median of each figure that the program prints, over the rounds."""
    rounds = []
    for _ in range(ROUNDS):
        command = [sys.executable, "-c", program, str(folder), str(photo)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)
        if done.returncode != 0:
            raise SystemExit(f"a measured process failed:\n{done.stderr}")
        rounds.append(json.loads(done.stdout.splitlines()[-1]))
    return {name: round(statistics.median(r[name] for r in rounds), 2) for name in rounds[0]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("archive", type=Path)
    archive = parser.parse_args().archive
    with tempfile.TemporaryDirectory() as extracted:
        folder = Path(extracted)
        with zipfile.ZipFile(archive) as content:
            content.extractall(folder)
        probes = json.loads((folder / "probes" / "probes.json").read_text())["probes"]
        photo = folder / "probes" / probes[0]["file"]
        plain, worker = measure(PLAIN, folder, photo), measure(WORKER, folder, photo)
    ratios = {
        "memory_ratio": round(worker["answered_mb"] / plain["answered_mb"], 3),
        "ready_ratio": round(worker["ready_s"] / plain["ready_s"], 3),
    }
    print(
        json.dumps({"archive": archive.name, "plain": plain, "worker": worker} | ratios, indent=1)
    )


if __name__ == "__main__":
    main()
