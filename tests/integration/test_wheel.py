"""The wheel has all that a checkout has: an installed headswap writes reports, starts from embedded weights, serves."""

import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
PACKAGES = [name.rstrip("*") for name in SETTINGS["packages"]["find"]["include"]]
NOT_PACKED = shutil.ignore_patterns("__pycache__", "*.egg-info")


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Return the names in a wheel built from a copy, so that no build folder is left in the checkout."""
    work = tmp_path_factory.mktemp("wheel")
    for name in PACKAGES:
        shutil.copytree(ROOT / name, work / "source" / name, ignore=NOT_PACKED)
    for name in ("pyproject.toml", "README.md", "requirements.txt"):
        shutil.copy(ROOT / name, work / "source" / name)
    build = (
        "from setuptools import build_meta; import sys; print(build_meta.build_wheel(sys.argv[1]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", build, str(work)],
        cwd=work / "source", capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (wheel,) = work.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


@pytest.mark.parametrize("package", PACKAGES)
def test_every_file_of_a_package_is_in_it(packed: set[str], package: str) -> None:
    files = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert files - packed == set()


def test_what_is_no_python_is_in_it(packed: set[str]) -> None:
    assert {
        "reports/templates/base.html.j2",
        "training/templates/report.html.j2",
        "training/pretrained/resnet18-tiny-imagenet.safetensors",
        "training/pretrained/efficientnet_b0-tiny-imagenet.safetensors",
        "serving/log4j2.xml",
        "serving/metrics.yaml",
        "serving/stubs/generated/inference_pb2.py",
        "serving/stubs/generated/inference_pb2.pyi",
    } <= packed


def test_nothing_else_is_in_it(packed: set[str]) -> None:
    assert {name.split("/")[0] for name in packed if ".dist-info/" not in name} == set(PACKAGES)
