"""The commands that decide which archives may run: they refuse before anything is copied or started."""

from pathlib import Path

import pytest

from headswap.cli import main
from serving.archive.reader import read_archive


@pytest.fixture
def server_options(tmp_path: Path) -> list[str]:
    config = tmp_path / "config.properties"
    config.write_text("")
    store = tmp_path / "store"
    store.mkdir()
    return [
        "--config",
        str(config),
        "--model-store",
        str(store),
        "--state",
        str(tmp_path / "state"),
    ]


def error_of(capsys) -> str:
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    return error


def test_promote_refuses_archives_outside_the_model_store(
    archive_maker, server_options, tmp_path, capsys
):
    archive = archive_maker()
    assert main(["promote", str(archive), *server_options]) == 2
    assert "--allow-outside-store" in error_of(capsys)
    # With the flag the next check fails: no server runs here.
    assert main(["promote", str(archive), "--allow-outside-store", *server_options]) == 2
    assert "no server is running" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["promote", "serve"])
def test_foreign_handler_code_is_refused(archive_maker, server_options, tmp_path, capsys, command):
    archive = archive_maker(files={"handlers/images/decoding.py": b"import os"})
    stored = tmp_path / "store" / "tiny-1.0.mar"
    stored.write_bytes(archive.read_bytes())
    assert main([command, str(stored), *server_options]) == 2
    assert "handlers/images/decoding.py differs" in error_of(capsys)
    assert not (tmp_path / "store" / "live.json").exists()


@pytest.mark.parametrize("command", ["promote", "serve"])
def test_unsigned_archives_are_refused_where_signatures_are_required(
    archive_maker, server_options, tmp_path, capsys, command, monkeypatch
):
    key = tmp_path / "release.key"
    assert main(["keygen", str(key)]) == 0
    stored = tmp_path / "store" / "tiny-1.0.mar"
    stored.write_bytes(archive_maker().read_bytes())
    capsys.readouterr()
    assert main([command, str(stored), "--require-signature", f"{key}.pub", *server_options]) == 2
    assert "is not signed" in error_of(capsys)
    monkeypatch.setenv("HEADSWAP_REQUIRE_SIGNATURE", f"{key}.pub")
    assert main([command, str(stored), *server_options]) == 2
    assert "is not signed" in error_of(capsys)


def test_keygen_and_sign_print_what_they_wrote(archive_maker, tmp_path, capsys):
    key, archive = tmp_path / "release.key", archive_maker()
    assert main(["keygen", str(key)]) == 0
    assert f"{key}.pub" in capsys.readouterr().out
    assert main(["sign", str(archive), "--key", str(key)]) == 0
    assert Path(capsys.readouterr().out.strip()) == Path(f"{archive}.sig")
    assert read_archive(archive).name == "tiny"
    assert main(["keygen", str(key)]) == 2
