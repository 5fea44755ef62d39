"""The packages of docs/architecture.md: who may import whom, no circle, and no folder of more than 20 files."""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = {
    "handlers", "training", "serving", "storage", "photo_folder", "reports", "tuning", "page", "capture",
    "batch", "cluster", "headswap",
}  # fmt: skip
# Of the code that travels in the archive, serving may import only what needs neither torch nor numpy: the archive
# format's contract, and what counts CPUs and memory.
MAY_IMPORT = {
    "handlers": {"handlers"},
    "training": {"training", "handlers", "reports", "storage", "photo_folder"},
    "serving": {
        "serving",
        "storage",
        "photo_folder",
        "handlers.contract",
        "handlers.cgroup",
        "handlers.capture.settings",
    },
    "storage": {"storage"},
    "photo_folder": {"photo_folder", "handlers.images.magic"},
    "capture": {"capture", "storage", "handlers.capture.layout"},
    "reports": {"reports", "storage"},
    "tuning": {
        "tuning",
        "serving",
        "reports",
        "storage",
        "handlers.settings",
        "handlers.contract",
        "handlers.cgroup",
    },
    "page": {"page", "serving", "capture", "storage", "handlers.contract"},
    "batch": {"batch", "serving", "storage", "photo_folder", "handlers"},
    "cluster": {"cluster", "batch", "serving", "storage", "photo_folder", "handlers"},
    "headswap": PACKAGES,
}
FILES_PER_FOLDER_MAX = 20


def source_files(package: str) -> list[Path]:
    # The peers' virtual environment is not ours.
    return [
        file
        for file in (ROOT / package).rglob("*.py")
        if not {"generated", ".peers"} & set(file.parts)
    ]


def imported_modules(file: Path) -> Iterator[str]:
    """Yield the modules of ours that a file imports, as `package.module`; a package itself as `package`."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            # `from package import module` names a module as well as `from package.module import name` does.
            inner = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if is_module(name) else node.module for name in inner]
        else:
            continue
        yield from (name for name in names if name.split(".")[0] in PACKAGES)


def is_module(name: str) -> bool:
    path = ROOT.joinpath(*name.split("."))
    return path.is_dir() or path.with_suffix(".py").is_file()


def is_allowed(module: str, allowed: set[str]) -> bool:
    return any(module == name or module.startswith(f"{name}.") for name in allowed)


@pytest.mark.parametrize("package", sorted(PACKAGES))
def test_a_package_imports_only_what_it_may(package: str) -> None:
    files = source_files(package)
    assert files
    forbidden = {
        str(file.relative_to(ROOT)): module
        for file in files
        for module in imported_modules(file)
        if not is_allowed(module, MAY_IMPORT[package])
    }
    assert forbidden == {}


def node_of(module: str) -> str:
    """Return what must lie in no circle: a folder inside a package, or a module of a package's own folder."""
    return ".".join(module.split(".")[:2])


def module_of(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def test_nothing_is_imported_in_a_circle() -> None:
    imports: dict[str, set[str]] = {}
    for package in PACKAGES:
        for file in source_files(package):
            node = node_of(module_of(file))
            imported = {node_of(module) for module in imported_modules(file)}
            imports.setdefault(node, set()).update(imported - {node})
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        pytest.fail(f"imported in a circle: {' -> '.join(error.args[1])}")


@pytest.mark.parametrize("package", sorted(PACKAGES | {"benchmarks"}))
def test_no_folder_holds_more_than_20_files(package: str) -> None:
    folders = {file.parent for file in source_files(package)}
    crowded = {
        str(folder.relative_to(ROOT)): count
        for folder in folders
        if (count := sum(f.is_file() for f in folder.iterdir())) > FILES_PER_FOLDER_MAX
    }
    assert crowded == {}


def test_an_import_is_seen_wherever_it_stands(tmp_path: Path) -> None:
    file = tmp_path / "module.py"
    file.write_text(
        "def f():\n    from serving.client import HttpClient\n    import training.fit.trainer\n"
        "    from handlers import entry, settings\n"
    )
    assert sorted(imported_modules(file)) == [
        "handlers.entry",
        "handlers.settings",
        "serving.client",
        "training.fit.trainer",
    ]
