"""`headswap.client` is importable with requests, grpcio and protobuf alone, and exports what its users need."""

import subprocess
import sys
from pathlib import Path

import headswap.client

ROOT = Path(__file__).parents[3]
ALLOWED = [
    *("headswap", "serving", "storage"),
    *("requests", "urllib3", "certifi", "idna", "charset_normalizer"),
    # protobuf is the package google.protobuf.
    *("grpc", "google", "typing_extensions"),
]
# Modules are imported as on a machine that has no others: a finder before all others rejects the rest.
SCRIPT = f"""
import sys

ALLOWED = {ALLOWED!r}

class Absent:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top in ALLOWED or top in sys.stdlib_module_names or top.startswith("_"):
            return None
        raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Absent())

from headswap.client import GrpcClient, HttpClient

HttpClient.to("http://127.0.0.1:9", token="secret").close()
GrpcClient.to("http://127.0.0.1:9", token="secret").close()
print(*sorted({{name.partition(".")[0] for name in sys.modules}} - sys.stdlib_module_names))
"""


def test_it_is_imported_without_torch_or_any_other_package() -> None:
    completed = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert completed.returncode == 0, completed.stderr
    imported = set(completed.stdout.split())
    assert {"requests", "grpc", "google"} <= imported
    assert not imported & {"torch", "numpy", "psutil", "cryptography", "yaml", "PIL", "ts"}


def test_every_exported_name_exists() -> None:
    assert all(hasattr(headswap.client, name) for name in headswap.client.__all__)
