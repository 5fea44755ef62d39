"""The page's options on the command line of `headswap page`, as `headswap serve --page` passes them on."""

from pathlib import Path

import pytest

from headswap.cli import parse
from headswap.commands import find_command
from headswap.page_options import PageOptions


@pytest.mark.parametrize(
    "options",
    [
        PageOptions(),
        PageOptions(page_listen="0.0.0.0", page_port=1, page_public_address="https://a.example"),
        PageOptions(page_certificate=Path("a b/c.pem"), page_private_key=Path("k.pem")),
    ],
)
def test_flags_are_read_back(options: PageOptions) -> None:
    assert parse(find_command("page"), options.flags()).page == options


def test_serve_has_the_page(tmp_path: Path) -> None:
    command = parse(find_command("serve"), ["--page", "--page-port", "8123"])
    assert command.page is True
    assert command.page_options.page_port == 8123
