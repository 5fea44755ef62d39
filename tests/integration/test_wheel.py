"""The built wheel: it has every file of a checkout's packages, and its client needs three packages to predict."""

import json
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from packaging.version import Version
from pytest_httpserver import HTTPServer

from serving import stubs
from serving.client.grpc_transport import METHOD

ROOT = Path(__file__).parents[2]
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
PACKAGES = [name.rstrip("*") for name in SETTINGS["packages"]["find"]["include"]]
NOT_PACKED = shutil.ignore_patterns("__pycache__", "*.egg-info")
UV = Path(sys.executable).with_name("uv")
# What pyproject.toml's `client` extra installs, in the versions of constraints.txt.
CLIENT_PACKAGES = ("requests", "grpcio", "protobuf")
TIMEOUT_S = 300
ANSWER = {
    "model": {"name": "clothing", "version": "1.0"},
    "predictions": [{"label": "hat", "index": 1, "probability": 0.9}],
}
PREDICT = """
import sys
from headswap.client import GrpcClient, HttpClient

for kind, address in ((HttpClient, sys.argv[1]), (GrpcClient, sys.argv[2])):
    with kind.to(address, token="secret") as client:
        print(client.predict("clothing", b"photo").top.label)
"""


def run(*command: str | Path, cwd: Path) -> str:
    completed = subprocess.run(
        [str(part) for part in command], cwd=cwd, capture_output=True, text=True, timeout=TIMEOUT_S
    )
    assert completed.returncode == 0, completed.stderr
    return completed.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a wheel built from a copy, so that no build folder is left in the checkout."""
    work = tmp_path_factory.mktemp("wheel")
    for name in PACKAGES:
        shutil.copytree(ROOT / name, work / "source" / name, ignore=NOT_PACKED)
    for path in (ROOT / "pyproject.toml", *ROOT.glob("*.md"), *ROOT.glob("requirements*.txt")):
        shutil.copy(path, work / "source")
    shutil.copy(ROOT / "LICENSE", work / "source")
    build = "from setuptools import build_meta; import sys; build_meta.build_wheel(sys.argv[1])"
    run(sys.executable, "-c", build, work, cwd=work / "source")
    (path,) = work.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def packed(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


@pytest.fixture(scope="module")
def client_python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the Python of an environment that has the wheel and the client's three packages alone."""
    folder = tmp_path_factory.mktemp("client")
    constraints = (ROOT / "constraints.txt").read_text()
    pinned = [
        match[0]
        for name in CLIENT_PACKAGES
        if (match := re.search(rf"^{name}==\S+", constraints, re.MULTILINE))
    ]
    assert len(pinned) == len(CLIENT_PACKAGES)
    run(UV, "venv", "--quiet", "--python", sys.executable, folder / "venv", cwd=folder)
    python = folder / "venv" / "bin" / "python"
    install = (UV, "pip", "install", "--quiet", "--python", python)
    run(*install, "--no-deps", wheel, cwd=folder)
    run(*install, *pinned, cwd=folder)
    return python


@pytest.fixture
def grpc_address() -> Iterator[str]:
    """Yield the address of a gRPC server that answers every prediction with ANSWER."""
    messages, _ = stubs.load("inference")

    class Inference(grpc.GenericRpcHandler):
        def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
            assert details.method == METHOD
            return grpc.unary_unary_rpc_method_handler(
                lambda request, context: messages.PredictionResponse(
                    prediction=json.dumps(ANSWER).encode()
                ),
                response_serializer=lambda message: message.SerializeToString(),
            )

    with ThreadPoolExecutor(1) as pool:
        server = grpc.server(pool)
        server.add_generic_rpc_handlers((Inference(),))
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        yield f"http://127.0.0.1:{port}"
        server.stop(grace=None).wait(10)


@pytest.mark.parametrize("package", PACKAGES)
def test_every_file_of_a_package_is_in_it(packed: set[str], package: str) -> None:
    files = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert files - packed == set()


def test_templates_weights_settings_and_stubs_are_in_it(packed: set[str]) -> None:
    assert {
        "reports/templates/base.html.j2",
        "training/pretrained/resnet18-tiny-imagenet.safetensors",
        "training/pretrained/efficientnet_lite0-imagenet.safetensors",
        "training/pretrained/efficientnet_lite1-imagenet.safetensors",
        "training/pretrained/efficientnet_lite2-imagenet.safetensors",
        "training/pretrained/LICENSE-efficientnet-lite",
        "training/pretrained/README.md",
        "serving/log4j2.xml",
        "serving/metrics.yaml",
        "serving/stubs/generated/inference_pb2.py",
        "serving/stubs/generated/inference_pb2.pyi",
        "serving/stubs/generated/inference_pb2_grpc.py",
        "serving/stubs/generated/management_pb2.py",
        "serving/stubs/generated/management_pb2_grpc.py",
    } <= packed
    assert any(re.fullmatch(r"training/.*templates/report\.html\.j2", name) for name in packed)


def test_the_client_requires_packages_no_older_than_its_stubs(wheel: Path) -> None:
    requirements = (ROOT / "requirements-client.txt").read_text()
    with zipfile.ZipFile(wheel) as archive:
        messages = archive.read("serving/stubs/generated/inference_pb2.py").decode()
        calls = archive.read("serving/stubs/generated/inference_pb2_grpc.py").decode()
    for package, pattern, source in (
        ("protobuf", r"Protobuf Python Version: (\S+)", messages),
        ("grpcio", r"GRPC_GENERATED_VERSION = '(\S+)'", calls),
    ):
        generated_by = re.search(pattern, source)
        required = re.search(rf"^{package}>=(\S+)", requirements, re.MULTILINE)
        assert generated_by
        assert required
        assert Version(required[1]) >= Version(generated_by[1])


def test_nothing_else_is_in_it(packed: set[str]) -> None:
    assert {name.split("/")[0] for name in packed if ".dist-info/" not in name} == set(PACKAGES)


def test_its_client_predicts_with_requests_grpcio_and_protobuf_alone(
    client_python: Path, grpc_address: str, httpserver: HTTPServer, tmp_path: Path
) -> None:
    httpserver.expect_request("/predictions/clothing", data=b"photo").respond_with_json(ANSWER)
    http_address = httpserver.url_for("").rstrip("/")
    output = run(client_python, "-c", PREDICT, http_address, grpc_address, cwd=tmp_path)
    assert output.split() == ["hat", "hat"]
    listing = run(UV, "pip", "list", "--python", client_python, "--format=json", cwd=tmp_path)
    assert {package["name"] for package in json.loads(listing)} == {
        "headswap",
        *CLIENT_PACKAGES,
        # What requests and grpcio themselves need.
        *("certifi", "charset-normalizer", "idna", "urllib3", "typing-extensions"),
    }
