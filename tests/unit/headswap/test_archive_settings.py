"""docs/operate.md lists every setting of an archive, and its default."""

import re
from dataclasses import fields
from pathlib import Path

from handlers.settings import FRONTEND_DEFAULTS, HandlerSettings
from training.export.model_config import GPU_BATCH_SIZE

ROW = re.compile(r"^\| `(?P<key>[\w.]+)`[^|]*\| (?P<default>[^|]+) \|", re.MULTILINE)
DOCUMENT = Path(__file__).parents[3] / "docs" / "operate.md"


def listed() -> dict[str, str]:
    section = DOCUMENT.read_text().split("## What an archive may set")[1].split("\n## ")[0]
    return {row["key"]: row["default"] for row in ROW.finditer(section)}


def test_every_setting_of_the_handler_is_listed_with_its_default() -> None:
    defaults = {f"handler.{field.name}": field.default for field in fields(HandlerSettings)}
    shown = {key: text for key, text in listed().items() if key.startswith("handler.")}
    assert shown.keys() == defaults.keys()
    # The host decides.
    del defaults["handler.threads_per_worker"]
    assert {key: shown[key] for key in defaults} == {k: str(v) for k, v in defaults.items()}


def test_every_setting_of_torchserve_that_an_archive_carries_is_listed() -> None:
    shown = listed()
    assert shown["batchSize"].startswith(
        f"{FRONTEND_DEFAULTS['batchSize']} ({GPU_BATCH_SIZE} where"
    )
    others = {key: str(value) for key, value in FRONTEND_DEFAULTS.items() if key != "batchSize"}
    assert {key: shown[key] for key in others} == others
