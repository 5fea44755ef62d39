"""`headswap demo` ends with the line that opens the page."""

from pathlib import Path

import pytest

from headswap.commands import demo


def test_the_last_line_opens_the_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    demo._say_how_to_open_the_page(demo.Command(out=tmp_path))
    *_, environment, last = capsys.readouterr().out.splitlines()
    assert environment.startswith("export HEADSWAP_CONFIG=")
    assert last.startswith("headswap serve --page")
    assert "http://127.0.0.1:8090" in last
