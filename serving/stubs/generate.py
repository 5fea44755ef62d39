"""Makes the gRPC stubs from the .proto files inside the installed TorchServe's own jar."""

import importlib.util
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from serving.errors import StubsError
from serving.torchserve import torchserve_jar

GENERATED = Path(__file__).parent / "generated"
# The path under which protoc sees the file becomes the package that the stubs import from.
PACKAGE = Path("serving", "stubs", "generated")
APIS = ("inference", "management")
OUTPUTS = tuple(f"{api}_{kind}.py" for api in APIS for kind in ("pb2", "pb2_grpc"))
PROTOC_LIMIT_S = 60


def generate() -> Path:
    """Write the stubs and return their folder; whoever reads it meanwhile sees whole files only.

    Raises:
        StubsError: TorchServe or grpcio-tools is not installed, or the folder cannot be written.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="headswap-stubs-") as folder:
            work = Path(folder)
            _unpack_protos(work / PACKAGE)
            _run_protoc(work)
            _publish(work / "out" / PACKAGE)
    except (OSError, zipfile.BadZipFile, KeyError) as error:
        raise StubsError(
            f"the gRPC stubs could not be made in {GENERATED}: {error}. "
            "Run python -m serving.stubs as the user who owns that folder."
        ) from error
    return GENERATED


def is_generated() -> bool:
    return all((GENERATED / name).is_file() for name in OUTPUTS)


def _unpack_protos(folder: Path) -> None:
    folder.mkdir(parents=True)
    with zipfile.ZipFile(torchserve_jar()) as jar:
        for api in APIS:
            (folder / f"{api}.proto").write_bytes(jar.read(f"{api}.proto"))


def _run_protoc(work: Path) -> None:
    out = work / "out"
    out.mkdir()
    # google/protobuf comes with grpcio-tools, google/rpc with googleapis-common-protos.
    includes = [
        work,
        _folder_of("grpc_tools", above=0) / "_proto",
        _folder_of("google.rpc.status_pb2", above=2),
    ]
    command = [sys.executable, "-m", "grpc_tools.protoc", *(f"-I{path}" for path in includes)]
    command += [f"--python_out={out}", f"--grpc_python_out={out}", *_typing(out)]
    done = subprocess.run(
        [*command, *(str(PACKAGE / f"{api}.proto") for api in APIS)],
        capture_output=True,
        text=True,
        timeout=PROTOC_LIMIT_S,
        check=False,
    )
    if done.returncode != 0:
        raise StubsError(
            f"protoc refused TorchServe's {', '.join(APIS)}.proto: {done.stderr.strip():.500}."
        )


def _typing(out: Path) -> list[str]:
    """Return protoc's flag for typed messages, where mypy-protobuf is installed beside Python."""
    plugin = Path(sys.executable).with_name("protoc-gen-mypy")
    return (
        [f"--plugin=protoc-gen-mypy={plugin}", f"--mypy_out=quiet:{out}"]
        if plugin.is_file()
        else []
    )


def _folder_of(module: str, *, above: int) -> Path:
    try:
        spec = importlib.util.find_spec(module)
    except ModuleNotFoundError:
        spec = None
    if spec is None or spec.origin is None:
        raise StubsError(
            f"{module} is not installed, and the gRPC stubs are made with it. Run make install."
        )
    return Path(spec.origin).parents[above]


def _publish(made: Path) -> None:
    GENERATED.mkdir(exist_ok=True)
    (made / "__init__.py").touch()
    for source in sorted(made.iterdir()):
        beside = GENERATED / f".{source.name}.new"
        shutil.copyfile(source, beside)
        beside.replace(GENERATED / source.name)
