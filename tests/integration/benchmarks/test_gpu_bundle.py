"""A small bundle is installed offline, in the order its parts come in, and a damaged one is refused."""

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from benchmarks.gpu.bundle.__main__ import INSTALLER, OF_EVERY_HOST
from benchmarks.gpu.bundle.parts import Item, write_parts

WHEEL = "offline-1.0-py3-none-any.whl"


@pytest.fixture
def parts(tmp_path: Path) -> list[Path]:
    source = tmp_path / "source"
    source.mkdir()
    with zipfile.ZipFile(source / WHEEL, "w") as wheel:
        wheel.writestr("offline.py", "ANSWER = 42\n")
        info = "offline-1.0.dist-info"
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: offline\nVersion: 1.0\n")
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(
            f"{info}/RECORD", f"offline.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n"
        )
    (source / "project.py").write_text("NAME = 'project'\n")
    with tarfile.open(source / "project.tar", "w") as tar:
        tar.add(source / "project.py", arcname="project.py")
    (source / "wrk").write_text('#!/bin/sh\necho "wrk $1 $LD_LIBRARY_PATH"\n')
    (source / "noise.mar").write_bytes(os.urandom(3000))
    items = [
        Item(source=source / WHEEL, target=f"wheels/{WHEEL}"),
        Item(source=source / "project.tar", target="project.tar"),
        Item(source=source / "wrk", target="wrk/wrk"),
        Item(source=source / "noise.mar", target="archives/resnet18-1.0.mar"),
    ]
    limit = INSTALLER.stat().st_size + 5500
    return write_parts(items, INSTALLER, tmp_path / "out", cache=tmp_path / "cache", limit=limit)


def install(host: Path, *parts: Path) -> subprocess.CompletedProcess[str]:
    host.mkdir(exist_ok=True)
    return subprocess.run(
        ["sh", str(parts[0] / "install.sh"), *map(str, parts)],
        cwd=host,
        env={**os.environ, "PYTHON": sys.executable},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_parts_may_come_one_after_another(parts: list[Path], tmp_path: Path) -> None:
    assert len(parts) == 2
    host = tmp_path / "host"
    outputs = []
    for part in parts:
        done = install(host, part)
        assert done.returncode == 0, done.stderr
        outputs.append(done.stdout)
    assert outputs[0] == "unpacked; part 2 is still missing.\n"
    assert f"installed in {host}/headswap" in outputs[1]
    assert (host / "archives" / "resnet18-1.0.mar").stat().st_size == 3000
    bin_folder = host / "headswap" / ".venv" / "bin"
    code = "import offline, project, torch; print(offline.ANSWER, project.NAME, offline.__file__)"
    run = [bin_folder / "python", "-c", code]
    printed = subprocess.run(run, capture_output=True, text=True, cwd=tmp_path, check=True).stdout
    assert printed.startswith("42 project ")
    assert str(host) in printed
    wrk = subprocess.run([bin_folder / "wrk", "-t1"], capture_output=True, text=True, check=True)
    assert wrk.stdout == f"wrk -t1 {host}/wrk\n"


def test_a_damaged_file_is_refused_by_name(parts: list[Path], tmp_path: Path) -> None:
    damaged = sorted(parts[0].glob("*.xz"))[0]
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"?")
    done = install(tmp_path / "host", *parts)
    assert done.returncode == 1
    assert f"{damaged}" in done.stderr
    assert "is damaged" in done.stderr


@pytest.mark.parametrize(
    ("library", "is_of_every_host"),
    [("libc.so.6", True), ("libm.so.6", True), ("ld-linux-x86-64.so.2", True), ("libssl.so.3", False),
     ("libcrypto.so.3", False), ("libluajit-5.1.so.2", False)],
)  # fmt: skip
def test_the_c_library_is_the_hosts_own(library: str, is_of_every_host: bool) -> None:
    assert bool(OF_EVERY_HOST.match(library)) is is_of_every_host
