"""Packs what a GPU host without a network lacks into folders of limited size: wheels, wrk, archives, this project.

    python -m benchmarks.gpu.bundle            # make gpu-bundle
    sh part-1/install.sh part-1 part-2         # on the host, in an empty folder

Of the project everything that is tracked travels, changed files as they are, except the embedded weights, which the
archives contain.
"""

import re
import shutil
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path

import tyro

from benchmarks.errors import BenchmarkError
from benchmarks.gpu.bundle import wheels
from benchmarks.gpu.bundle.parts import Item, size_of, write_parts
from benchmarks.gpu.context import FULL
from benchmarks.gpu.networks import make_archives
from benchmarks.measurements import ROOT, WORK

FOLDER = WORK / "gpu" / "bundle"
INSTALLER = Path(__file__).with_name("install.sh")
WEIGHTS_FOLDER = "training/pretrained/"
# The stubs are generated from TorchServe's jar, by a package that the host lacks.
GENERATED = ROOT / "serving" / "stubs" / "generated"
# The C library is the host's own.
OF_EVERY_HOST = re.compile(r"(ld-linux|lib(c|m|dl|pthread|rt|gcc_s))[-.]")


@dataclass(frozen=True, kw_only=True)
class Command:
    python: str = "3.12"
    """The host's version of Python."""
    part_mb: float = 60
    """Megabytes that a part may have."""
    out: Path = FOLDER


def main() -> int:
    """Return the exit code."""
    command = tyro.cli(Command, description=__doc__)
    try:
        parts = pack(command)
    except BenchmarkError as error:
        sys.stderr.write(f"benchmarks: {error}\n")
        return 1
    for part in parts:
        sys.stdout.write(f"{part}: {size_of(part) / 1e6:.1f} MB\n")
    return 0


def pack(command: Command) -> list[Path]:
    """Return the parts. Raises BenchmarkError: wrk is missing, a wheel cannot be had, or something is too large."""
    cache = command.out / "cache"
    items = [*wrk_items(), *wheel_items(command.python, cache)]
    items += [
        Item(source=path, target=f"archives/{path.name}")
        for path in make_archives(FULL.architectures)
    ]
    items.append(Item(source=pack_project(cache / "project.tar"), target="project.tar"))
    limit = int(command.part_mb * 1e6)
    return write_parts(items, INSTALLER, command.out, cache=cache / "compressed", limit=limit)


def wheel_items(python_version: str, cache: Path) -> list[Item]:
    """Return the wheels for this version of Python."""
    folder = cache / f"wheels-{python_version}"
    downloaded = wheels.download(wheels.needed(python_version), python_version, folder)
    stored = [wheels.rewrite_stored(path, cache / "stored" / path.name) for path in downloaded]
    return [Item(source=path, target=f"wheels/{path.name}") for path in stored]


def wrk_items() -> list[Item]:
    """Return wrk and the libraries it is linked to, but for the C library."""
    program = shutil.which("wrk")
    if program is None:
        raise BenchmarkError("wrk is not installed; install it (apt-get install wrk) and try again")
    listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    libraries = [Path(path) for path in re.findall(r"=> (/\S+)", listed)]
    own = [path for path in libraries if not OF_EVERY_HOST.match(path.name)]
    items = [Item(source=path, target=f"wrk/{path.name}") for path in own]
    return [Item(source=Path(program), target="wrk/wrk"), *items]


def pack_project(target: Path) -> Path:
    """Write the project's tracked files, without embedded weights, and the generated stubs as a tar."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    names = [name for name in listed.split("\0") if name and not name.startswith(WEIGHTS_FOLDER)]
    names += [str(path.relative_to(ROOT)) for path in GENERATED.glob("*.py*") if path.is_file()]
    target.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(target, "w") as packed:
        for name in sorted(set(names)):
            # Deleted since, but still tracked.
            if (ROOT / name).is_file():
                packed.add(ROOT / name, arcname=name, filter=_without_times)
    return target


def _without_times(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.mtime, member.uid, member.gid, member.uname, member.gname = 0, 0, 0, "", ""
    return member


if __name__ == "__main__":
    sys.exit(main())
