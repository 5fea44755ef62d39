"""The image, built and run by podman: minutes and gigabytes, so only for `make image-test`."""

import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TAG = "localhost/headswap-test"
BUILD_LIMIT_S = 1800
# What podman needs to build on this host: another isolation, say, or a mount of certificates.
BUILD_FLAGS = os.environ.get("HEADSWAP_BUILD_FLAGS", "--network host --isolation chroot").split()


def reason_to_skip():
    if os.environ.get("HEADSWAP_IMAGE_TEST") != "1":
        return "make image-test builds and runs the image"
    if shutil.which("podman") is None:
        return "podman is not installed"
    asked = subprocess.run(
        ["podman", "info"], capture_output=True, text=True, timeout=60, check=False
    )
    if asked.returncode != 0:
        return f"podman cannot run here: {asked.stderr.strip()[-200:]}"
    return None


def pytest_collection_modifyitems(items):
    here = [item for item in items if item.path.is_relative_to(Path(__file__).parent)]
    reason = reason_to_skip() if here else None
    if reason:
        for item in here:
            item.add_marker(pytest.mark.skip(reason=reason))


def build_image(context):
    # Docker's format, because the other one has no health check.
    arguments = [*BUILD_FLAGS, "--format", "docker", "--tag", TAG]
    arguments += ["--build-arg", "REVISION=under-test"]
    if base := os.environ.get("HEADSWAP_BASE_IMAGE"):
        arguments += ["--build-arg", f"BASE_IMAGE={base}"]
    done = subprocess.run(
        ["podman", "build", *arguments, context],
        capture_output=True,
        text=True,
        timeout=BUILD_LIMIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return TAG


@pytest.fixture(scope="session")
def build():
    return build_image


@pytest.fixture(scope="session")
def context(tmp_path_factory):
    """A copy of what git knows: a test may change it, and the checkout's litter stays out."""
    folder = tmp_path_factory.mktemp("context")
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    for name in filter(None, listed.stdout.split("\0")):
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, target)
    return folder


@pytest.fixture(scope="session")
def image(build, context):
    return build(context)


@pytest.fixture(scope="session")
def archive(tmp_path_factory):
    """A small version made by this checkout: `serve` refuses handler code that is not its own."""
    from training.config import quick
    from training.evaluation.evaluation import evaluate
    from training.export.archive import export_archive
    from training.fit.trainer import train

    folder = tmp_path_factory.mktemp("run")
    config = replace(
        quick(), data=ROOT / "sample_data" / "clothing", out=folder / "1.0", weights="embedded",
        architecture="resnet18", freeze="backbone", head_epochs=1, image_size_px=96,
    )  # fmt: skip
    run = train(config)
    evaluate(run)
    return export_archive(run, name="clothing", version="1.0", model_store=folder / "store")
