"""The wheels that a GPU host lacks: what the check needs of headswap's requirements, less what PyTorch brings along.

Left out are the engines of a CPU (ONNX Runtime, MNN), what only exports need, and scipy. The versions are those of
constraints.txt. Wheels are rewritten without compression, the jar in TorchServe's too, so that xz can compress them
whole: TorchServe and Java take 44 MB instead of 78.
"""

import base64
import hashlib
import io
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable
from pathlib import Path

from benchmarks.errors import BenchmarkError
from benchmarks.measurements import ROOT
from storage import atomic_path

NOT_NEEDED = (
    "torch",
    "torchvision",
    "scipy",
    "onnx",
    "onnxscript",
    "onnxruntime",
    "MNN",
    "grpcio-tools",
)
# The stock handler explains with captum; TorchServe's metrics read GPUs with pynvml, which nvidia-ml-py contains.
ALSO_NEEDED = ("nvidia-ml-py",)
HOST_HAS = ("torch", "torchvision")
PLATFORMS = [f"manylinux_2_{minor}_x86_64" for minor in (34, 31, 28, 27, 26, 24, 17, 12, 5)]
PLATFORMS += ["manylinux2014_x86_64", "manylinux2010_x86_64", "manylinux1_x86_64", "any"]


def needed(python_version: str) -> list[str]:
    """Return the requirements to download, `NAME==VERSION`. Raises BenchmarkError when they cannot be resolved."""
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    wanted = [line for line in lines if _name(line) and _name(line) not in map(_normal, NOT_NEEDED)]
    host = {_name(line) for line in _resolve(HOST_HAS, python_version)}
    resolved = _resolve([*wanted, *ALSO_NEEDED], python_version)
    return [line for line in resolved if _name(line) not in host]


def download(requirements: Iterable[str], python_version: str, folder: Path) -> list[Path]:
    """Return the wheels of the requirements, downloaded where they are missing. Raises BenchmarkError."""
    folder.mkdir(parents=True, exist_ok=True)
    command = [
        sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
        "--only-binary=:all:", "--python-version", python_version, "--implementation", "cp",
        *(f"--platform={platform}" for platform in PLATFORMS), "--dest", str(folder), *requirements,
    ]  # fmt: skip
    _run(command)
    return [_wheel_of(requirement, folder) for requirement in requirements]


def rewrite_stored(wheel: Path, target: Path) -> Path:
    """Write the wheel without compression, and the jars in it; RECORD gets their new sums. Return the target."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(wheel) as packed:
        members = {name: packed.read(name) for name in packed.namelist() if not name.endswith("/")}
        # Whether a file may be run: Java's launcher is one.
        modes = {member.filename: member.external_attr for member in packed.infolist()}
    jars = {name: _stored(data) for name, data in members.items() if name.endswith(".jar")}
    members |= jars
    record = next(name for name in members if name.endswith(".dist-info/RECORD"))
    lines = members[record].decode().splitlines()
    rewritten = [_record_line(line, jars) for line in lines]
    members[record] = ("\n".join(rewritten) + "\n").encode()
    with atomic_path(target) as temporary:
        temporary.write_bytes(_zip(members, modes))
    return target


def _stored(jar: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(jar)) as packed:
        return _zip({name: packed.read(name) for name in packed.namelist()}, {})


def _zip(members: dict[str, bytes], modes: dict[str, int]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        for name, data in members.items():
            # Without the present time: the same content is the same file, and is compressed once.
            member = zipfile.ZipInfo(name)
            member.external_attr = modes.get(name, 0)
            packed.writestr(member, data)
    return buffer.getvalue()


def _record_line(line: str, jars: dict[str, bytes]) -> str:
    name = line.split(",")[0]
    if name not in jars:
        return line
    digest = base64.urlsafe_b64encode(hashlib.sha256(jars[name]).digest()).rstrip(b"=").decode()
    return f"{name},sha256={digest},{len(jars[name])}"


def _resolve(requirements: Iterable[str], python_version: str) -> list[str]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "requirements.txt"
        file.write_text("\n".join(requirements) + "\n")
        return _run(
            [
                str(Path(sys.executable).with_name("uv")), "pip", "compile", "--quiet", "--no-header", "--no-annotate",
                "--python-version", python_version, "--python-platform", "x86_64-manylinux_2_28",
                "--constraint", str(ROOT / "constraints.txt"), str(file),
            ]
        ).split()  # fmt: skip


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise BenchmarkError(f"{' '.join(command[:4])} … failed: {done.stderr.strip()[-800:]}")
    return done.stdout


def _wheel_of(requirement: str, folder: Path) -> Path:
    name, _, version = requirement.partition("==")
    wheels = [
        path
        for path in folder.glob("*.whl")
        if _normal(path.name.split("-")[0]) == _normal(name) and path.name.split("-")[1] == version
    ]
    if len(wheels) != 1:
        raise BenchmarkError(
            f"{folder} holds {len(wheels)} wheels of {requirement}; empty it and try again"
        )
    return wheels[0]


def _name(line: str) -> str:
    match = re.match(r"[A-Za-z0-9._-]+", line)
    return _normal(match.group()) if match else ""


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
