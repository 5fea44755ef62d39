"""Each step of a promotion is a line of JSON beside the server's other logs, and so is its end."""

import json
from pathlib import Path

import pytest

from headswap.promotion_log import FILE_NAME, PromotionLog
from serving.settings import ServerSettings, load_settings

ROOT = Path(__file__).parents[3]


@pytest.fixture
def settings(tmp_path: Path) -> ServerSettings:
    (tmp_path / "state" / "logs").mkdir(parents=True)
    config = ROOT / "config.properties"
    return load_settings(config=config, model_store=tmp_path / "store", state=tmp_path / "state")


def lines(settings: ServerSettings) -> list[dict]:
    log = settings.state / "logs" / FILE_NAME
    return [json.loads(line) for line in log.read_text().splitlines()]


def test_steps_and_the_end_are_lines(
    settings: ServerSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    with PromotionLog(settings, "promote", subject="a-2.0.mar") as report:
        report("a 2.0 is loaded")
        report('its "probes"\ndiffer')
    assert [line.get("step") for line in lines(settings)] == [
        "a 2.0 is loaded",
        'its "probes"\ndiffer',
        None,
    ]
    assert [line.get("outcome") for line in lines(settings)] == [None, None, "done"]
    assert {(line["command"], line["subject"]) for line in lines(settings)} == {
        ("promote", "a-2.0.mar")
    }
    assert "s  a 2.0 is loaded" in capsys.readouterr().err


def test_a_failure_is_logged_with_its_message_and_raised(settings: ServerSettings) -> None:
    with pytest.raises(ValueError, match="no good"), PromotionLog(settings, "promote", subject="x"):
        raise ValueError("no good")
    with pytest.raises(KeyboardInterrupt), PromotionLog(settings, "rollback", subject=None):
        raise KeyboardInterrupt
    first, second = lines(settings)
    assert (first["outcome"], first["error"]) == ("failed", "no good")
    assert (second["outcome"], second["error"]) == ("failed", "KeyboardInterrupt")


def test_without_a_server_nothing_is_created(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = load_settings(
        config=ROOT / "config.properties", model_store=tmp_path, state=tmp_path / "state"
    )
    with PromotionLog(settings, "promote", subject="x") as report:
        report("a step")
    assert not settings.state.exists()
    assert "not logged" not in capsys.readouterr().err


def test_a_log_that_cannot_be_written_stops_nothing(
    settings: ServerSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    (settings.state / "logs" / FILE_NAME).mkdir()
    with PromotionLog(settings, "promote", subject="x") as report:
        report("a step")
    assert "not logged" in capsys.readouterr().err
