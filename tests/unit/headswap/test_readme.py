"""What the README and docs/ show is true: commands parse, Python imports what exists, links resolve, figures agree."""

import ast
import importlib.util
import json
import re
import shlex
from dataclasses import fields
from pathlib import Path

import pytest
import yaml

from benchmarks import document, headline
from headswap.cli import parse
from headswap.commands import find_command
from training.config import TrainConfig

ROOT = Path(__file__).parents[3]
README_LINES_MAX = 120
PACKAGES = (
    "handlers",
    "training",
    "serving",
    "tuning",
    "reports",
    "storage",
    "photo_folder",
    "capture",
    "page",
    "batch",
    "cluster",
    "headswap",
)
README = ROOT / "README.md"
# docs/log.md keeps the words of its time; test_operate_commands.py runs docs/operate.md.
PAGES = [README, *(ROOT / "docs" / f"{name}.md" for name in ("training", "api", "benchmarks"))]
DOCUMENTS = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), ROOT / "deploy" / "README.md"]


def blocks(page: Path, language: str = "") -> list[str]:
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE)
    return [block for marked, block in fenced if marked == language]


def lines_of(program: str) -> list[str]:
    lines = [line for page in PAGES for block in blocks(page) for line in block.splitlines()]
    return [line.split("  #")[0].strip() for line in lines if line.startswith(f"{program} ")]


def test_the_readme_fits_on_two_screens() -> None:
    assert len(README.read_text().splitlines()) <= README_LINES_MAX


def test_the_readme_shows_the_main_commands() -> None:
    lines = [line for block in blocks(README) for line in block.splitlines()]
    shown = {line.split()[1] for line in lines if line.startswith("headswap ")}
    assert shown >= {
        "train", "evaluate", "export", "serve", "predict", "promote", "status", "rollback",
    }  # fmt: skip


@pytest.mark.parametrize("line", lines_of("headswap"))
def test_a_command_parses(line: str) -> None:
    _, name, *argv = shlex.split(line)
    parse(find_command(name), argv)


def torchrun_lines() -> list[str]:
    job = yaml.safe_load((ROOT / "deploy" / "training" / "train-job.yaml").read_text())
    trainer = job["spec"]["trainer"]
    return [*lines_of("torchrun"), shlex.join([*trainer["command"], *trainer["args"]])]


@pytest.mark.parametrize("line", torchrun_lines())
def test_several_processes_take_the_flags_of_one(line: str) -> None:
    argv = shlex.split(line)
    module = argv.index("-m")
    assert argv[0] == "torchrun"
    assert argv[module + 1 : module + 3] == ["headswap", "train"]
    parse(find_command("train"), argv[module + 3 :])


@pytest.mark.parametrize("line", lines_of("make"))
def test_a_make_target_exists(line: str) -> None:
    targets = re.findall(r"^([\w-]+)(?: [\w -]+)?:", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert line.split()[1] in targets


@pytest.mark.parametrize(
    "page", [page for page in PAGES if blocks(page, "python")], ids=lambda page: page.name
)
def test_python_imports_what_exists(page: Path) -> None:
    """tests/e2e/headswap/commands/test_readme_commands.py runs the blocks against a server."""
    for block in blocks(page, "python"):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom):
                module = importlib.import_module(str(node.module))
                assert all(hasattr(module, alias.name) for alias in node.names)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_json_is_json(page: Path) -> None:
    for block in blocks(page, "json"):
        json.loads(block)


@pytest.mark.parametrize("page", DOCUMENTS, ids=lambda page: page.name)
def test_a_module_to_run_exists(page: Path) -> None:
    for module in re.findall(r"python -m ([\w.]+\w)", page.read_text()):
        assert importlib.util.find_spec(module), module


@pytest.mark.parametrize("page", DOCUMENTS, ids=lambda page: page.name)
def test_a_link_leads_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if link.startswith("https://"):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name) if name else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub gives a page's headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_option_of_train_is_listed_with_its_default() -> None:
    section = (ROOT / "docs" / "training.md").read_text().split("## All options")[1]
    listed = dict(re.findall(r"^\| `(--[\w-]+)` \| ([^|]+) \|", section, re.MULTILINE))
    defaults = {
        f"--{field.name.replace('_', '-')}": str(field.default) for field in fields(TrainConfig)
    }
    assert listed == defaults | {"--data": "required"}


def test_the_readme_s_figures_are_those_of_the_result_files() -> None:
    assert document.quoted("figures", path=README) == headline.table()


def test_the_architecture_names_files_that_exist() -> None:
    """A path may leave out `serving/`, and a bare file name the folder that its sentence names."""
    text = (ROOT / "docs" / "architecture.md").read_text()
    modules = {path.name for package in PACKAGES for path in (ROOT / package).rglob("*.py")}
    for name in re.findall(r"`([\w/]+\.py|serving/\w+\.\w+)`", text):
        is_path = (ROOT / name).is_file() or (ROOT / "serving" / name).is_file()
        assert is_path or name in modules, name


def test_the_ratios_beside_the_benchmarks_are_those_of_their_tables() -> None:
    text = " ".join((ROOT / "docs" / "benchmarks.md").read_text().split())
    results = json.loads((headline.RESULTS / "serving.json").read_text())

    def per_s(photos: str, server: str) -> float:
        speed = results[f"serving {photos}"]["servers"][server]["connections"]["8"][
            "requests_per_s"
        ]
        return float(speed)

    def times(photos: str, server: str) -> str:
        return f"{per_s(photos, 'headswap') / per_s(photos, server):.1f}"

    small, large, efficientnet = "resnet18 366x500", "resnet18 12mp", "efficientnet_b0 366x500"
    behind = 1 - per_s(small, "headswap-onnx") / per_s(small, "fastapi")
    ahead = per_s(efficientnet, "fastapi") / per_s(efficientnet, "headswap") - 1
    for phrase in (
        f"{times(small, 'stock-tuned')} times the stock handler with its threads tuned",
        f"{times(small, 'fastapi')} times the next server",
        f"photos {times(large, 'stock-tuned')} and {times(large, 'ray')} times",
        f"it is {100 * behind:.0f} % behind FastAPI",
        f"{times(efficientnet, 'stock-tuned')} times the stock handler, but FastAPI is {100 * ahead:.0f} % faster",
    ):
        assert phrase in text
