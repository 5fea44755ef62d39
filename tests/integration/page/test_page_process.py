"""The page's own process, as `headswap serve --page` starts it: it answers before the server does, and ends with it."""

import time
from pathlib import Path

import requests

from headswap.options import ServerOptions, TrustOptions
from headswap.page_options import PageOptions
from headswap.page_process import page_process
from tests.helpers import free_port

DEADLINE_S = 60


def test_the_page_answers_and_ends(tmp_path: Path) -> None:
    config = tmp_path / "config.properties"
    config.write_text("")
    server = ServerOptions(config=config, model_store=tmp_path / "store", state=tmp_path / "state")
    port = free_port()
    url = f"http://127.0.0.1:{port}/sign-in"
    with page_process(PageOptions(page_port=port), server=server, trust=TrustOptions()) as process:
        deadline = time.monotonic() + DEADLINE_S
        while True:
            try:
                form = requests.get(url, timeout=5)
                break
            except requests.ConnectionError:
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.1)
        assert "headswap token" in form.text
        origin = {"Origin": f"http://127.0.0.1:{port}"}
        answer = requests.post(url, data={"token": "x"}, headers=origin, timeout=5)
        assert "No server is running yet" in answer.text
    assert process.returncode == 0
