"""Whether the code in an archive is that of this installation: compared byte for byte, never run."""

import importlib.util
from pathlib import Path, PurePosixPath

from handlers.contract import ENTRY_FILE, HANDLER_PACKAGE, MODEL_CONFIG_FILE, PROBES_FOLDER
from serving.archive.reader import open_packed, read_manifest
from serving.errors import ArchiveError

# Neither Python nor TorchServe runs such a file, and none can be imported as a module. Probes are photos.
DATA_SUFFIXES = frozenset(
    {".json", ".yaml", ".safetensors", ".onnx", ".mnn", ".txt", ".md", ".csv"}
)
DATA_FOLDERS = frozenset({PROBES_FOLDER})


def find_foreign_code(path: Path) -> str | None:
    """Return a description of the first code in the archive that is not this installation's; None if there is none.

    Raises:
        ArchiveError: the archive, or the handler of this installation, cannot be read.
    """
    with open_packed(path) as packed:
        model = read_manifest(packed)["model"]
        if model["handler"] != ENTRY_FILE:
            return f"its handler is {model['handler']!r}, not {ENTRY_FILE!r}"
        if (
            model.get("configFile", MODEL_CONFIG_FILE) != MODEL_CONFIG_FILE
            or "requirementsFile" in model
        ):
            return "its manifest names other settings or requirements"
        own_code = _own_code()
        for member in packed.infolist():
            name = PurePosixPath(member.filename)
            if member.is_dir() or name.suffix.lower() in DATA_SUFFIXES:
                continue
            if len(name.parts) == 2 and name.parts[0] in DATA_FOLDERS:
                continue
            own = own_code.get(member.filename)
            if own is None:
                return f"it holds {member.filename}"
            code = own.read_bytes()
            if member.file_size != len(code) or packed.read(member) != code:
                return f"its {member.filename} differs"
    return None


def _own_code() -> dict[str, Path]:
    """Return the files of this installation's handler by their names in an archive; nothing is imported."""
    spec = importlib.util.find_spec(HANDLER_PACKAGE)
    if spec is None or spec.origin is None:
        raise ArchiveError(
            f"the package {HANDLER_PACKAGE!r} is not installed, so no handler can be compared with it; run make "
            "install, or give --allow-custom-handler."
        )
    folder = Path(spec.origin).parent
    return {
        f"{HANDLER_PACKAGE}/{file.relative_to(folder).as_posix()}": file
        for file in folder.rglob("*.py")
    } | {ENTRY_FILE: folder / ENTRY_FILE}
