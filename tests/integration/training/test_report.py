"""report.html in a real browser: complete without a network, readable, and any text works as a class name."""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from training.evaluation.report import write_report
from training.run import Run

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
needs_browser = pytest.mark.skipif(BROWSER is None, reason="Chromium is not installed")


@pytest.fixture(scope="module")
def report(untrained_run: Run) -> Path:
    return write_report(untrained_run.folder)


def test_it_loads_nothing_from_elsewhere(report: Path) -> None:
    page = report.read_text()
    sources = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert len(sources) > 10
    assert all(source.startswith("data:image/") for source in sources)
    assert "url(" not in page
    assert "<script" not in page


def test_each_mistake_has_its_heat_map(report: Path) -> None:
    page = report.read_text()
    figures = re.findall(r"<figure>.*?</figure>", page, flags=re.DOTALL)
    assert len(figures) == 12
    assert all(figure.count("data:image/jpeg") == 2 for figure in figures)


def in_browser(page: Path, work: Path, *options: str) -> str:
    """Return the output of a headless Chromium without network access."""
    assert BROWSER is not None
    command = [
        BROWSER, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
        f"--user-data-dir={work / 'profile'}", "--host-resolver-rules=MAP * ~NOTFOUND",
        "--hide-scrollbars", *options, page.as_uri(),
    ]  # fmt: skip
    process = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return process.stdout


@needs_browser
@pytest.mark.parametrize("is_dark", [False, True])
@pytest.mark.parametrize("width_px", [500, 1400])
def test_it_can_be_read(report: Path, tmp_path: Path, width_px: int, is_dark: bool) -> None:
    picture = tmp_path / "report.png"
    in_browser(
        report, tmp_path, f"--screenshot={picture}", f"--window-size={width_px},3000",
        f"--blink-settings=preferredColorScheme={0 if is_dark else 1}",
    )  # fmt: skip
    screenshot = np.array(Image.open(picture).convert("L")).astype(int)
    assert screenshot.shape == (3000, width_px)
    background = int(np.median(screenshot))
    assert background < 60 if is_dark else background > 240
    # Letters and lines are visible all the way down.
    contrast = np.abs(screenshot - background) > 80
    assert all(band.mean() > 0.004 for band in np.array_split(contrast, 6))


PROBE = """<script>onload = () => document.title = JSON.stringify({
  overflow_px: document.documentElement.scrollWidth - innerWidth,
  missing_images: [...document.images].filter(image => image.naturalWidth == 0).length,
  cut_tables: [...document.querySelectorAll(".scroll")].filter(box => box.scrollWidth > box.clientWidth).length,
  names: [...document.querySelectorAll("td:first-child")].map(cell => cell.textContent),
})</script>"""


def probe(page: str, work: Path, width_px: int) -> dict[str, Any]:
    """Return what the browser measures of the page."""
    probed = work / "probed.html"
    probed.write_text(page + PROBE)
    dumped = in_browser(probed, work, "--dump-dom", f"--window-size={width_px},900")
    title = re.search(r"<title>(.*?)</title>", dumped)
    assert title is not None
    measured: dict[str, Any] = json.loads(html.unescape(title[1]))
    return measured


@needs_browser
@pytest.mark.parametrize("width_px", [500, 1400])
def test_class_names_of_200_characters_are_folded(
    report: Path, untrained_run: Run, tmp_path: Path, width_px: int
) -> None:
    page = report.read_text()
    for name in untrained_run.data()["class_names"]:
        page = re.sub(rf">{name}<", f">{name * (200 // len(name))}<", page)
    probed = probe(page, tmp_path, width_px)
    assert max(len(name) for name in probed["names"]) > 150
    assert probed["overflow_px"] <= 0
    assert probed["cut_tables"] == 0


@needs_browser
@pytest.mark.parametrize("width_px", [500, 1400])
def test_nothing_is_cut_off_or_missing(
    report: Path, untrained_run: Run, tmp_path: Path, width_px: int
) -> None:
    probed = probe(report.read_text(), tmp_path, width_px)
    assert probed["overflow_px"] <= 0
    assert probed["missing_images"] == 0
    assert set(untrained_run.data()["class_names"]) <= set(probed["names"])
