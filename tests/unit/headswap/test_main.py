"""The process of the command line: any locale, and Ctrl-C at any time, without a traceback."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"}
RUN = "import runpy; runpy.run_module('headswap', run_name='__main__')"


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True, env={**os.environ, **environment}, timeout=60,
    )  # fmt: skip


@pytest.mark.parametrize("locale", [ASCII, {**ASCII, "PYTHONIOENCODING": ""}])
def test_names_that_the_locale_cannot_show_are_no_traceback(
    locale: dict[str, str], tmp_path: Path
) -> None:
    config = tmp_path / "größe.properties"
    config.write_text("# Größe ≤ 20 MB\nsomething\n", encoding="utf-8")
    completed = run("-m", "headswap", "status", "--config", str(config), **locale)
    assert completed.returncode == 2
    assert b"Traceback" not in completed.stderr
    assert b"line 2: 'something' is not `key=value`" in completed.stderr


def test_file_names_are_utf_8_in_an_ascii_locale_and_so_in_every_child() -> None:
    code = (
        "import os, subprocess, sys; from headswap.__main__ import _use_utf8; _use_utf8(); "
        "shown = [sys.getfilesystemencoding(), sys.argv[1]]; "
        "child = [sys.executable, '-c', 'import sys; print(sys.getfilesystemencoding())']; "
        "print(ascii(shown), subprocess.check_output(child).decode())"
    )
    completed = run("-c", code, "größe", **ASCII)
    assert completed.stdout.split() == [b"['utf-8',", b"'gr\\xf6\\xdfe']", b"utf-8"]


def test_utf_8_mode_switched_off_on_the_command_line_stays_off() -> None:
    code = "import sys; from headswap.__main__ import _use_utf8; _use_utf8(); print('here')"
    assert run("-X", "utf8=0", "-c", code, **ASCII).stdout == b"here\n"


def test_standard_output_that_has_no_such_character_shows_its_number() -> None:
    code = (
        "import sys; sys.argv = ['headswap', '--help']; from headswap import cli; "
        "cli.main = lambda: print('gr\\xf6\\xdfe \\udcff'); "
        "from headswap.__main__ import main; main()"
    )
    assert run("-c", code, **ASCII).stdout == b"gr\\xf6\\xdfe \\udcff\n"


def test_ctrl_c_while_the_command_line_loads_is_one_line() -> None:
    interrupt = (
        "import sys\n"
        "class Finder:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'tyro':\n"
        "            raise KeyboardInterrupt\n"
        f"sys.meta_path.insert(0, Finder())\n{RUN}"
    )
    completed = run("-c", interrupt)
    assert completed.returncode == 130
    assert completed.stderr == b"headswap: interrupted\n"
