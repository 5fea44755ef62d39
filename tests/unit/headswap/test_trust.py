"""The verbs that decide which archives may run: refusals come before anything is copied or started."""

from pathlib import Path

import pytest

from headswap.cli import main
from serving.archive.reader import read_archive


@pytest.fixture
def where(tmp_path: Path) -> list[str]:
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


def complaint(capsys) -> str:
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    return told


def test_promote_wants_archives_of_the_model_store(archive_maker, where, tmp_path, capsys):
    archive = archive_maker()
    assert main(["promote", str(archive), *where]) == 2
    assert "--allow-outside-store" in complaint(capsys)
    # Told to, it goes on to what is wrong next: no server runs here.
    assert main(["promote", str(archive), "--allow-outside-store", *where]) == 2
    assert "no server is running" in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["promote", "serve"])
def test_code_of_others_is_refused(archive_maker, where, tmp_path, capsys, verb):
    archive = archive_maker(files={"handlers/images/decoding.py": b"import os"})
    stored = tmp_path / "store" / "tiny-1.0.mar"
    stored.write_bytes(archive.read_bytes())
    assert main([verb, str(stored), *where]) == 2
    assert "handlers/images/decoding.py differs" in complaint(capsys)
    assert not (tmp_path / "store" / "live.json").exists()


@pytest.mark.parametrize("verb", ["promote", "serve"])
def test_unsigned_archives_are_refused_where_signatures_are_asked_for(
    archive_maker, where, tmp_path, capsys, verb, monkeypatch
):
    key = tmp_path / "release.key"
    assert main(["keygen", str(key)]) == 0
    stored = tmp_path / "store" / "tiny-1.0.mar"
    stored.write_bytes(archive_maker().read_bytes())
    capsys.readouterr()
    assert main([verb, str(stored), "--require-signature", f"{key}.pub", *where]) == 2
    assert "is not signed" in complaint(capsys)
    monkeypatch.setenv("HEADSWAP_REQUIRE_SIGNATURE", f"{key}.pub")
    assert main([verb, str(stored), *where]) == 2
    assert "is not signed" in complaint(capsys)


def test_keygen_and_sign_say_what_they_wrote_and_what_comes_next(archive_maker, tmp_path, capsys):
    key, archive = tmp_path / "release.key", archive_maker()
    assert main(["keygen", str(key)]) == 0
    assert f"{key}.pub" in capsys.readouterr().out
    assert main(["sign", str(archive), "--key", str(key)]) == 0
    assert Path(capsys.readouterr().out.strip()) == Path(f"{archive}.sig")
    assert read_archive(archive).name == "tiny"
    assert main(["keygen", str(key)]) == 2
