"""Archives on their way to a node: held to their sha256, extracted whole or not at all."""

import hashlib
import zipfile
from pathlib import Path

import pytest

from cluster import archives
from cluster.archives import ArchiveStore, archive_path, cache_folder, extracted_folder
from cluster.errors import ArchiveTransferError

UPLOAD = "00ff"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HEADSWAP_CACHE", str(tmp_path))
    return tmp_path


@pytest.fixture
def archive(tmp_path: Path) -> tuple[bytes, str]:
    """Return the bytes of a zip and their sha256."""
    path = tmp_path / "a.mar"
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("model_card.json", "{}")
        packed.writestr("handlers/__init__.py", "")
    data = path.read_bytes()
    return data, hashlib.sha256(data).hexdigest()


def upload(data: bytes, sha256: str) -> ArchiveStore:
    store = ArchiveStore()
    for offset in range(0, len(data), 100):
        store.write(sha256, UPLOAD, offset, data[offset : offset + 100])
    store.complete(sha256, UPLOAD)
    return store


def test_nobody_else_may_write_where_code_is_run_from() -> None:
    assert cache_folder().stat().st_mode & 0o077 == 0


def test_an_upload_in_chunks_is_the_archive(archive: tuple[bytes, str]) -> None:
    data, sha256 = archive
    store = upload(data, sha256)
    assert store.has(sha256)
    assert store.read(sha256, 0) == data
    assert store.read(sha256, len(data)) == b""
    assert [path.name for path in cache_folder().iterdir()] == [f"{sha256}.mar"]


def test_an_upload_that_is_not_what_it_claims_is_refused(archive: tuple[bytes, str]) -> None:
    data, sha256 = archive
    with pytest.raises(ArchiveTransferError, match="changed"):
        upload(data[:-1] + b"x", sha256)
    assert list(cache_folder().iterdir()) == []


def test_a_damaged_file_is_not_held(archive: tuple[bytes, str]) -> None:
    data, sha256 = archive
    store = upload(data, sha256)
    archive_path(sha256).write_bytes(data[:-1])
    assert not store.has(sha256)


@pytest.mark.parametrize("sha256", ["", "../x", "a" * 63, "A" * 64, "a" * 64 + "/.."])
def test_an_archive_is_known_by_nothing_but_a_sha256(sha256: str) -> None:
    with pytest.raises(ArchiveTransferError):
        archive_path(sha256)
    with pytest.raises(ArchiveTransferError):
        ArchiveStore().read(sha256, 0)


def test_an_archive_is_extracted_once(
    archive: tuple[bytes, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    data, sha256 = archive
    upload(data, sha256)
    folder = extracted_folder(sha256)
    assert (folder / "model_card.json").read_text() == "{}"
    (folder / "handlers" / "__pycache__").mkdir()
    monkeypatch.setattr(archives, "_extract", None)
    assert extracted_folder(sha256) == folder


def test_two_replicas_may_extract_at_once(
    archive: tuple[bytes, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    data, sha256 = archive
    upload(data, sha256)
    extract = archives._extract

    def extract_second(path: Path, folder: Path) -> None:
        extract(path, folder)
        extract(path, folder)

    monkeypatch.setattr(archives, "_extract", extract_second)
    assert (extracted_folder(sha256) / "model_card.json").is_file()
    assert sorted(path.suffix for path in cache_folder().iterdir()) == ["", ".mar"]


def test_a_failed_extraction_leaves_no_folder(cache: Path) -> None:
    data = b"no zip"
    sha256 = hashlib.sha256(data).hexdigest()
    upload(data, sha256)
    with pytest.raises(Exception, match="not a headswap archive"):
        extracted_folder(sha256)
    assert [path.suffix for path in cache_folder().iterdir()] == [".mar"]
