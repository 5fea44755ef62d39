"""A file is read once and again only when it has changed; what is remembered is never believed of another file."""

import hashlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage import hashing
from storage.hashing import MEMO_FILE, remembered_sha256, sha256_of

CONTENT = b"an archive" * 1000
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Return the files whose bytes were read, as this process, which knows no file yet, reads them."""
    read: list[Path] = []
    hash_file = hashing.hash_file

    def count(path: Path) -> str:
        read.append(path)
        return hash_file(path)

    monkeypatch.setattr(hashing, "hash_file", count)
    monkeypatch.setattr(hashing, "_read_here", {})
    return read


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "m-1.0.mar"
    write(path, CONTENT)
    return path


def write(path: Path, content: bytes, *, seconds_ago: float = 60) -> None:
    path.write_bytes(content)
    modified = time.time() - seconds_ago
    os.utime(path, (modified, modified))


def forget(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand for a new process."""
    monkeypatch.setattr(hashing, "_read_here", {})


def test_a_process_reads_a_file_once_and_again_when_it_has_changed(
    archive: Path, reads: list[Path]
) -> None:
    assert [sha256_of(archive), sha256_of(archive)] == [DIGEST, DIGEST]
    assert len(reads) == 1
    assert not (archive.parent / MEMO_FILE).exists()
    write(archive, b"another")
    assert sha256_of(archive) == hashlib.sha256(b"another").hexdigest()
    assert len(reads) == 2


def test_a_new_process_reads_the_file_unless_it_may_take_what_is_remembered(
    archive: Path, reads: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    sha256_of(archive)
    assert remembered_sha256(archive) == DIGEST
    assert len(reads) == 1
    forget(monkeypatch)
    assert remembered_sha256(archive) == DIGEST
    assert len(reads) == 1
    assert sha256_of(archive, remember=True) == DIGEST
    assert len(reads) == 2


def test_what_comes_in_is_read_whatever_the_memo_says_and_corrects_it(
    archive: Path, reads: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    remembered_sha256(archive)
    memo = archive.parent / MEMO_FILE
    memo.write_text(memo.read_text().replace(DIGEST, "0" * 64))
    forget(monkeypatch)
    assert remembered_sha256(archive) == "0" * 64
    assert sha256_of(archive, remember=True) == DIGEST
    assert len(reads) == 2
    assert remembered_sha256(archive) == DIGEST


def test_another_process_takes_what_was_remembered(archive: Path) -> None:
    remembered_sha256(archive)
    script = (
        "import sys; from pathlib import Path; from storage import hashing; hashing.hash_file = None;"
        "print(hashing.remembered_sha256(Path(sys.argv[1])))"
    )
    printed = subprocess.run(
        [sys.executable, "-c", script, archive], capture_output=True, text=True, check=True
    )
    assert printed.stdout.strip() == DIGEST


@pytest.mark.parametrize("is_same_size", [True, False])
@pytest.mark.parametrize("keeps_mtime", [True, False])
def test_changed_content_is_read_again_even_under_its_old_modification_time(
    archive: Path, monkeypatch: pytest.MonkeyPatch, is_same_size: bool, keeps_mtime: bool
) -> None:
    remembered_sha256(archive)
    before = archive.stat()
    content = CONTENT[::-1] if is_same_size else b"short"
    write(archive, content, seconds_ago=30)
    if keeps_mtime:
        os.utime(archive, ns=(before.st_atime_ns, before.st_mtime_ns))
    for is_new_process in (False, True):
        if is_new_process:
            forget(monkeypatch)
        assert remembered_sha256(archive) == hashlib.sha256(content).hexdigest()
        assert sha256_of(archive) == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("seconds_ago", [0.0, 1.0, -3600.0])
def test_a_file_that_has_only_just_changed_is_not_remembered(
    archive: Path, reads: list[Path], seconds_ago: float
) -> None:
    write(archive, CONTENT, seconds_ago=seconds_ago)
    assert [remembered_sha256(archive), sha256_of(archive)] == [DIGEST, DIGEST]
    assert len(reads) == 2
    assert not (archive.parent / MEMO_FILE).exists()


def test_a_file_that_changes_while_it_is_read_is_not_remembered(
    archive: Path, reads: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = hashing.hash_file

    def change_too(path: Path) -> str:
        digest = counted(path)
        write(path, b"changed meanwhile")
        return digest

    monkeypatch.setattr(hashing, "hash_file", change_too)
    assert remembered_sha256(archive) == DIGEST
    assert not (archive.parent / MEMO_FILE).exists()
    assert remembered_sha256(archive) == hashlib.sha256(b"changed meanwhile").hexdigest()


def test_files_that_are_gone_are_forgotten(archive: Path) -> None:
    other = archive.with_name("m-2.0.mar")
    write(other, b"another")
    for path in (archive, other):
        remembered_sha256(path)
    assert set(json.loads((archive.parent / MEMO_FILE).read_text())) == {archive.name, other.name}
    archive.unlink()
    write(other, b"changed")
    remembered_sha256(other)
    assert set(json.loads((other.parent / MEMO_FILE).read_text())) == {other.name}


@pytest.mark.parametrize(
    "memo",
    [
        b"", b"{", b"[]", b"null", b"\xff", b'{"m-1.0.mar": 1}', b'{"m-1.0.mar": {"sha256": 1}}',
        b'{"m-1.0.mar": {"size": 1, "mtime_ns": 2, "ctime_ns": 3, "sha256": "short"}}',
        b"[" * 100_000,
    ],
)  # fmt: skip
def test_a_damaged_memo_is_ignored_and_replaced(archive: Path, memo: bytes) -> None:
    (archive.parent / MEMO_FILE).write_bytes(memo)
    assert remembered_sha256(archive) == DIGEST
    assert json.loads((archive.parent / MEMO_FILE).read_text())[archive.name]["sha256"] == DIGEST


@given(st.binary(max_size=100))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_bytes_of_a_memo_make_it_fail(archive: Path, memo: bytes) -> None:
    (archive.parent / MEMO_FILE).write_bytes(memo)
    assert remembered_sha256(archive) == DIGEST


def test_a_store_that_cannot_be_written_only_means_reading_again(
    archive: Path, reads: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(hashing, "atomic_write", full)
    for _ in range(2):
        forget(monkeypatch)
        assert remembered_sha256(archive) == DIGEST
    assert len(reads) == 2


def test_a_missing_file_is_an_os_error_however_it_is_asked_for(archive: Path) -> None:
    remembered_sha256(archive)
    archive.unlink()
    for ask in (sha256_of, remembered_sha256):
        with pytest.raises(FileNotFoundError):
            ask(archive)
